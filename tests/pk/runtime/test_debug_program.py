"""Debug mode: an access outside an array and a division by zero raise an exception."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import debug_kernels
import numpy as np
import pykokkos as pk
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kkspdnn.errors import IntegerDivisionError, OutOfBoundsError

HOST_SPACES = (pk.Serial, pk.OpenMP)
TEXT = Path(debug_kernels.__file__).read_text(encoding="utf-8").splitlines()


pytestmark = pytest.mark.usefixtures("debug_mode_on")


@pytest.fixture(params=HOST_SPACES, ids=lambda s: s.value)
def host(request: pytest.FixtureRequest) -> Any:
    """Each execution space of a CPU."""
    return request.param


def place(name: str) -> str:
    """The beginning of a message about the line that ends with `# line: name`."""
    (line,) = [k for k, text in enumerate(TEXT, 1) if text.endswith(f"# line: {name}")]
    return f"{debug_kernels.__file__}:{line}: "


def outside(name: str, workunit: str, index: int, dimension: int, array: str, extent: int) -> str:
    return (
        f"{place(name)}{workunit}: index {index} is out of bounds for dimension {dimension} of "
        f"{array}, which has extent {extent}"
    )


def error_of(action: Any, *arguments: Any, **named: Any) -> str:
    """The line of the exception, which is an IndexError too."""
    with pytest.raises(OutOfBoundsError) as caught:
        action(*arguments, **named)
    assert isinstance(caught.value, IndexError)
    return str(caught.value)


def views(shape: Sequence[int] = (3, 4, 5)) -> dict[str, Any]:
    """Arrays of one to three dimensions with the first extents of `shape`."""
    types = (np.float64, np.float32, np.int32)
    return {
        name: np.arange(math.prod(shape[:rank])).reshape(shape[:rank]).astype(type_)
        for rank, (name, type_) in enumerate(zip("abc", types, strict=True), 1)
    }


def load(
    space: Any, index: Sequence[int], arrays: dict[str, Any], out: np.ndarray | None = None
) -> float:
    """Load the element of the array that has as many dimensions as `index` has entries."""
    out = np.zeros(4) if out is None else out
    p, q, r = [*index, 0, 0][:3]
    policy = pk.RangePolicy(space, 0, 4)
    given = dict(out=out, rank=len(index), p=p, q=q, r=r, **arrays)
    pk.parallel_for("load", policy, debug_kernels.load, **given)
    assert (out == out[0]).all()
    return float(out[0])


def store(space: Any, index: Sequence[int], arrays: dict[str, Any]) -> None:
    p, q, r = [*index, 0, 0][:3]
    policy = pk.RangePolicy(space, 0, 1)
    given = dict(rank=len(index), p=p, q=q, r=r, **arrays)
    pk.parallel_for("store", policy, debug_kernels.store, **given)


BAD = [
    ((3,), 0),
    ((-1,), 0),
    ((-(2**31),), 0),
    ((3, 0), 0),
    ((2, 4), 1),
    ((0, -1), 1),
    ((0, 2**62), 1),
    ((3, 0, 0), 0),
    ((2, 4, 0), 1),
    ((2, 3, 5), 2),
    ((0, 0, -5), 2),
]
"""Indices outside an array of 3 x 4 x 5, and the first dimension that they leave."""


@pytest.mark.parametrize(("index", "dimension"), BAD)
def test_a_load_outside_a_view(host: Any, index: tuple[int, ...], dimension: int) -> None:
    rank = len(index)
    expected = (index[dimension], dimension, "abc"[rank - 1], (3, 4, 5)[dimension])
    assert error_of(load, host, index, views()) == outside(f"load {rank}", "load", *expected)


@pytest.mark.parametrize(("index", "dimension"), BAD)
def test_a_store_outside_a_view(host: Any, index: tuple[int, ...], dimension: int) -> None:
    rank, arrays = len(index), views()
    expected = (index[dimension], dimension, "abc"[rank - 1], (3, 4, 5)[dimension])
    assert error_of(store, host, index, arrays) == outside(f"store {rank}", "store", *expected)
    for name, array in views().items():
        np.testing.assert_array_equal(arrays[name], array)


def test_a_launch_after_a_failed_one_succeeds(host: Any) -> None:
    error_of(load, host, (3,), views())
    assert load(host, (2,), views()) == 2
    assert load(host, (2, 3, 4), views()) == 59


INDICES = st.integers(-3, 6)


@given(
    st.lists(st.integers(0, 4), min_size=3, max_size=3),
    st.one_of([st.tuples(*[INDICES] * rank) for rank in (1, 2, 3)]),
    st.sampled_from(HOST_SPACES),
)
@example([0, 0, 0], (0, 0, 0), pk.Serial)
@example([4, 0, 4], (1, 0, 3), pk.OpenMP)
def test_an_index_is_refused_where_numpy_refuses_it(
    shape: list[int], index: tuple[int, ...], space: Any
) -> None:
    """Except that a negative index does not count from the end."""
    arrays = views(shape)
    array = arrays["abc"[len(index) - 1]]
    try:
        expected = array[index] if min(index) >= 0 else None
    except IndexError:
        expected = None
    if expected is not None:
        assert load(space, index, arrays) == expected
        store(space, index, arrays)
        assert array[index] == expected + 7 if len(index) == 3 else 7
    else:
        error_of(load, space, index, arrays)
        before = array.copy()
        error_of(store, space, index, arrays)
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_an_empty_array(host: Any, rank: int) -> None:
    message = error_of(load, host, (0,) * rank, views((0, 0, 0)))
    expected = outside(f"load {rank}", "load", 0, 0, "abc"[rank - 1], 0)
    assert message == expected


def test_an_empty_range_checks_nothing(host: Any) -> None:
    policy = pk.RangePolicy(host, 0, 0)
    pk.parallel_for("total", policy, debug_kernels.untouched, x=np.ones(0), n=np.ones(0, np.int32))


def test_an_unsigned_index(host: Any) -> None:
    x = np.zeros(4, np.uint8)
    policy = pk.RangePolicy(host, 0, 1)
    message = error_of(
        pk.parallel_for, "u", policy, debug_kernels.unsigned, x=x, k=np.uint64(2**32)
    )
    assert message == outside("unsigned", "unsigned", 2**32, 0, "x", 4)
    assert not x.any()


def test_a_function_and_its_local_array(host: Any) -> None:
    out = np.zeros(3)
    policy = pk.RangePolicy(host, 0, 3)
    given: dict[str, Any] = {"out": out, "parts": 2}
    pk.parallel_for("f", policy, debug_kernels.functions, k=2, **given)
    assert out.tolist() == [2.5, 2.5, 3.5]
    message = error_of(pk.parallel_for, "f", policy, debug_kernels.functions, k=3, **given)
    assert message == outside("pick", "functions", 3, 0, "values", 3)
    with pytest.raises(ZeroDivisionError) as caught:
        pk.parallel_for("f", policy, debug_kernels.functions, out=out, k=1, parts=0)
    problem = "integer division or modulo by zero"
    assert str(caught.value) == f"{place('share')}functions: {problem}"


def test_a_local_array(host: Any) -> None:
    out = np.zeros(2, np.int64)
    policy = pk.RangePolicy(host, 0, 2)
    pk.parallel_for("l", policy, debug_kernels.local_array, out=out, k=1)
    assert out.tolist() == [13, 13]
    for k in (2, -1):
        message = error_of(pk.parallel_for, "l", policy, debug_kernels.local_array, out=out, k=k)
        assert message == outside("local", "local_array", k, 0, "tally", 2)


def test_an_atomic(host: Any) -> None:
    counts, keys = np.zeros((2, 3), np.int64), np.arange(30, dtype=np.int32) % 3
    policy = pk.RangePolicy(host, 0, 30)
    pk.parallel_for("c", policy, debug_kernels.count, counts=counts, keys=keys)
    assert counts.tolist() == [[0, 0, 0], [10, 10, 10]]
    keys[17] = 3
    message = error_of(pk.parallel_for, "c", policy, debug_kernels.count, counts=counts, keys=keys)
    assert message == outside("atomic", "count", 3, 1, "counts", 3)
    assert counts.tolist() == [[0, 0, 0], [20, 20, 19]]


def test_a_reduction(host: Any) -> None:
    x = np.arange(10.0)
    policy = pk.RangePolicy(host, 0, 10)
    assert pk.parallel_reduce("r", policy, debug_kernels.total, x=x, shift=0) == 45
    message = error_of(pk.parallel_reduce, "r", policy, debug_kernels.total, x=x, shift=1)
    assert message == outside("total", "total", 10, 0, "x", 10)


def test_a_scan(host: Any) -> None:
    x = np.zeros(10, np.int64)
    policy = pk.RangePolicy(host, 0, 10)
    assert pk.parallel_scan("s", policy, debug_kernels.prefix, x=x, shift=0) == 10
    assert x.tolist() == list(range(1, 11))
    message = error_of(pk.parallel_scan, "s", policy, debug_kernels.prefix, x=x, shift=-1)
    assert message == outside("prefix", "prefix", -1, 0, "x", 10)


def test_teams_and_nested_functions(host: Any) -> None:
    x, sums = np.ones((3, 2, 4), np.float32), np.zeros(3)
    policy = pk.TeamPolicy(host, 3, pk.AUTO)

    def launch(**changed: int) -> None:
        sizes = {"rows": 2, "lanes": 4, "columns": 4, **changed}
        pk.parallel_for("n", policy, debug_kernels.nested, x=x, sums=sums, **sizes)

    launch()
    assert (x == 2).all()
    assert sums.tolist() == [8, 8, 8]
    message = error_of(launch, lanes=5)
    assert message == outside("lane", "nested", 4, 2, "x", 4)
    assert error_of(launch, rows=3) == outside("lane", "nested", 2, 1, "x", 2)
    assert error_of(launch, columns=5) == outside("column", "nested", 4, 2, "x", 4)
    assert (x == 16).all()


def test_a_subview(host: Any) -> None:
    """The line names the view and its dimension."""
    a, out = np.arange(12.0).reshape(3, 4), np.zeros(3)
    policy = pk.RangePolicy(host, 0, 3)
    pk.parallel_for("p", policy, debug_kernels.part, a=a, out=out, k=3)
    assert out.tolist() == [3, 7, 11]
    message = error_of(pk.parallel_for, "p", policy, debug_kernels.part, a=a, out=out, k=4)
    assert message == outside("part", "part", 4, 1, "a", 4)


def test_scratch_memory_and_a_single_thread(host: Any) -> None:
    out = np.zeros(2)
    policy = pk.TeamPolicy(host, 2, pk.AUTO)
    pk.parallel_for("s", policy, debug_kernels.scratch, out=out, n=3, k=2)
    assert out.tolist() == [5, 5]
    message = error_of(pk.parallel_for, "s", policy, debug_kernels.scratch, out=out, n=3, k=3)
    assert message == outside("scratch", "scratch", 3, 0, "s", 3)


def test_an_atomic_division(host: Any) -> None:
    n, x = np.array([7, 8], np.int32), np.ones(1)
    policy = pk.RangePolicy(host, 0, 1)
    pk.parallel_for("a", policy, debug_kernels.atomic_divisions, n=n, x=x, by=-3)
    assert (n.tolist(), x.tolist()) == ([-2, 2], [-1 / 3])
    with pytest.raises(IntegerDivisionError) as caught:
        pk.parallel_for("a", policy, debug_kernels.atomic_divisions, n=n, x=x, by=0)
    problem = "integer division or modulo by zero"
    assert str(caught.value) == f"{place('atomic division')}atomic_divisions: {problem}"
    assert x.tolist() == [-np.inf]


def test_a_range_of_two_indices(host: Any) -> None:
    x = np.zeros((3, 4))

    def launch(columns: int) -> None:
        pk.parallel_for(
            "g", pk.MDRangePolicy([0, 0], [3, columns], space=host), debug_kernels.grid, x=x
        )

    launch(4)
    assert x.tolist() == [[10 * i + j for j in range(4)] for i in range(3)]
    assert error_of(launch, 5) == outside("grid", "grid", 4, 1, "x", 4)


def divide(space: Any, n: Sequence[int], by: Sequence[int]) -> np.ndarray:
    out = np.zeros((len(n), 5), np.int64)
    arrays = {"n": np.array(n, np.int32), "by": np.array(by, np.int32)}
    policy = pk.RangePolicy(space, 0, len(n))
    pk.parallel_for("d", policy, debug_kernels.divide, out=out, **arrays)
    return out


SMALL = st.integers(-(2**31), 2**31 - 1)


@given(st.lists(st.tuples(SMALL, SMALL | st.integers(-2, 2)), min_size=1, max_size=5))
def test_divisions_have_the_values_of_the_processor(pairs: list[tuple[int, int]]) -> None:
    """They truncate, as in C++."""
    n, by = zip(*pairs, strict=True)
    if 0 in by or (-(2**31), -1) in pairs:
        with pytest.raises(IntegerDivisionError):
            divide(pk.OpenMP, n, by)
        return
    for row, (a, b) in zip(divide(pk.OpenMP, n, by), pairs, strict=True):
        quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
        remainder = a - quotient * b
        assert row[:4].tolist() == [quotient, remainder, quotient, remainder]


def test_a_division_by_zero(host: Any) -> None:
    with pytest.raises(IntegerDivisionError) as caught:
        divide(host, [1], [0])
    problem = "integer division or modulo by zero"
    assert str(caught.value) == f"{place('quotient')}divide: {problem}"
    policy, out = pk.RangePolicy(host, 0, 1), np.zeros(1, np.int64)
    with pytest.raises(ZeroDivisionError) as other:
        pk.parallel_for("r", policy, debug_kernels.remain, out=out, n=5, by=0)
    assert str(other.value) == f"{place('remainder')}remain: {problem}"


def test_a_division_that_overflows(host: Any) -> None:
    with pytest.raises(IntegerDivisionError) as caught:
        divide(host, [-(2**31)], [-1])
    problem = "integer division overflows: the smallest integer divided by -1"
    assert str(caught.value) == f"{place('quotient')}divide: {problem}"


def test_a_failed_check_ends_a_while_loop(host: Any) -> None:
    x, out = np.zeros(5, np.int32), np.zeros(1, np.int32)
    policy = pk.RangePolicy(host, 0, 1)
    message = error_of(pk.parallel_for, "s", policy, debug_kernels.search, x=x, out=out)
    assert message == outside("search", "search", 5, 0, "x", 5)


def test_guarded_accesses_are_in_range(host: Any) -> None:
    x, y = np.array([1.0, 3.0, 2.0, 2.0]), np.zeros(4)
    policy = pk.RangePolicy(host, 0, 4)
    pk.parallel_for("g", policy, debug_kernels.guarded, x=x, y=y)
    assert y.tolist() == [2, 0, 1, 2]
