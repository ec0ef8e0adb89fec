"""All constructs of the language, compiled and run in each space, against NumPy or Python."""

from __future__ import annotations

import math

import kernels
import numpy as np
import pykokkos as pk
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.pk.policy import ExecutionSpace

run_many = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
small_ints = st.integers(-20_000, 20_000)
finite = st.floats(-1e6, 1e6, allow_subnormal=False)


def run_in_python(workunit: object, items: int, **arguments: object) -> None:
    """Run a workunit in Python, item by item."""
    views = {k: Extents(v) if isinstance(v, np.ndarray) else v for k, v in arguments.items()}
    for i in range(items):
        workunit.function(i, **views)  # type: ignore[attr-defined]


class Extents:
    """A NumPy array with the method `extent` of a view."""

    def __init__(self, array: NDArray[np.generic]) -> None:
        self.array = array

    def __getitem__(self, index: int) -> object:
        return self.array[index]

    def __setitem__(self, index: int, value: object) -> None:
        self.array[index] = value

    def extent(self, dimension: int) -> int:
        return self.array.shape[dimension]


@run_many
@given(n=arrays(np.int32, st.integers(0, 20), elements=st.integers(-3, 20)))
def test_control_flow_is_that_of_python(space: ExecutionSpace, n: NDArray[np.int32]) -> None:
    out = np.full((len(n), 9), -7, np.int64)
    expected = out.copy()
    pk.parallel_for("w", pk.RangePolicy(space, 0, len(n)), kernels.control_flow, n=n, out=out)
    run_in_python(kernels.control_flow, len(n), n=n.astype(object), out=expected)
    np.testing.assert_array_equal(out, expected)


@run_many
@given(x=arrays(np.float64, st.integers(0, 20), elements=st.floats(-5, 5)))
def test_functions_are_those_of_python(
    space: ExecutionSpace, x: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = np.zeros(len(x))
    expected = out.copy()
    pk.parallel_for("w", pk.RangePolicy(space, 0, len(x)), kernels.functions, x=x, out=out)
    with monkeypatch.context() as patch:
        for name in ("clamp", "twice_clamped", "parity"):
            patch.setattr(kernels, name, getattr(kernels, name).function)
        run_in_python(kernels.functions, len(x), x=x, out=expected)
    np.testing.assert_allclose(out, expected, rtol=1e-14)


def truncated(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.int64]:
    """The quotient of C++, rounded towards zero."""
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


@run_many
@given(data=st.data(), n=st.integers(0, 9))
def test_operators_are_those_of_cpp(space: ExecutionSpace, data: st.DataObject, n: int) -> None:
    a = data.draw(arrays(np.int32, n, elements=small_ints))
    b = data.draw(arrays(np.int32, n, elements=small_ints.filter(bool)))
    u = data.draw(arrays(np.uint64, n, elements=st.integers(0, 2**64 - 1)))
    x = data.draw(arrays(np.float64, n, elements=finite))
    y = data.draw(arrays(np.float64, n, elements=finite.filter(lambda v: abs(v) > 1e-3)))
    whole, real = np.zeros((26, n), np.int64), np.zeros((9, n))
    shifted = np.zeros(n, np.uint64)
    policy = pk.RangePolicy(space, 0, n)
    views = {"whole": whole, "real": real, "shifted": shifted}
    pk.parallel_for("w", policy, kernels.operators, a=a, b=b, u=u, x=x, y=y, **views)
    p, q = a.astype(np.int64), b.astype(np.int64)
    quotient = truncated(p, q)
    w = (p + q - 3) * q
    bits = ((((w - 1000 * truncated(w, np.full_like(w, 1000))) | 8) & 1023) ^ 5) << 2 >> 1
    expected = [p + q, p - q, p * q, quotient, p - q * quotient, p & q, p | q, p ^ q, ~p, -p, p]
    expected += [(p & 255) << 3, p >> 2, np.trunc(x), p < q, p <= q, p > q, p >= q, p == q, p != q]
    expected += [
        ((p < 0) & (q < 0)) | ~(p > q),
        w,
        bits,
        quotient,
        p > 3,
        np.full(n, 5 * 10**9),
    ]
    for row, (actual, wanted) in enumerate(zip(whole, expected, strict=True)):
        np.testing.assert_array_equal(actual, wanted, err_msg=f"whole[{row}]")
    reals = [
        x + y,
        x - y,
        x * y,
        x / y,
        p / q,
        x**2,
        x + p,
        (x + y) * 2 - p,
        np.full(n, 0.101),
    ]
    np.testing.assert_allclose(real, np.array(reals), rtol=1e-13, atol=1e-9)
    by = (np.arange(n) & 7).astype(np.uint64)
    np.testing.assert_array_equal(shifted, (u >> np.uint64(3)) ^ (u << by))


@run_many
@given(data=st.data(), n=st.integers(0, 9))
def test_mathematics(space: ExecutionSpace, data: st.DataObject, n: int) -> None:
    x = data.draw(arrays(np.float64, n, elements=st.floats(1e-3, 50)))
    y = data.draw(arrays(np.float64, n, elements=st.floats(-20, 20)))
    out = np.zeros((10, n))
    pk.parallel_for("w", pk.RangePolicy(space, 0, n), kernels.mathematics, x=x, y=y, out=out)
    expected = [np.sqrt(x), np.abs(y), np.exp(y), np.log(x), np.floor(y), np.ceil(y), np.tanh(y)]
    expected += [np.fmin(x, y), np.fmax(x, y), np.power(x, y)]
    np.testing.assert_allclose(out, np.array(expected), rtol=1e-12)


def test_views_of_every_type_and_rank(space: ExecutionSpace) -> None:
    names = "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64".split()
    arguments = {}
    for letter, dtype in zip("abcdefghrs", names, strict=True):
        if dtype.startswith("float"):
            ends = [np.finfo(dtype).min, -0.0, np.nan, np.inf, np.finfo(dtype).tiny]
            shape: tuple[int, ...] = (3, 5, 4)
        else:
            ends = [np.iinfo(dtype).min, np.iinfo(dtype).max, 0, 1, 77]
            shape = (3, 5)
        arguments[letter] = np.array(ends, dtype)
        arguments[f"out_{letter}"] = np.zeros(shape, dtype)
    pk.parallel_for("w", pk.RangePolicy(space, 0, 5), kernels.every_view, **arguments)
    for letter in "abcdefghrs":
        out = arguments[f"out_{letter}"]
        expected = np.zeros_like(out)
        expected[(1, slice(None), 2) if out.ndim == 3 else 1] = arguments[letter]
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("end", ["min", "max"])
def test_numbers_of_every_type(space: ExecutionSpace, end: str) -> None:
    numbers = {
        letter: int(getattr(np.iinfo(dtype), end))
        for letter, dtype in zip(
            "abcdefgh",
            "int8 int16 int32 int64 uint8 uint16 uint32 uint64".split(),
            strict=True,
        )
    }
    wide, last, real = np.zeros(9, np.int64), np.zeros(1, np.uint64), np.zeros(3)
    pk.parallel_for(
        "w",
        pk.RangePolicy(space, 0, 1),
        kernels.every_number,
        **numbers,
        r=np.float32(0.1),
        s=-math.inf,
        n=np.int64(-5),
        x=3,
        flag=end == "max",
        wide=wide,
        last=last,
        real=real,
    )
    assert wide.tolist() == [*(numbers[c] for c in "abcdefg"), -5, end == "max"]
    assert last.tolist() == [numbers["h"]]
    assert real.tolist() == [float(np.float32(0.1)), -math.inf, 3.0]


@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 3, 4), (5, 0, 0)])
def test_extents(space: ExecutionSpace, shape: tuple[int, int, int]) -> None:
    out = np.zeros(3, np.int64)
    a = np.zeros(shape, np.float32)
    pk.parallel_for("w", pk.RangePolicy(space, 0, 1), kernels.extents, a=a, out=out)
    assert tuple(out) == shape


def test_the_launch_sets_the_types_of_parameters_without_annotation(
    space: ExecutionSpace,
) -> None:
    policy = pk.RangePolicy(space, 0, 3)
    for dtype in (np.float32, np.float64):
        x = np.array([1, 0.1, 3], dtype)
        y = np.zeros(3, dtype)
        pk.parallel_for("w", policy, kernels.generic, x=x, y=y, scale=dtype(0.5))
        np.testing.assert_array_equal(y, x)


def test_generated_names_do_not_clash_with_those_of_the_workunit(space: ExecutionSpace) -> None:
    x = np.zeros(2, np.int32)
    numbers = {"j_end": 1, "x_0": 10, "policy_begin": 100, "p": 1000, "functor": 10000}
    policy = pk.RangePolicy(space, 0, 2)
    pk.parallel_for("w", policy, kernels.names_of_cpp_neighbours, x=x, **numbers)
    assert x.tolist() == [49 + 11111 + 3 + 9] * 2


@run_many
@given(
    x=arrays(np.float64, st.integers(0, 300), elements=st.floats(-9, 9)), begin=st.integers(0, 9)
)
def test_reductions(space: ExecutionSpace, x: NDArray[np.float64], begin: int) -> None:
    policy = pk.RangePolicy(space, begin, len(x))
    total = pk.parallel_reduce("w", policy, kernels.dot, x=x, y=x)
    assert isinstance(total, float)
    assert total == pytest.approx(float(x[begin:] @ x[begin:]), rel=1e-12)


def test_a_reduction_past_32_bits(space: ExecutionSpace) -> None:
    policy = pk.RangePolicy(space, 0, 1000)
    assert pk.parallel_reduce("w", policy, kernels.count_long, step=2**40) == 1000 * 2**40


def test_reductions_of_other_types(space: ExecutionSpace) -> None:
    policy = pk.RangePolicy(space, 0, 10)
    assert pk.parallel_reduce("w", policy, kernels.count_short) == 6
    x = np.full(10, 0.25, np.float32)
    assert pk.parallel_reduce("w", policy, kernels.sum_float, x=x) == 2.5


@run_many
@given(x=arrays(np.int64, st.integers(0, 300), elements=st.integers(-(2**40), 2**40)))
def test_scans(space: ExecutionSpace, x: NDArray[np.int64]) -> None:
    before, after = np.zeros_like(x), np.zeros_like(x)
    policy = pk.RangePolicy(space, 0, len(x))
    total = pk.parallel_scan("w", policy, kernels.running_sum, x=x, before=before, after=after)
    assert total == x.sum()
    np.testing.assert_array_equal(after, np.cumsum(x))
    np.testing.assert_array_equal(before, np.cumsum(x) - x)


@run_many
@given(tiles=st.integers(0, 4), rows=st.integers(0, 7), lanes=st.integers(0, 37))
@pytest.mark.parametrize("team_size", [1, pk.AUTO])
def test_nested_ranges_two_deep(
    space: ExecutionSpace, team_size: int, tiles: int, rows: int, lanes: int
) -> None:
    x = np.random.default_rng(7).normal(size=(tiles, rows, lanes))
    y = np.full_like(x, np.nan)
    policy = pk.TeamPolicy(space, tiles, team_size)
    pk.parallel_for("w", policy, kernels.two_deep, x=x, y=y, rows=rows, lanes=lanes)
    factor = np.arange(1, rows + 1)[:, None]
    expected = np.maximum(np.cumsum(x, axis=1), 0) * factor
    np.testing.assert_allclose(y, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("vector_length", [1, 8])
def test_any_number_of_lanes(space: ExecutionSpace, dtype: type, vector_length: int) -> None:
    random = np.random.default_rng(3)
    for lanes in range(41):
        x = random.integers(-4, 5, (2, 3, lanes)).astype(dtype)
        y = np.full((2, 5, lanes), np.nan, dtype)
        bias = random.integers(-3, 4, 5).astype(dtype)
        policy = pk.TeamPolicy(space, 2, pk.AUTO, vector_length)
        arguments = {"x": x, "y": y, "bias": bias, "zero": dtype(0), "top": dtype(6)}
        pk.parallel_for("w", policy, kernels.lanes_of, **arguments)
        z = np.einsum("k,tkv->tv", bias[:3], x)[:, None, :]
        expected = np.clip(np.where(z != 0, z + bias[:, None], 0), 0, 6)
        np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_lanes_of_many_vectors(space: ExecutionSpace, dtype: type) -> None:
    """On a CPU in one register each, and for the remainder in parts of it."""
    random = np.random.default_rng(3)
    for lanes in range(41):
        x = random.integers(-4, 5, (2, 3, lanes)).astype(dtype)
        counts = random.integers(0, 256, (2, lanes)).astype(np.uint8)
        y = np.full((2, 2, lanes + 1), np.nan, dtype)
        policy = pk.TeamPolicy(space, 2, pk.AUTO)
        arguments = {"x": x, "y": y, "counts": counts, "factor": dtype(0.5)}
        pk.parallel_for("w", policy, kernels.many_lanes_of, **arguments)
        first = 0.5 * counts
        np.testing.assert_array_equal(y[:, 0, :lanes], first + (x * x[:, :1]).sum(axis=1))
        largest = np.maximum(first, x.max(axis=1))
        np.testing.assert_array_equal(y[:, 1, :lanes], largest - x[:, 0])
        assert np.isnan(y[:, :, lanes]).all()


@pytest.mark.parametrize("vector_length", [1, 8])
def test_lanes_of_bytes(space: ExecutionSpace, vector_length: int) -> None:
    random = np.random.default_rng(3)
    for lanes in (0, 1, 15, 16, 63, 64, 65, 300, 600):
        x = random.integers(0, 256, (2, 3, lanes)).astype(np.uint8)
        y, z = np.full((2, 2, lanes), 99, np.uint8), np.full((2, 1, lanes), 99, np.uint8)
        policy = pk.TeamPolicy(space, 2, pk.AUTO, vector_length)
        pk.parallel_for("w", policy, kernels.lanes_of_bytes, x=x, y=y, z=z, limit=300)
        wide = x.astype(int)
        total, most = (250 + wide.sum(axis=1)) % 256, wide.max(axis=1)
        np.testing.assert_array_equal(y[:, 0], np.where(total <= 200, (total - most) % 256, total))
        np.testing.assert_array_equal(y[:, 1], most)
        np.testing.assert_array_equal(z[:, 0], (wide[:, 0] + wide[:, 1]) % 256)


@run_many
@given(rows=st.integers(0, 5), columns=st.integers(2, 40))
@pytest.mark.parametrize("team_size", [1, 2, pk.AUTO])
def test_team_reductions_and_barriers(
    space: ExecutionSpace, team_size: int, rows: int, columns: int
) -> None:
    if team_size == 2 and (space is ExecutionSpace.Serial or usable_cores() < 2):
        team_size = 1
    x = np.random.default_rng(1).integers(-9, 9, (rows, columns)).astype(np.float64)
    out, counts = np.zeros((rows, columns + 1)), np.zeros(rows, np.int64)
    policy = pk.TeamPolicy(space, rows, team_size)
    pk.parallel_for("w", policy, kernels.team_sums, x=x, out=out, counts=counts)
    j = np.arange(columns)
    evens = ((j[:, None] + j) % 2 == 0).sum(axis=1)
    total, late = x.sum(1, keepdims=True), x[:, 2:].sum(1, keepdims=True)
    expected = x - total + late * 2 + 1000 * evens
    np.testing.assert_array_equal(out[:, :-1], expected)
    np.testing.assert_array_equal(out[:, -1], expected.sum(axis=1))
    assert (counts >= 1).all()
    total = pk.parallel_reduce("w", policy, kernels.team_reduction, x=x)
    assert total == x.sum()


@run_many
@given(key=arrays(np.int32, st.integers(0, 300), elements=st.integers(0, 6)))
def test_atomics(space: ExecutionSpace, key: NDArray[np.int32]) -> None:
    n = len(key)
    whole = np.zeros((4, 7), np.int64)
    whole[3] = 10**6
    small = np.array([2**32 - 1, 0, 0], np.uint32)
    real, slot, used = np.zeros(7), np.zeros(n, np.int32), np.zeros(1, np.int32)
    views = {"whole": whole, "small": small, "real": real, "slot": slot, "used": used}
    pk.parallel_for("w", pk.RangePolicy(space, 0, n), kernels.atomics, key=key, **views)
    counts = np.bincount(key, minlength=7)
    items = [np.flatnonzero(key == k) for k in range(7)]
    np.testing.assert_array_equal(whole[0], 2 * counts)
    np.testing.assert_array_equal(whole[1], [-i.sum() for i in items])
    np.testing.assert_array_equal(whole[2], [i.max(initial=0) for i in items])
    np.testing.assert_array_equal(whole[3], [i.min(initial=10**6) for i in items])
    bits = sum(1 << k for k in range(7) if counts[k])
    odd = sum(1 << k for k in range(7) if counts[k] % 2)
    assert small.tolist() == [2**32 - 1 - bits, bits, odd]
    np.testing.assert_array_equal(real, counts / 2)
    np.testing.assert_array_equal(np.sort(slot), np.arange(n))
    assert used[0] == n
