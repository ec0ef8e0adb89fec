"""Views in Python: their memory, indices, arithmetic and conversions."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.errors import InputError, SpaceError


def test_a_new_view_is_of_zeros() -> None:
    view = pk.View([2, 3], pk.float)
    assert type(view.data) is np.ndarray
    assert view.data.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert view.data.flags.c_contiguous
    assert (view.shape, view.size, view.ndim, view.rank()) == ((2, 3), 6, 2, 2)
    assert (view.extent(0), view.extent(1), len(view)) == (2, 3, 2)
    assert (view.dtype, view.data.dtype) == (pk.float, np.float32)
    assert (view.space, view.layout) == (pk.HostSpace, pk.LayoutRight)
    assert pk.View([1]).dtype is pk.double
    assert isinstance(view, pk.Subview)
    assert isinstance(view, pk.ViewType)


@pytest.mark.parametrize("shape", [3, (3,), [3], [np.int64(3)], np.array([3]), range(3, 4)])
def test_extents(shape: Any) -> None:
    assert pk.View(shape).shape == (3,)


def test_an_extent_may_be_zero() -> None:
    assert pk.View([0, 4]).size == 0


@pytest.mark.parametrize(
    ("shape", "error", "words"),
    [
        ([], InputError, "0 dimensions; a view has 1 to 3: give its extents"),
        ([1] * 4, InputError, "4 dimensions; a view has 1 to 3: merge some of them into one"),
        ([2, -1], InputError, "extent -1; extents are 0 or more"),
        ([1.5], TypeError, r"takes its extents as a list of integers, not \[1.5\]"),
        ("ab", TypeError, "takes its extents as a list of integers, not 'ab'"),
        (None, TypeError, "takes its extents as a list of integers, not None"),
    ],
)
def test_extents_that_are_refused(shape: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"^pk.View:? {words}"):
        pk.View(shape)


def test_elements_and_slices_are_in_the_memory_of_the_view() -> None:
    view = pk.View([3, 4], int)
    view[1][2] = 5
    view[0, 1] = 6
    view[:, 3] = [7, 8, 9]
    expected = [[0, 6, 0, 7], [0, 0, 5, 8], [0, 0, 0, 9]]
    assert view.data.tolist() == expected
    column, row, part = view[:, 3], view[1], view[1:, :2]
    assert [type(each) for each in (column, row, part)] == [pk.View] * 3
    column[0] = 70
    row.fill(2)
    part[:] = pk.array([[1, 1], [3, 3]])
    assert view.data.tolist() == [[0, 6, 0, 70], [1, 1, 2, 2], [3, 3, 0, 9]]
    assert isinstance(view[1, 1], np.int32)
    assert view[1][1] == 1
    assert [each.data.tolist() for each in view] == view.data.tolist()
    assert list(view[0]) == [0, 6, 0, 70]
    assert 70 in view
    assert 71 not in view


def test_indices_that_are_arrays_or_views() -> None:
    view = pk.array(np.arange(5.0))
    assert view[view > 2].data.tolist() == [3, 4]
    view[pk.array([0, 4])] = 9
    assert view.data.tolist() == [9, 1, 2, 3, 9]


def test_arithmetic_is_element_by_element() -> None:
    x, y = pk.array([1.0, 4.0]), pk.array(np.array([2, 3], np.int32))
    for value, expected in [
        (x + y, [3, 7]),
        (2 * x, [2, 8]),
        (x - np.ones(2), [0, 3]),
        (np.ones(2) - x, [0, -3]),
        (-x, [-1, -4]),
        (np.sqrt(x), [1, 2]),
        (np.maximum(x, y), [2, 4]),
    ]:
        assert isinstance(value, pk.View)
        assert value.data.tolist() == expected
    assert (y // 2).dtype is pk.int32
    assert [part.data.tolist() for part in np.divmod(y, 2)] == [[1, 1], [0, 1]]
    assert (np.sum(x), np.mean(x), np.dot(x, y), x @ y) == (5, 2.5, 14, 14)
    assert np.add.reduce(x) == 5


def test_comparisons_are_element_by_element() -> None:
    x = pk.array([1.0, 4.0])
    assert (x == 4).tolist() == [False, True]
    assert (x < pk.array([2, 2])).tolist() == [True, False]
    assert not (x != x).any()
    assert {x: 1}[x] == 1


def test_changes_in_place() -> None:
    x = pk.array([1.0, 4.0])
    data, same = x.data, x
    x += 1
    x *= pk.array([2.0, 3.0])
    np.add(x, 1, out=x)
    assert x is same
    assert x.data is data
    assert x.data.tolist() == [5, 16]
    array = np.zeros(2)
    assert np.add(x, x, out=array) is array
    assert array.tolist() == [10, 32]


def test_conversions() -> None:
    view = pk.array([3])
    assert (float(view), int(view), bool(view), [0, 1, 2, 9][view]) == (3.0, 3, True, 9)
    assert np.asarray(view) is view.data
    assert np.array(view) is not view.data
    assert np.asarray(view, np.float32).dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.asarray(view, np.float32, copy=False)
    assert np.from_dlpack(view).tolist() == [3]
    assert str(pk.array([1.5, 2])) == "[1.5 2. ]"
    assert repr(pk.array([1.5, 2])) == "View([1.5, 2. ], dtype=double)"
    for pair in (pk.View([2]),):
        with pytest.raises(ValueError, match="size 1"):
            float(pair)
        with pytest.raises(ValueError, match="ambiguous"):
            bool(pair)


def test_resize_keeps_the_old_values() -> None:
    view = pk.array([[1, 2], [3, 4]])
    view.resize(0, 2)
    view.resize(1, 3)
    assert view.data.tolist() == [[1, 2, 0], [3, 4, 0]]
    view.resize(0, 1)
    assert view.data.tolist() == [[1, 2, 0]]
    with pytest.raises(InputError, match="dimension 2: this view has dimensions 0 to 1"):
        view.resize(2, 1)
    with pytest.raises(InputError, match="dimension -1: this view has"):
        view.extent(-1)
    with pytest.raises(InputError, match="extent -3"):
        view.resize(0, -3)


def test_set_precision_converts_the_elements() -> None:
    view = pk.array([1.5, 2.5])
    view.set_precision(pk.float)
    assert (view.dtype, view.data.tolist()) == (pk.float, [1.5, 2.5])


def test_copies_have_their_own_memory() -> None:
    view = pk.View([2, 2], layout=pk.LayoutRight, trait=pk.RandomAccess)
    for other in (copy.copy(view[0]), copy.deepcopy(view), pickle.loads(pickle.dumps(view))):
        assert isinstance(other, pk.View)
    other = copy.deepcopy(view)
    other.fill(1)
    assert view.data.sum() == 0
    assert other.trait is pk.RandomAccess


def test_a_method_that_is_missing() -> None:
    view = pk.View([2])
    with pytest.raises(AttributeError, match="a pk.View has no `sum`; use view.data.sum$"):
        view.sum()
    with pytest.raises(AttributeError, match="a pk.View has no `nothing`$"):
        view.nothing
    with pytest.raises(AttributeError):
        view.other = 1


def test_a_view_of_an_array() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for view in (
        pk.View([2, 3], array=array),
        pk.View([2, 3], pk.float, trait=pk.Unmanaged, array=array),
        pk.View([2, 3], space=pk.HostSpace, array=pk.array(array)),
        pk.array(array),
        pk.asarray(array),
        pk.array(pk.array(array)),
    ):
        assert np.shares_memory(view.data, array)
        assert (view.dtype, view.shape) == (pk.float, (2, 3))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"shape": [3]}, r"shape \(3,\), but array= has shape \(2,\)"),
        ({"dtype": int}, "dtype int32, but array= is of double; leave dtype out"),
        ({"space": pk.CudaSpace}, "array= lies in pk.HostSpace; leave space out, or use pk.array"),
    ],
)
def test_a_view_of_an_array_that_differs(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=f"^pk.View: {words}"):
        pk.View(**{"shape": [2], "array": np.zeros(2)} | arguments)


def test_gpu_memory_needs_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    words = "views in GPU memory need CuPy: pip install cupy-cuda13x, .* or use pk.HostSpace"
    for space in (pk.CudaSpace, pk.Cuda):
        with pytest.raises(SpaceError, match=words):
            pk.View([2], space=space)
    with pytest.raises(SpaceError, match=words):
        pk.array([1], pk.CudaSpace)
