"""The environment variable that selects debug mode."""

from __future__ import annotations

import os
from functools import cache
from typing import Final

from kkspdnn.errors import KkspdnnError

DEBUG_VARIABLE: Final = "KKSPDNN_DEBUG"


@cache
def debug_mode() -> bool:
    """Return whether KKSPDNN_DEBUG selects debug mode, which checks every index of a workunit.

    The variable is read once in a process.

    Raises KkspdnnError if it is neither 0, 1 nor empty.
    """
    value = os.environ.get(DEBUG_VARIABLE, "")
    if value not in ("", "0", "1"):
        raise KkspdnnError(f"{DEBUG_VARIABLE}={value}: set it to 0 or 1, or unset it")
    return value == "1"
