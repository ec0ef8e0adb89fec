"""Griffe extension: lines `name: text` of a docstring become a list where they name parameters."""

from __future__ import annotations

import re
from typing import Any

import griffe

_LINE = re.compile(r"(\w+(?:, \w+)*): (?=\S)")


class ParameterLists(griffe.Extension):
    """Rewrites the docstrings of functions and classes before they are rendered."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """The names are those of the function's parameters."""
        _rewrite(func, {parameter.name for parameter in func.parameters})

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """The names are those of attributes, and of the parameters of `__init__`."""
        names = {name for name, member in cls.members.items() if member.is_attribute}
        init = cls.members.get("__init__")
        if isinstance(init, griffe.Function):
            names |= {parameter.name for parameter in init.parameters}
        _rewrite(cls, names)


def _rewrite(obj: griffe.Object, names: set[str]) -> None:
    if obj.docstring is not None:
        obj.docstring.value = parameter_lists(obj.docstring.value, names)


def parameter_lists(text: str, names: set[str]) -> str:
    """The text with a list item for each line that begins with one of these names and a colon."""
    lines: list[str] = []
    in_item = False
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is not None and names.issuperset(match[1].split(", ")):
            if not in_item and lines and lines[-1]:
                lines.append("")
            quoted = ", ".join(f"`{name}`" for name in match[1].split(", "))
            lines.append(f"- {quoted}: {line[match.end() :]}")
            in_item = True
        elif in_item and line:
            lines.append(f"  {line}")
        else:
            lines.append(line)
            in_item = False
    return "\n".join(lines)
