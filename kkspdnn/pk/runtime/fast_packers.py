"""Fast packers: for arguments of one class, whose checks take less time."""

from __future__ import annotations

import sys
import weakref
from ctypes import addressof
from typing import Any

import numpy as np

from kkspdnn.pk.arrays import ArrayHolder
from kkspdnn.pk.policy import INT32_MAX
from kkspdnn.pk.runtime.packers import Packer, first_byte
from kkspdnn.pk.types import INT32, Scalar, View, infer_type


def fast_packer(
    parameter_type: Scalar | View, cls: type, pack: Packer, generic: bool, device: int | None
) -> Packer | None:
    """Return the packer of arguments of the class `cls`; None if `struct.pack` takes each that the
    parameter accepts, and raises an exception for any other.

    The packer raises TypeError, without a message, if the type of an argument is not that of the
    parameter.

    pack: the packer of the parameter, for any class
    generic: whether the parameter has no annotation
    device: the GPU's number, None on a CPU
    """
    if isinstance(parameter_type, View):
        if issubclass(cls, ArrayHolder):
            array_class = np.ndarray if device is None else _cupy_class()
            array_packer = fast_packer(parameter_type, array_class, pack, generic, device)
            return _holder_packer(array_class, array_packer or pack)
        if device is None and cls is np.ndarray:
            return _numpy_packer(parameter_type, pack)
        if device is not None and cls is _cupy_class():
            return _cupy_packer(parameter_type, pack, device)
        return pack
    if _is_direct(parameter_type, cls, generic):
        return None
    if not generic:
        return pack
    if cls is int and parameter_type is INT32:
        return _pack_generic_int32

    def checked(value: Any) -> tuple[Any, ...]:
        # The value of an int decides its type.
        if infer_type(value) is not parameter_type:
            raise TypeError
        return pack(value)

    return checked


def remember_last(pack: Packer, cls: type) -> Packer:
    """Return a packer that returns the same values while the argument is the same array.

    The array must not be resized, nor change its shape, dtype or flags in place; a `pk.View` may
    get another array. The array is not kept in memory.

    cls: the class of the arguments
    """
    last: tuple[Any, tuple[Any, ...]] = (lambda: None), ()

    def remembering(value: Any) -> tuple[Any, ...]:
        nonlocal last
        reference, fields = last  # one read: another thread may replace it
        if reference() is not value:
            fields = pack(value)
            last = weakref.ref(value), fields
        return fields

    def remembering_array(value: Any) -> tuple[Any, ...]:
        nonlocal last
        reference, fields = last
        array = value.data
        if reference() is not array:
            fields = pack(value)
            last = weakref.ref(array), fields
        return fields

    return remembering_array if issubclass(cls, ArrayHolder) else remembering


def _cupy_class() -> type:
    """Return the class of CuPy's arrays; NoneType if CuPy is not imported."""
    found: type = getattr(sys.modules.get("cupy"), "ndarray", type(None))
    return found


def _holder_packer(array_class: type, pack: Packer) -> Packer:
    """Return the packer of a `pk.View`.

    pack: the packer of its array, which is of the class `array_class`
    """

    def pack_array(value: Any) -> tuple[Any, ...]:
        array = value.data
        if type(array) is not array_class:
            raise TypeError
        return pack(array)

    return pack_array


def _pack_generic_int32(value: int) -> tuple[int]:
    """Pack an int that `infer_type` takes for an int32; it takes -2^31 for an int64."""
    if not -INT32_MAX <= value <= INT32_MAX:
        raise TypeError
    return (value,)


def _is_direct(scalar: Scalar, cls: type, generic: bool) -> bool:
    if cls is int:
        return scalar.is_int and not generic
    if cls is float:
        return scalar.code == "d"
    return cls is (bool if scalar.name == "bool" else scalar.numpy.type)


def _numpy_packer(view: View, checked: Packer) -> Packer:
    dtype, rank = view.element.numpy, view.rank
    misaligned = dtype.alignment - 1

    def pack(value: Any) -> tuple[int, ...]:
        if value.dtype != dtype or value.ndim != rank:
            raise TypeError
        try:
            address = addressof(first_byte(value))
        except (TypeError, ValueError):  # not C-contiguous, read-only, or empty
            return checked(value)
        return checked(value) if address & misaligned else (address, *value.shape)

    return pack


def _cupy_packer(view: View, checked: Packer, device: int) -> Packer:
    """Return the packer of CuPy arrays. Their attributes give the same as their
    `__cuda_array_interface__`, which creates a dictionary and asks for the current stream."""
    dtype, rank = view.element.numpy, view.rank
    itemsize = dtype.itemsize

    def pack(value: Any) -> tuple[int, ...]:
        memory, shape = value.data, value.shape
        if value.dtype != dtype or len(shape) != rank:
            raise TypeError
        address: int = memory.ptr
        expected = itemsize
        for extent, stride in zip(reversed(shape), reversed(value.strides), strict=True):
            if stride != expected:
                return checked(value)
            expected *= extent
        if memory.device_id != device or address % itemsize or not expected:
            return checked(value)
        return (address, *shape)

    return pack
