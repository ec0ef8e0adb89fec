"""The types of the workunit language, as PyKokkos maps them to C++.

A bare `int` is `int32_t` and a bare `float` is `double` there. A parameter without annotation takes
the type of what a launch passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np


@dataclass(frozen=True, eq=False)
class Scalar:
    """A number: its PyKokkos name, its C++ name and its NumPy and `struct` codes.

    There is one object for each, below, so that comparing and hashing are cheap.
    """

    name: str
    cpp: str
    dtype: str
    code: str
    bits: int

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    @property
    def is_int(self) -> bool:
        return not self.is_float and self.name != "bool"

    @property
    def is_signed(self) -> bool:
        return self.is_float or self.dtype.startswith("int")

    @property
    def numpy(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)


INT8: Final = Scalar("int8", "int8_t", "int8", "b", 8)
INT16: Final = Scalar("int16", "int16_t", "int16", "h", 16)
INT32: Final = Scalar("int32", "int32_t", "int32", "i", 32)
INT64: Final = Scalar("int64", "int64_t", "int64", "q", 64)
UINT8: Final = Scalar("uint8", "uint8_t", "uint8", "B", 8)
UINT16: Final = Scalar("uint16", "uint16_t", "uint16", "H", 16)
UINT32: Final = Scalar("uint32", "uint32_t", "uint32", "I", 32)
UINT64: Final = Scalar("uint64", "uint64_t", "uint64", "Q", 64)
FLOAT: Final = Scalar("float", "float", "float32", "f", 32)
DOUBLE: Final = Scalar("double", "double", "float64", "d", 64)
BOOL: Final = Scalar("bool", "bool", "bool", "?", 8)

SCALARS: Final = {
    s.name: s
    for s in (INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, FLOAT, DOUBLE, BOOL)
}
"""`pk.NAME` to type."""

BUILTINS: Final = {"int": INT32, "float": DOUBLE, "bool": BOOL}
"""Bare Python annotations to types, as PyKokkos reads them."""


@dataclass(frozen=True)
class View:
    """A LayoutRight (C-contiguous) array of one to three dimensions."""

    element: Scalar
    rank: int


@dataclass(frozen=True)
class LocalArray:
    """`acc: List[pk.float] = [0.0, 0.0]`: a C array of a length that the literal gives."""

    element: Scalar
    length: int


@dataclass(frozen=True)
class Team:
    """The team handle of a TeamPolicy."""


@dataclass(frozen=True)
class Nested:
    """A function defined inside a workunit, to be given to a nested parallel pattern."""

    name: str
    accumulator: Scalar | None = field(default=None)


Type = Scalar | View | LocalArray | Team | Nested


def promoted(a: Scalar, b: Scalar) -> Scalar:
    """The type of `a + b` in C++ (the usual arithmetic conversions)."""
    if a.is_float or b.is_float:
        return DOUBLE if DOUBLE in (a, b) else FLOAT
    wide = max(a.bits, b.bits, 32)
    unsigned = any(not s.is_signed and s.bits == wide for s in (a, b) if s.name != "bool")
    if wide == 64:
        return UINT64 if unsigned else INT64
    return UINT32 if unsigned else INT32


def type_of_argument(value: Any) -> Scalar | View | None:
    """What PyKokkos infers for an argument of a launch, or None where it takes no such thing.

    An array, of NumPy or on a GPU, gives a view of its dtype and rank; a Python int is an int32, or
    an int64 past 31 bits; a Python float is a double; a NumPy number keeps its type.
    """
    if isinstance(value, np.ndarray):
        return _VIEWS_OF.get((value.dtype, value.ndim))
    known = _BY_NUMPY.get(type(value))
    if known is not None:
        return known
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT32 if value.bit_length() <= 31 else INT64
    if isinstance(value, float):
        return DOUBLE
    if isinstance(value, np.generic):
        return _BY_DTYPE.get(value.dtype.str)
    if on_gpu(value):
        described = value.__cuda_array_interface__
        return _VIEWS.get((described["typestr"], len(described["shape"])))
    return None


def on_gpu(value: Any) -> bool:
    """Is it an array on a GPU, of CuPy or any other library that says so?"""
    return hasattr(type(value), "__cuda_array_interface__")


_BY_DTYPE: Final = {s.numpy.str: s for s in SCALARS.values() if s is not BOOL}
_BY_NUMPY: Final = {np.dtype(code).type: scalar for code, scalar in _BY_DTYPE.items()}
_VIEWS: Final = {
    (code, rank): View(scalar, rank) for code, scalar in _BY_DTYPE.items() for rank in (1, 2, 3)
}
_VIEWS_OF: Final = {(np.dtype(code), rank): view for (code, rank), view in _VIEWS.items()}
