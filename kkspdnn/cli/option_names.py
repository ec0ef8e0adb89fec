"""The options of the command line that parameters of the Python functions correspond to.

Errors below the command line name parameters as Python does, such as `memory=2`, because most of
them are raised by functions that scripts call. The command line prints them as its own options.
"""

from __future__ import annotations

import re

_OPTIONS = {
    "cpu": "--cpu",
    "fold": "--fold",
    "memory": "--memory",
    "repeat": "--repeat",
    "rows": "--inputs",
    "shipped_images": "--shipped-images",
    "space": "--space",
    "tune": "--tune",
    "types": "--types",
}
"""The options by parameter."""

_PARAMETER = re.compile(rf"\b({'|'.join(_OPTIONS)})=('[^']*'|[^\s,;:()]+)")


def name_options(message: str) -> str:
    """Return the message with `--memory 2` for `memory=2`, and `--fold` for `fold=True`."""
    return _PARAMETER.sub(_option, message)


def _option(match: re.Match[str]) -> str:
    option, value = _OPTIONS[match[1]], match[2].strip("'")
    if value == "False":
        return option.replace("--", "--no-")
    return option if value == "True" else f"{option} {value}"
