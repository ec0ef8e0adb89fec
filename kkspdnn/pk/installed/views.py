"""PyKokkos's views of NumPy and CuPy arrays."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from kkspdnn.pk.types import is_gpu_array

_MAX_VIEWS = 1024

_UNKNOWN: tuple[Callable[[], Any], tuple[int, ...], Any] = (lambda: None), (), None
"""The entry of an array without a view."""


class Views:
    """Makes views of C-contiguous arrays, and keeps them.

    A view has the address, shape and dtype of its array and does not keep it alive. So another
    array with all three may have the same view. No array may be resized in place.
    """

    def __init__(self) -> None:
        interface = import_module("pykokkos.interface")
        from_numpy: Callable[..., Any] = import_module("pykokkos.interface.views").from_numpy
        self._from_numpy = from_numpy
        self._spaces = interface.MemorySpace
        self._layout = interface.Layout.LayoutRight
        self._views: dict[tuple[Any, ...], Any] = {}
        # By the identity of an array, which a launch finds faster: the array, its shape, its view.
        self._known: dict[int, tuple[Callable[[], Any], tuple[int, ...], Any]] = {}

    def of(self, array: Any) -> Any:
        """Return the view of an array, for a launch.

        Raises TypeError if it is not C-contiguous.
        """
        reference, shape, view = self._known.get(id(array), _UNKNOWN)
        if reference() is array and shape == array.shape:
            return view
        if not array.flags.c_contiguous:
            raise TypeError("it is not C-contiguous; pass numpy.ascontiguousarray of it")
        if isinstance(array, np.ndarray):
            address = array.__array_interface__["data"][0]
        else:
            address = array.data.ptr
        key = address, array.shape, array.dtype
        view = self._views.get(key)
        if view is None:
            view = self._make(array, address)
            _add(self._views, key, view)
        _add(self._known, id(array), (weakref.ref(array), array.shape, view))
        return view

    def clear(self) -> None:
        """Release all views."""
        self._views.clear()
        self._known.clear()

    def _make(self, array: Any, address: int) -> Any:
        space = self._spaces.HostSpace
        if is_gpu_array(array):
            # PyKokkos takes the address of a GPU array from a NumPy array. It is never read.
            space = self._spaces.CudaSpace
            type_ = np.ctypeslib.as_ctypes_type(array.dtype)
            pointer = ctypes.cast(address, ctypes.POINTER(type_))
            array = np.ctypeslib.as_array(pointer, shape=array.shape)
        return self._from_numpy(array, space, self._layout).array


def _add(known: dict[Any, Any], key: Any, value: Any) -> None:
    """Add an entry to a dictionary of limited size."""
    if len(known) >= _MAX_VIEWS:
        known.clear()
    known[key] = value
