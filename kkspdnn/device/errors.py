"""Translates exceptions of CuPy into errors of kkspdnn with one-line messages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from kkspdnn.errors import InputError, SpaceError, first_line

P = ParamSpec("P")
R = TypeVar("R")


def translate_cupy_errors(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function that uses CuPy.

    The function then raises InputError if the GPU's memory is full, and SpaceError for every other
    error of CuPy or CUDA, also for a failure during an asynchronous launch.
    """

    @wraps(function)
    def translated(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            error_type = type(error)
            if not error_type.__module__.startswith(("cupy.", "cupy_backends.")):
                raise
            text = first_line(error).rstrip(".")
            if isinstance(error, MemoryError):
                raise InputError(
                    f"the device's memory is full: {text}; use fewer input rows or a smaller "
                    "network, or another device"
                ) from error
            raise SpaceError(f"the device failed: {error_type.__name__}: {text}") from error

    return translated
