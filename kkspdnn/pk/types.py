"""The types of the workunit language and their C++ equivalents, as in PyKokkos.

`int` is `int32_t` and `float` is `double`. A parameter without annotation has the type of the
argument of a launch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kkspdnn.pk.arrays import ArrayHolder, shared_array


@dataclass(frozen=True, eq=False)
class Scalar:
    """A basic type.

    name: in PyKokkos; cpp: in C++; dtype: in NumPy; code: in the module `struct`; bits: its size

    Each type is one object, below, so that comparing and hashing are cheap.
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
"""The types by their names in PyKokkos."""

SYNONYMS: Final = {"float32": "float", "float64": "double", "real": "double"}
"""Other names of types in PyKokkos; `real` is its default precision."""

BUILTINS: Final = {"int": INT32, "float": DOUBLE, "bool": BOOL}
"""The types of Python's own annotations."""


@dataclass(frozen=True)
class View:
    """A LayoutRight (C-contiguous) array of 1 to 3 dimensions."""

    element: Scalar
    rank: int


@dataclass(frozen=True)
class LocalArray:
    """`acc: List[pk.float] = [0.0, 0.0]`: a C array with the length of the literal."""

    element: Scalar
    length: int


@dataclass(frozen=True)
class Team:
    """The team handle of a TeamPolicy."""


@dataclass(frozen=True)
class NestedFunction:
    """A function defined in a workunit, which nested parallel patterns run."""

    name: str


Type = Scalar | View | LocalArray | Team | NestedFunction


def promote(a: Scalar, b: Scalar) -> Scalar:
    """Return the type of `a + b` in C++, by the usual arithmetic conversions."""
    if a.is_float or b.is_float:
        return DOUBLE if DOUBLE in (a, b) else FLOAT
    wide = max(a.bits, b.bits, 32)
    unsigned = any(not s.is_signed and s.bits == wide for s in (a, b) if s.name != "bool")
    if wide == 64:
        return UINT64 if unsigned else INT64
    return UINT32 if unsigned else INT32


def math_type(arguments: Iterable[Scalar]) -> Scalar:
    """Return the type in which a function of `<cmath>` computes with arguments of these types."""
    return FLOAT if all(each == FLOAT for each in arguments) else DOUBLE


def infer_type(value: Any) -> Scalar | View | None:
    """Return the type that PyKokkos infers for an argument of a launch, None if it has none.

    An array in host or GPU memory is a view of its dtype and rank; so are a `pk.View` and a tensor
    of PyTorch. A Python int is an int32, or an int64 if it does not fit. A Python float is a
    double. A NumPy scalar has its own type.

    Raises TypeError for a tensor that cannot be an argument.
    """
    if isinstance(value, np.ndarray):
        return _VIEWS_BY_DTYPE.get((value.dtype, value.ndim))
    scalar = _BY_CLASS.get(type(value))
    if scalar is not None:
        return scalar
    if isinstance(value, ArrayHolder):
        return infer_type(value.data)
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return INT32 if value.bit_length() <= 31 else INT64
    if isinstance(value, float):
        return DOUBLE
    if isinstance(value, np.generic):
        return _BY_DTYPE.get(value.dtype.str)
    array = shared_array(value)
    if array is not value:
        return infer_type(array)
    if is_gpu_array(value):
        interface = value.__cuda_array_interface__
        return _VIEWS.get((interface["typestr"], len(interface["shape"])))
    return None


def is_gpu_array(value: Any) -> bool:
    """Return whether an object is an array in GPU memory, of CuPy or another library.

    It is if it has the CUDA Array Interface. A class may have it for some of its arrays only.
    """
    interface = "__cuda_array_interface__"
    return hasattr(type(value), interface) and hasattr(value, interface)


_BY_DTYPE: Final = {s.numpy.str: s for s in SCALARS.values() if s is not BOOL}
_BY_CLASS: Final = {np.dtype(code).type: scalar for code, scalar in _BY_DTYPE.items()}
_VIEWS: Final = {
    (code, rank): View(scalar, rank) for code, scalar in _BY_DTYPE.items() for rank in (1, 2, 3)
}
_VIEWS_BY_DTYPE: Final = {(np.dtype(code), rank): view for (code, rank), view in _VIEWS.items()}
