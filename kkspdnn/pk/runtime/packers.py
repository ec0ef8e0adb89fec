"""Packers: they check an argument of a launch and convert it to values for `struct.pack`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import addressof
from typing import Any, NoReturn

import numpy as np

from kkspdnn.pk.arrays import ArrayHolder, shared_array
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.signature import Parameter
from kkspdnn.pk.types import Scalar, View, is_gpu_array

Packer = Callable[[Any], tuple[Any, ...]]
"""Checks an argument and converts it to values for `struct.pack`. Raises TypeError."""

first_byte: Callable[[Any], Any] = ctypes.c_char.from_buffer
"""Returns a ctypes object at the first byte of an array.

Raises TypeError if the array is read-only or not C-contiguous, and ValueError if it is empty."""


def struct_codes(parameter: Parameter) -> str:
    """Return the format of a parameter for `struct`: of a view its address and its extents."""
    argument_type = parameter.type
    if isinstance(argument_type, View):
        return "P" + "q" * argument_type.rank
    return argument_type.code


def field_count(parameter: Parameter) -> int:
    """Return the number of values of a parameter for `struct.pack`."""
    return 1 + parameter.type.rank if isinstance(parameter.type, View) else 1


def packer(generated: Generated, parameter: Parameter, device: int | None) -> Packer:
    """Return the packer of a parameter; device: the GPU's number, None on a CPU."""
    argument = f"{generated.name}: argument `{parameter.name}`"
    if isinstance(parameter.type, View):
        written = parameter.name in generated.written
        if device is not None:
            return gpu_array_packer(argument, parameter.type, written, device)
        return _array_packer(argument, parameter.type, written)
    return _scalar_packer(argument, parameter.type)


def _array_packer(argument: str, view: View, written: bool) -> Packer:
    """Return the packer of an array in host memory: NumPy's, a `pk.View`, or a PyTorch tensor.

    argument: the beginning of its error messages; written: whether the workunit writes to it
    """
    dtype, rank = view.element.numpy, view.rank
    raise_wrong_type = _type_mismatch(argument, view, written)

    def raise_mismatch(value: Any, given: Any) -> NoReturn:
        if is_gpu_array(value):
            raise TypeError(
                f"{argument} is in GPU memory, but the workunit runs on the host: "
                "pass cupy.asnumpy of it"
            )
        if type(value) is not np.ndarray:
            raise TypeError(f"{argument} must be a NumPy array, not {type(value).__name__}")
        if value.dtype != dtype or value.ndim != rank:
            raise_wrong_type(given, value.ndim, value.dtype)
        if not value.flags.c_contiguous:
            raise TypeError(f"{argument} is not C-contiguous: pass numpy.ascontiguousarray of it")
        if not value.flags.aligned:
            raise TypeError(f"{argument} is not aligned to its dtype: pass a copy of it")
        raise TypeError(
            f"{argument} is written by the workunit but is read-only: pass a copy of it"
        )

    def pack(given: Any) -> tuple[int, ...]:
        value = given if type(given) is np.ndarray else _shared_array(argument, given)
        if type(value) is not np.ndarray or value.dtype != dtype or value.ndim != rank:
            raise_mismatch(value, given)
        flags = value.flags
        if flags.carray and value.size:
            # Four times as fast as __array_interface__, which creates a dictionary.
            return (addressof(first_byte(value)), *value.shape)
        if not flags.c_contiguous or not flags.aligned or (written and not flags.writeable):
            raise_mismatch(value, given)
        return (value.__array_interface__["data"][0], *value.shape)

    return pack


def gpu_array_packer(argument: str, view: View, written: bool, device: int) -> Packer:
    """Return the packer of an array on a GPU with the CUDA Array Interface, version 3, or of a
    `pk.View` of one.

    CuPy and other packages offer this interface. Parameters as for `_array_packer`.
    """
    dtype, rank = view.element.numpy, view.rank
    raise_wrong_type = _type_mismatch(argument, view, written)

    def pack(given: Any) -> tuple[int, ...]:
        value = _shared_array(argument, given)
        if not is_gpu_array(value):
            raise TypeError(
                f"{argument} must be an array on the GPU, not {type(value).__name__}: "
                "pass cupy.asarray of it"
            )
        interface = value.__cuda_array_interface__
        shape, strides = interface["shape"], interface.get("strides")
        address, read_only = interface["data"]
        if interface["typestr"] != dtype.str or len(shape) != rank:
            raise_wrong_type(given, len(shape), np.dtype(interface["typestr"]))
        if strides is not None and not _is_contiguous(shape, strides, dtype.itemsize):
            raise TypeError(f"{argument} is not C-contiguous: pass cupy.ascontiguousarray of it")
        if (address or 0) % dtype.itemsize:
            raise TypeError(f"{argument} is not aligned to its dtype: pass a copy of it")
        if written and read_only:
            raise TypeError(
                f"{argument} is written by the workunit but is read-only: pass a copy of it"
            )
        # The interface has no device number; arrays of CuPy and PyTorch have one.
        own = getattr(value, "device", None)
        own_device = getattr(own, "id", getattr(own, "index", device))
        if own_device != device:
            raise TypeError(
                f"{argument} is on device {own_device}, but Kokkos runs on device {device}"
            )
        return (address or 0, *shape)

    return pack


def _type_mismatch(argument: str, view: View, written: bool) -> Callable[[Any, int, Any], NoReturn]:
    """Return the function that raises TypeError for an array of another dtype or rank."""
    dtype = view.element.numpy
    name = argument.rpartition(": argument ")[2].strip("`")

    def raise_wrong_type(given: Any, given_rank: int, given_dtype: Any) -> NoReturn:
        array = f"{name}.data" if isinstance(given, ArrayHolder) else name
        remedy = ""
        if given_rank != view.rank:
            pass
        elif given_dtype == np.bool_ and dtype == np.uint8:
            remedy = f": pass {array}.view(numpy.uint8)"
        elif written:  # a copy would get the results
            remedy = f": create it with the dtype {dtype}"
        elif isinstance(given, ArrayHolder) or hasattr(given, "astype"):
            remedy = f": pass {array}.astype(numpy.{dtype})"
        raise TypeError(
            f"{argument} must be {view.rank}-dimensional {dtype}, "
            f"not {given_rank}-dimensional {given_dtype}{remedy}"
        )

    return raise_wrong_type


def _shared_array(argument: str, value: Any) -> Any:
    """Return the array of an argument, see `shared_array`. The error names the argument."""
    try:
        return shared_array(value)
    except TypeError as error:
        raise TypeError(f"{argument}: {error}") from error


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Return whether an array is C-contiguous.

    The stride of a dimension with one entry, and all strides of an empty array, may be any.
    """
    expected = itemsize
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1 and stride != expected:
            return 0 in shape
        expected *= size
    return True


def _scalar_packer(argument: str, scalar: Scalar) -> Packer:
    if scalar.is_float:
        return _float_packer(argument, scalar)
    if scalar.is_int:
        return _int_packer(argument, scalar)

    def pack(value: Any) -> tuple[bool]:
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{argument} must be a bool, not {type(value).__name__}")
        return (bool(value),)

    return pack


def _float_packer(argument: str, scalar: Scalar) -> Packer:
    largest, numpy_type = float(np.finfo(scalar.numpy).max), scalar.numpy.type

    def pack(value: Any) -> tuple[float]:
        if type(value) is numpy_type:
            return (value,)
        if type(value) is float and abs(value) <= largest:
            return (value,)
        if isinstance(value, (bool, np.bool_)) or not isinstance(
            value, (int, float, np.integer, np.floating)
        ):
            raise TypeError(f"{argument} must be a number, not {type(value).__name__}")
        try:
            number = float(value)
        except OverflowError:
            raise TypeError(f"{argument} is too large for {scalar.name}") from None
        if abs(number) > largest and abs(number) != float("inf"):
            raise TypeError(f"{argument} = {number} does not fit {scalar.name}")
        return (number,)

    return pack


def _int_packer(argument: str, scalar: Scalar) -> Packer:
    limits = np.iinfo(scalar.numpy)
    smallest, largest = int(limits.min), int(limits.max)

    def pack(value: Any) -> tuple[int]:
        if type(value) is int and smallest <= value <= largest:
            return (value,)
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{argument} must be a whole number, not {type(value).__name__}")
        number = int(value)
        if not smallest <= number <= largest:
            raise TypeError(
                f"{argument} = {number} does not fit {scalar.name} ({smallest} to {largest})"
            )
        return (number,)

    return pack
