"""Floating-point arithmetic as IEEE 754 defines it, whatever other libraries have set."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_ENVIRONMENT_BYTES = 1024
"""Room for C's `fenv_t`, which takes 8 to 48 bytes on Linux."""

_DEFAULT = ctypes.c_void_p(-1)
"""FE_DFL_ENV of glibc and musl."""


@contextmanager
def ieee_arithmetic() -> Iterator[None]:
    """Compute in the default floating-point mode: as a context manager or a decorator.

    The mode belongs to the calling thread. A library that is built with `-ffast-math` changes it
    when it is loaded, and `torch.set_flush_denormal(True)` does: subnormal numbers become zero.
    Other code may change how results are rounded. All of that is undone while in the block, and
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
    """The library that has C's `fegetenv`: libm of glibc, or the only one of musl."""
    for name in ("libm.so.6", None):
        try:
            library = ctypes.CDLL(name)
            _ = library.fegetenv, library.fesetenv
        except (OSError, AttributeError):
            continue
        return library
    return None
