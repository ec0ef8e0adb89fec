"""PyKokkos's data types, for annotations of workunits and for `pk.View`."""

from __future__ import annotations

import builtins
from typing import Any, ClassVar, Final, NoReturn

import numpy as np

from kkspdnn.errors import InputError, short_repr


class DataTypeClass:
    """The base class of the data types.

    np_equiv: the scalar type of NumPy; dtype: its dtype, so that `numpy.dtype(pk.float)` works
    """

    np_equiv: ClassVar[Any]
    dtype: ClassVar[np.dtype[Any]]

    def __init_subclass__(cls, np_equiv: type[np.generic]) -> None:
        cls.np_equiv = np_equiv
        cls.dtype = np.dtype(np_equiv)

    def __init__(self, *_: object) -> None:
        raise TypeError(f"pk.{type(self).__name__} has a meaning only inside a workunit")


class int8(DataTypeClass, np_equiv=np.int8): ...


class int16(DataTypeClass, np_equiv=np.int16): ...


class int32(DataTypeClass, np_equiv=np.int32): ...


class int64(DataTypeClass, np_equiv=np.int64): ...


class uint8(DataTypeClass, np_equiv=np.uint8): ...


class uint16(DataTypeClass, np_equiv=np.uint16): ...


class uint32(DataTypeClass, np_equiv=np.uint32): ...


class uint64(DataTypeClass, np_equiv=np.uint64): ...


class float(DataTypeClass, np_equiv=np.float32): ...


class double(DataTypeClass, np_equiv=np.float64): ...


class bool(DataTypeClass, np_equiv=np.bool_): ...


float32 = float
float64 = double
real = double


class DataType:
    """The data types as attributes, such as `pk.DataType.double`."""

    int8, int16, int32, int64 = int8, int16, int32, int64
    uint8, uint16, uint32, uint64 = uint8, uint16, uint32, uint64
    float, double, bool = float, double, bool
    float32, float64, real = float32, float64, real


_ELEMENTS: Final = {
    each.dtype: each
    for each in (int8, int16, int32, int64, uint8, uint16, uint32, uint64, float, double)
}
"""The types of the elements of a view by their dtypes."""

_PYTHON: Final[dict[object, type[DataTypeClass]]] = {
    builtins.int: int32,
    builtins.float: double,
    builtins.bool: uint8,
    bool: uint8,
}


def element_type(dtype: object) -> type[DataTypeClass]:
    """Return the type of the elements of a view.

    dtype: a type of PyKokkos, a dtype of NumPy or what `numpy.dtype` converts to one. As in
    PyKokkos, Python's `int` is an int32, its `float` a double, and a bool is stored as a uint8.

    Raises InputError for any other.
    """
    if isinstance(dtype, type) and dtype in _PYTHON:
        return _PYTHON[dtype]
    try:
        converted = np.dtype(dtype)  # type: ignore[call-overload]
    except TypeError:
        converted = None
    if converted == np.bool_:
        return uint8
    element = _ELEMENTS.get(converted)
    if element is None:
        _refuse(dtype, converted)
    return element


def is_element_type(dtype: np.dtype[Any]) -> builtins.bool:
    """Return whether the elements of a view can have a dtype as it is."""
    return dtype in _ELEMENTS


def _refuse(dtype: object, converted: np.dtype[Any] | None) -> NoReturn:
    name = short_repr(dtype) if converted is None else str(converted)
    remedy = "choose one of pk.int8 to pk.uint64, pk.float and pk.double"
    if converted is not None and converted.kind == "c":
        remedy = "keep the real and the imaginary parts in two views"
    elif converted is not None and not converted.isnative:
        remedy = "convert the array with x.astype(x.dtype.newbyteorder('='))"
    raise InputError(f"pk.View: a view has no elements of {name}; {remedy}")
