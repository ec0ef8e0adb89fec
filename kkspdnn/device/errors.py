"""What CuPy raises, as one line with what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from kkspdnn.errors import InputError, SpaceError

P = ParamSpec("P")
R = TypeVar("R")


def in_one_line(function: Callable[P, R]) -> Callable[P, R]:
    """Raise InputError where `function` finds a GPU's memory full, and SpaceError where a GPU fails
    otherwise, such as a launch that failed after it was made."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            kind = type(error)
            if not kind.__module__.startswith(("cupy.", "cupy_backends.")):
                raise
            said = str(error).strip().partition("\n")[0].rstrip(".")
            if isinstance(error, MemoryError):
                raise InputError(
                    f"the device's memory is full: {said}; use fewer input rows or a smaller "
                    "network, or another --device"
                ) from error
            raise SpaceError(f"the device failed: {kind.__name__}: {said}") from error

    return guarded
