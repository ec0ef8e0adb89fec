"""The IEEE 754 default floating-point mode, independent of settings of other libraries."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_ENVIRONMENT_BYTES = 1024
"""Bytes of the buffer for C's `fenv_t`, whose size is 8 to 48 bytes on Linux."""

_DEFAULT = ctypes.c_void_p(-1)
"""FE_DFL_ENV of glibc and musl."""


@contextmanager
def ieee_arithmetic() -> Iterator[None]:
    """Set the default floating-point mode of the calling thread (context manager or decorator).

    Loading a library that was built with `-ffast-math`, or `torch.set_flush_denormal(True)`, sets a
    mode in which subnormal numbers become zero. Other code may change the rounding mode. The block
    runs in the default mode (round to nearest even, with subnormal numbers); the previous mode is
    restored at its end.
    """
    library = _library()
    if library is None:
        yield
        return
    before = ctypes.create_string_buffer(_ENVIRONMENT_BYTES)
    library.fegetenv(before)
    library.fesetenv(_DEFAULT)
    try:
        yield
    finally:
        library.fesetenv(before)


@cache
def _library() -> ctypes.CDLL | None:
    """The library with C's `fegetenv`: libm of glibc, or the process itself with musl."""
    for name in ("libm.so.6", None):
        try:
            library = ctypes.CDLL(name)
            _ = library.fegetenv, library.fesetenv
        except (OSError, AttributeError):
            continue
        return library
    return None
