"""The memory of views: new arrays, and arrays that share the memory of others."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from kkspdnn.errors import InputError, SpaceError, short_repr
from kkspdnn.pk.api.memory import MemorySpace
from kkspdnn.pk.arrays import ArrayHolder, is_tensor, shared_array
from kkspdnn.pk.system.cuda_driver import selected_device
from kkspdnn.pk.types import is_gpu_array

MAX_RANK = 3
"""The maximum number of dimensions of a view."""

_CUDA_DEVICES = (2, 13)
"""DLPack's kDLCUDA and kDLCUDAManaged."""


def new_array(shape: tuple[int, ...], dtype: np.dtype[Any], space: MemorySpace) -> Any:
    """Return an array of zeros in a memory space.

    Raises SpaceError for GPU memory without CuPy or without a GPU.
    """
    if space is MemorySpace.HostSpace:
        return np.zeros(shape, dtype)
    cupy = import_cupy()
    with cupy.cuda.Device(selected_device().number):
        return cupy.zeros(shape, dtype)


def move_array(array: Any, space: MemorySpace) -> Any:
    """Return the array in a memory space: itself, or a copy if it lies in another one."""
    if space is memory_space(array):
        return array
    cupy = import_cupy()
    if space is MemorySpace.HostSpace:
        return cupy.asnumpy(array)
    with cupy.cuda.Device(selected_device().number):
        return cupy.asarray(array)


def memory_space(array: Any) -> MemorySpace:
    """Return the memory space in which an array lies."""
    return MemorySpace.HostSpace if isinstance(array, np.ndarray) else MemorySpace.CudaSpace


def share_array(value: Any) -> Any:
    """Return a NumPy or CuPy array of a value, in the same memory if it is an array.

    value: an array of NumPy, CuPy or another library with DLPack, the CUDA Array Interface or
    Python's buffer protocol, a view, a PyTorch tensor, or a list. Lists are copied.

    Raises TypeError or InputError if it is none of these, is masked, or has no dimension.
    """
    if is_tensor(value) or isinstance(value, ArrayHolder):
        value = shared_array(value)
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("pk.array: a masked array; pass its values, for example x.filled(0)")
    if isinstance(value, np.ndarray):
        array = value.view(np.ndarray)
    elif is_gpu_array(value):
        array = import_cupy().asarray(value)
    elif hasattr(value, "__dlpack_device__"):
        on_gpu = value.__dlpack_device__()[0] in _CUDA_DEVICES
        array = import_cupy().from_dlpack(value) if on_gpu else np.from_dlpack(value)
    else:
        array = _convert(value)
    check_rank("pk.array", array.shape, "put the number into a list")
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def check_rank(where: str, shape: tuple[int, ...], remedy: str) -> None:
    """Raise InputError unless a view can have as many dimensions.

    where: the beginning of the error message; remedy: its end, if there is no dimension
    """
    if not 1 <= len(shape) <= MAX_RANK:
        remedy = "merge some of them into one" if shape else remedy
        raise InputError(f"{where}: {len(shape)} dimensions; a view has 1 to {MAX_RANK}: {remedy}")


def import_cupy() -> Any:
    """Import CuPy. Raises SpaceError if it is not installed."""
    try:
        return import_module("cupy")
    except ImportError as error:
        raise SpaceError(
            "views in GPU memory need CuPy: pip install cupy-cuda13x, for CUDA 12 cupy-cuda12x, or "
            "use pk.HostSpace"
        ) from error


def _convert(value: Any) -> Any:
    """Return a new array of a list of numbers or arrays; of a buffer, an array that shares it."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"pk.array: {error}") from error
    if array.dtype == np.object_:
        raise TypeError(f"pk.array takes numbers or an array, not {short_repr(value)}")
    return array
