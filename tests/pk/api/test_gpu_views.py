"""Views in GPU memory, with a stand-in for CuPy."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pykokkos as pk
import pytest
from fake_cupy import FakeCupyArray, fake_cupy

from kkspdnn.pk.api import array_memory
from kkspdnn.pk.types import DOUBLE, View, infer_type, is_gpu_array


@pytest.fixture(autouse=True)
def _cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy)
    monkeypatch.setattr(array_memory, "selected_device", lambda: SimpleNamespace(number=0))


@pytest.mark.parametrize("space", [pk.CudaSpace, pk.Cuda])
def test_a_new_view_has_an_array_of_cupy(space: Any) -> None:
    view = pk.View([2, 3], space=space)
    assert isinstance(view.data, FakeCupyArray)
    assert view.data.array.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert (view.space, view.layout, view.dtype) == (pk.CudaSpace, pk.LayoutRight, pk.double)
    assert repr(view).startswith("View([[0., 0., 0.],\n")
    assert infer_type(view) is infer_type(np.zeros((2, 3)))
    assert infer_type(view) == View(DOUBLE, 2)


def test_elements_are_copied_between_host_and_gpu() -> None:
    there, here = pk.View([3], space=pk.CudaSpace), pk.View([3])
    for value, expected in [
        (np.ones(3), [1, 1, 1]),
        ([1, 2, 3], [1, 2, 3]),
        (pk.array([4.0, 5, 6]), [4, 5, 6]),
        (7, [7, 7, 7]),
        (pk.array(fake_cupy.asarray(np.arange(3.0))), [0, 1, 2]),
    ]:
        there[:] = value
        assert there.data.array.tolist() == expected
    here[:] = there
    assert here.data.tolist() == [0, 1, 2]
    there[1:] += 1
    assert there.data.array.tolist() == [0, 2, 3]


def test_arrays_are_shared_or_moved() -> None:
    cupy_array = fake_cupy.asarray(np.arange(3.0))
    assert pk.array(cupy_array).data is cupy_array
    assert pk.View([3], array=cupy_array).data is cupy_array
    assert pk.array(cupy_array, pk.CudaSpace).data is cupy_array
    moved = pk.array(cupy_array, pk.HostSpace)
    assert (type(moved.data), moved.data.tolist()) == (np.ndarray, [0, 1, 2])
    assert isinstance(pk.array([1, 2], pk.CudaSpace).data, FakeCupyArray)
    exported = SimpleNamespace(__dlpack_device__=lambda: (2, 0), on_gpu=np.arange(2))
    assert isinstance(pk.array(exported).data, FakeCupyArray)


def test_resize_stays_on_the_gpu() -> None:
    view = pk.array(fake_cupy.asarray(np.arange(3.0)))
    view.resize(0, 4)
    assert view.data.array.tolist() == [0, 1, 2, 0]


def test_only_views_in_gpu_memory_have_its_interface() -> None:
    view = pk.View([3], space=pk.CudaSpace)
    assert view.__cuda_array_interface__ == view.data.__cuda_array_interface__
    assert is_gpu_array(view)
    assert not is_gpu_array(pk.View([3]))
    with pytest.raises(TypeError, match=r"in GPU memory: pass cupy.asnumpy\(view.data\)"):
        np.asarray(view)
