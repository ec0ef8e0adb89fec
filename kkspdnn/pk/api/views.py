"""`pk.View`: an array of one to three dimensions, for workunits and for Python."""

from __future__ import annotations

from collections.abc import Iterator
from operator import index
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from kkspdnn.errors import InputError, short_repr
from kkspdnn.pk.api.array_memory import (
    MAX_RANK,
    check_rank,
    memory_space,
    move_array,
    new_array,
    share_array,
)
from kkspdnn.pk.api.data_types import DataTypeClass, double, element_type, is_element_type
from kkspdnn.pk.api.memory import (
    Layout,
    MemorySpace,
    Trait,
    check_layout,
    check_trait,
    get_default_layout,
    supported_memory_space,
)
from kkspdnn.pk.arrays import ArrayHolder, shared_array
from kkspdnn.pk.spaces import ExecutionSpace
from kkspdnn.pk.types import is_gpu_array


class View(ArrayHolder, NDArrayOperatorsMixin):
    """A view of one to three dimensions, whose elements are zero at first.

    `data` is its array: NumPy's, or CuPy's in the memory of a GPU. Launches take a view or its
    array without a copy. Arithmetic, comparisons and NumPy's ufuncs work element by element. An
    index that leaves dimensions over, such as a slice, returns a view on the same memory.
    """

    __slots__ = ("layout", "trait")

    layout: Layout
    trait: Trait

    def __init__(
        self,
        shape: Any,
        dtype: Any = None,
        space: MemorySpace | ExecutionSpace = MemorySpace.MemorySpaceDefault,
        layout: Layout = Layout.LayoutDefault,
        trait: Trait = Trait.TraitDefault,
        array: Any = None,
    ) -> None:
        """Create a view of zeros, or of an array that exists.

        shape: the extents, a list or a tuple of one to three integers
        dtype: a type of PyKokkos such as `pk.float`, Python's `int` (int32) or `float` (double), or
        a dtype of NumPy; None means that of `array`, else `pk.double`
        space: `pk.HostSpace`, or `pk.CudaSpace` for GPU memory; by default that of the default
        execution space
        layout: `pk.LayoutRight`, which is the default; for one dimension `pk.LayoutLeft` is the
        same
        trait: `pk.Unmanaged` for a view of `array`; `pk.RandomAccess` and `pk.Restrict` are hints
        array: share the memory of this array instead; shape and dtype must be its own

        Raises InputError or TypeError for an argument that a view cannot have, and SpaceError for
        GPU memory without CuPy or without a GPU.
        """
        extents = _extents(shape)
        for value, kind in ((layout, Layout), (trait, Trait)):
            if not isinstance(value, kind):
                raise TypeError(f"pk.View takes a pk.{kind.__name__}, not {short_repr(value)}")
        check_layout("pk.View", layout, len(extents))
        check_trait("pk.View", trait)
        if array is not None:
            self.data = _existing(array, extents, dtype, space)
        elif trait is Trait.Unmanaged:
            raise InputError("pk.View: pk.Unmanaged needs array=, or leave the trait out")
        else:
            element = double if dtype is None else element_type(dtype)
            self.data = new_array(extents, element.dtype, supported_memory_space("pk.View", space))
        self.layout = get_default_layout(self.space) if layout is Layout.LayoutDefault else layout
        self.trait = trait

    @classmethod
    def of_array(cls, array: Any, layout: Layout = Layout.LayoutRight) -> View:
        """Return a view of a NumPy or CuPy array, which is not checked, on its memory."""
        view = cls.__new__(cls)
        view.data = array
        view.layout = layout
        view.trait = Trait.Unmanaged
        return view

    @property
    def shape(self) -> tuple[int, ...]:
        """The extents."""
        shape: tuple[int, ...] = self.data.shape
        return shape

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self.data.size)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def dtype(self) -> type[DataTypeClass]:
        """The type of the elements, such as `pk.double`."""
        return element_type(self.data.dtype)

    @property
    def space(self) -> MemorySpace:
        """The memory space in which the view lies."""
        return memory_space(self.data)

    def rank(self) -> int:
        """Return the number of dimensions."""
        return self.ndim

    def extent(self, dimension: int) -> int:
        """Return the size of a dimension, counted from 0."""
        self._check_dimension(dimension)
        return self.shape[dimension]

    def fill(self, value: Any) -> None:
        """Set all elements to a value."""
        self.data.fill(value)

    def resize(self, dimension: int, size: int) -> None:
        """Give one dimension another size.

        The view gets new memory: with the old values where both have them, and zeros elsewhere.
        """
        self._check_dimension(dimension)
        shape = list(self.shape)
        if shape[dimension] == size:
            return
        shape[dimension] = size
        old, extents = self.data, _extents(shape)
        kept = tuple(map(slice, map(min, old.shape, extents)))
        new = new_array(extents, old.dtype, self.space)
        new[kept] = old[kept]
        self.data = new

    def set_precision(self, dtype: Any) -> None:
        """Convert the elements to another type, in new memory."""
        self.data = self.data.astype(element_type(dtype).dtype)

    def _check_dimension(self, dimension: int) -> None:
        if not 0 <= dimension < self.ndim:
            raise InputError(
                f"dimension {dimension}: this view has dimensions 0 to {self.ndim - 1}"
            )

    def __getitem__(self, key: Any) -> Any:
        return self._view_or_value(self.data[_unwrap(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        value = shared_array(value)
        if isinstance(value, (list, tuple)):
            value = np.asarray(value)
        if isinstance(value, np.ndarray) or is_gpu_array(value):
            value = move_array(value, self.space)
        self.data[_unwrap(key)] = value

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Any]:
        return map(self._view_or_value, self.data)

    def __contains__(self, value: object) -> bool:
        return bool((self.data == _unwrap(value)).any())

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data.item())

    def __int__(self) -> int:
        return int(self.data.item())

    def __index__(self) -> int:
        return index(self.data.item())

    # Views are compared element by element, but are keys of dictionaries as objects.
    __hash__ = object.__hash__

    def __str__(self) -> str:
        return str(self.data)

    def __repr__(self) -> str:
        text = np.array2string(_on_host(self.data), separator=", ", prefix="View(")
        return f"View({text}, dtype={self.dtype.__name__})"

    def __getattr__(self, name: str) -> Any:
        # Python calls this for a name that is missing.
        remedy = f"; use view.data.{name}" if hasattr(np.ndarray, name) else ""
        raise AttributeError(f"a pk.View has no `{name}`{remedy}")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Return the NumPy array, for NumPy's functions.

        Raises TypeError for a view in GPU memory.
        """
        if not isinstance(self.data, np.ndarray):
            raise TypeError("this pk.View is in GPU memory: pass cupy.asnumpy(view.data)")
        return np.asarray(self.data, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Apply a ufunc to the arrays. New arrays of a type that a view can have become views."""
        outputs = options.get("out", ())
        if outputs:
            options["out"] = tuple(map(_unwrap, outputs))
        result = getattr(ufunc, method)(*map(_unwrap, inputs), **options)
        if outputs:
            return outputs[0] if len(outputs) == 1 else outputs
        if isinstance(result, tuple):
            return tuple(map(self._view_or_value, result))
        return self._view_or_value(result)

    @property
    def __cuda_array_interface__(self) -> Any:
        """The CUDA Array Interface. Views in host memory have none."""
        if isinstance(self.data, np.ndarray):
            raise AttributeError("a pk.View in host memory has no CUDA Array Interface")
        return self.data.__cuda_array_interface__

    def __dlpack__(self, **options: Any) -> Any:
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()

    def _view_or_value(self, value: Any) -> Any:
        """Return a view of an array, if it can have one; any other value as it is."""
        if 1 <= getattr(value, "ndim", 0) <= MAX_RANK and is_element_type(value.dtype):
            return View.of_array(value, self.layout)
        return value


def array(x: Any, space: MemorySpace | None = None, layout: Layout | None = None) -> View:
    """Return a view of an array, of a PyTorch tensor or of a list of numbers.

    The view shares the memory of an array or a tensor. A list is copied.

    space: where the view shall lie; the elements are copied if they lie elsewhere
    layout: as for `pk.View`

    Raises TypeError or InputError if a view cannot have it.
    """
    data = share_array(x)
    element_type(data.dtype)
    if layout is None or layout is Layout.LayoutDefault:
        layout = Layout.LayoutRight
    check_layout("pk.array", layout, data.ndim)
    if space is not None and space is not MemorySpace.MemorySpaceDefault:
        data = move_array(data, supported_memory_space("pk.array", space))
    return View.of_array(data, layout)


def asarray(
    obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None
) -> View:
    """Return a view of an array, of a PyTorch tensor or of a list, as `pk.array` does.

    dtype: convert the elements to this type
    device: a memory space, as for `pk.array`
    copy: True copies in any case, False refuses what cannot share memory
    """
    view = array(obj, device)
    shared = view.data
    if dtype is not None:
        shared = shared.astype(element_type(dtype).dtype, copy=False)
    if copy is False and (shared is not view.data or isinstance(obj, (list, tuple))):
        raise InputError("pk.asarray: copy=False, but this needs a copy; leave out copy")
    return View.of_array(shared.copy() if copy else shared, view.layout)


def _unwrap(value: Any) -> Any:
    """Return the array of a view, also inside a tuple; any other value as it is."""
    if isinstance(value, ArrayHolder):
        return value.data
    if isinstance(value, tuple):
        return tuple(map(_unwrap, value))
    return value


def _on_host(data: Any) -> Any:
    return move_array(data, MemorySpace.HostSpace)


def _extents(shape: Any) -> tuple[int, ...]:
    """Return the extents of a view; raise InputError or TypeError if it cannot have them.

    shape: integers, or one integer
    """
    try:
        extents = (index(shape),) if np.ndim(shape) == 0 else tuple(map(index, shape))
    except (TypeError, ValueError):
        raise TypeError(
            f"pk.View takes its extents as a list of integers, not {short_repr(shape)}"
        ) from None
    check_rank("pk.View", extents, "give its extents")
    if min(extents) < 0:
        raise InputError(f"pk.View: extent {min(extents)}; extents are 0 or more")
    return extents


def _existing(array: Any, extents: tuple[int, ...], dtype: Any, space: Any) -> Any:
    """Return an array for a view of this shape, dtype and space; raise InputError if it differs."""
    data = share_array(array)
    element = element_type(data.dtype)
    if data.shape != extents:
        raise InputError(f"pk.View: shape {extents}, but array= has shape {data.shape}")
    if dtype is not None and element_type(dtype) is not element:
        raise InputError(
            f"pk.View: dtype {element_type(dtype).__name__}, but array= is of {element.__name__}; "
            "leave dtype out"
        )
    if space is MemorySpace.MemorySpaceDefault or supported_memory_space(
        "pk.View", space
    ) is memory_space(data):
        return data
    raise InputError(
        f"pk.View: array= lies in pk.{memory_space(data).name}; leave space out, or use "
        "pk.array(x, space)"
    )
