"""Workunits with few annotations, compiled and run in each host space, against NumPy and SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pykokkos as pk
import pykokkos_kernels as kernels
import pytest
from scipy import special

from kkspdnn.pk.policy import ExecutionSpace

TEAM_SHAPES = [(pk.AUTO, 1), (1, 1)]


def launch(space: ExecutionSpace, items: int, workunit: Any, **arguments: Any) -> None:
    pk.parallel_for(workunit.__name__, pk.RangePolicy(space, 0, items), workunit, **arguments)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_subview_of_a_row(space: ExecutionSpace, rng: np.random.Generator) -> None:
    a, x = rng.random((8, 5)), rng.random(5)
    found = pk.parallel_reduce("w", pk.RangePolicy(space, 0, 8), kernels.row_sums, a=a, x=x)
    assert found == pytest.approx((a @ x).sum(), rel=1e-14)


def test_subviews_of_subviews(space: ExecutionSpace, rng: np.random.Generator) -> None:
    a, b = rng.random((7, 4, 3)), np.zeros((4, 4))
    expected = a.copy()
    launch(space, 4, kernels.columns, a=a, b=b, begin=2, end=6)
    expected[3, :, 2] += 1
    np.testing.assert_array_equal(b[:, :3], expected[3:6, :, 2].T)
    np.testing.assert_array_equal(b[:, 3], 3)
    expected[3, :, 2] += 10
    np.testing.assert_array_equal(a, expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_mathematics(space: ExecutionSpace, rng: np.random.Generator, dtype: Any) -> None:
    x, y = rng.uniform(0.5, 4, 20).astype(dtype), rng.uniform(-9, 9, 20).astype(dtype)
    out = np.zeros((20, 10))
    launch(space, 20, kernels.mathematics, x=x, y=y, out=out)
    x, y = x.astype(np.float64), y.astype(np.float64)
    expected = [
        np.sqrt(x) + np.exp(-x) + np.sin(x),
        np.expm1(x) - np.round(y),
        np.log2(x) + np.log10(x) + np.log1p(x),
        np.cos(x) + np.tan(x) + np.arcsin(x / 8) + np.arccos(x / 8),
        np.arctan(x) + np.arctan2(x, y) + np.sinh(x) + np.cosh(x),
        np.arcsinh(x) + np.arccosh(x + 1) + np.arctanh(x / 8),
        special.erf(x) + special.erfc(x) + special.gammaln(x) + special.gamma(x),
        np.trunc(y) + np.copysign(x, y) + np.fmod(y, x),
        np.hypot(x, y) + np.array(list(map(math.remainder, y, x))) + np.abs(y),
        np.degrees(x) + np.radians(x) + np.pi + np.e + 2 * np.pi,
    ]
    tolerance = 1e-12 if dtype is np.float64 else 2e-5
    np.testing.assert_allclose(out.T, expected, rtol=tolerance, atol=tolerance)


def test_tests_of_special_values(space: ExecutionSpace) -> None:
    x, out = np.array([np.nan, -np.inf, 1.0, np.inf]), np.zeros(4, np.int32)
    launch(space, 4, kernels.special_values, x=x, out=out)
    assert out.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_conversions(space: ExecutionSpace, dtype: Any) -> None:
    n = np.array([-3, 0, 7], dtype)
    out = np.zeros((3, 7))
    launch(space, 3, kernels.conversions, n=n, out=out)
    expected = [abs(n - 5), abs(n), n / 2, n > 2, np.full(3, np.float32(0.1)), n / 4, [8, 8, 8]]
    np.testing.assert_array_equal(out.T, expected)


@pytest.mark.parametrize(("team_size", "vector_length"), TEAM_SHAPES)
def test_scratch_and_single(
    space: ExecutionSpace, rng: np.random.Generator, team_size: Any, vector_length: int
) -> None:
    a, x, y = rng.random((6, 7, 5)), rng.random((6, 5)), rng.random((6, 7))
    policy = pk.TeamPolicy(space, 6, team_size, vector_length)
    found = pk.parallel_reduce(
        "w", policy, kernels.team_sums, rows=7, cols=5, y_view=y, x_view=x, a_view=a
    )
    assert found == pytest.approx(np.einsum("en,enm,em", y, a, x), rel=1e-13)


def test_kinds_of_scratch(space: ExecutionSpace) -> None:
    x, out = np.arange(12, dtype=np.int32).reshape(3, 4), np.zeros((3, 5), np.int32)
    pk.parallel_for("w", pk.TeamPolicy(space, 3, pk.AUTO), kernels.scratch_kinds, x=x, out=out)
    np.testing.assert_array_equal(out[:, :4], 11 * x + 2100)
    np.testing.assert_array_equal(out[:, 4], 11 * x.sum(axis=1))


@pytest.mark.parametrize(("team_size", "vector_length"), TEAM_SHAPES)
def test_ranges_of_pairs(
    space: ExecutionSpace, rng: np.random.Generator, team_size: Any, vector_length: int
) -> None:
    a, b, c = np.zeros((3, 4, 2)), rng.random((3, 4)), rng.random(2)
    policy = pk.TeamPolicy(space, 3, team_size, vector_length)
    pk.parallel_for("w", policy, kernels.outer_sums, a=a, b=b, c=c, n1=4, n2=2)
    np.testing.assert_array_equal(a, b[:, :, None] + c)


def test_ranges_of_triples(space: ExecutionSpace) -> None:
    a = np.zeros((4, 3, 2))
    policy = pk.TeamPolicy(space, 1, pk.AUTO)
    pk.parallel_for("w", policy, kernels.triples, a=a, n0=4, n1=3, n2=2)
    i, j, k = np.indices(a.shape)
    np.testing.assert_array_equal(a, 100 * i + 10 * j + k)


def test_atomics(space: ExecutionSpace) -> None:
    n, d = np.array([0, 0, 0, 0, 1, 64, 37], np.int32), np.array([-1.0, 9.0, 1.0, 1.0])
    launch(space, 5, kernels.atomics, n=n, d=d)
    assert n.tolist() == [10, 5, 7, 28, 32, 2, 7]
    assert d.tolist() == [6.0, 0.0, 32.0, 1 / 32]


def test_printf(space: ExecutionSpace, capfd: pytest.CaptureFixture[str]) -> None:
    launch(space, 3, kernels.report, x=np.array([0.5, 1.25, 100.0]), n=2**40)
    lines = capfd.readouterr().out.splitlines()
    assert sorted(lines) == [
        f'item {i} of "1099511627776": {x}%' for i, x in enumerate(("  0.50", "  1.25", "100.00"))
    ]


def test_work_items_of_other_types(space: ExecutionSpace) -> None:
    """The index is converted, so that its products do not wrap."""
    count = 90_000
    policy, a = pk.RangePolicy(space, 0, count), np.zeros(count, np.int64)
    expected = np.arange(count, dtype=np.int64) ** 2
    assert pk.parallel_reduce(policy, kernels.squares_of_int64, a=a) == expected.sum()
    np.testing.assert_array_equal(a, expected)
    assert pk.parallel_reduce(policy, kernels.squares_of_double) == pytest.approx(expected.sum())
    b = np.zeros((4, 3, 2), np.int64)
    grid = pk.MDRangePolicy([0, 0, 0], [4, 3, 2], space=space)
    pk.parallel_for(grid, kernels.products, a=b)
    i, j, k = np.indices(b.shape)
    np.testing.assert_array_equal(b, i * 3_000_000_000 + j * 10 + k)


def test_work_items_may_be_assigned(space: ExecutionSpace) -> None:
    a = np.zeros((3, 3), np.int64)
    grid = pk.MDRangePolicy([0, 0], [3, 3], space=space)
    pk.parallel_for(grid, kernels.assigned_items, a=a)
    i = np.arange(3)[:, None]
    expected = 10 * i + np.arange(3) + 100 * (i - 1)
    np.testing.assert_array_equal(a[:, 1:], np.hstack([expected[:, 1:2], 0 * i]))
    np.testing.assert_array_equal(a[:, 0], expected[:, 0] + expected[:, 2])


def test_functions_with_views(space: ExecutionSpace) -> None:
    a, b = np.arange(6.0).reshape(3, 2), np.array([[1.0, 0], [-1, 0], [4, 0]])
    b.flags.writeable = False
    expected = a + np.where(b[:, :1] < 0, 0, b[:, :1] - a / 2)
    out = np.zeros(3)
    launch(space, 3, kernels.through_functions, a=a, b=b, out=out)
    np.testing.assert_array_equal(a, expected)
    np.testing.assert_array_equal(out, b[:, 0] / 2 + expected[:, 0] / 2)


def test_a_view_that_a_function_writes_must_be_writeable(space: ExecutionSpace) -> None:
    a, b = np.zeros((3, 2)), np.zeros((3, 2))
    a.flags.writeable = False
    with pytest.raises(TypeError, match="`a` is written by the workunit but is read-only"):
        launch(space, 3, kernels.through_functions, a=a, b=b, out=np.zeros(3))


def test_scratch_views_in_functions(space: ExecutionSpace) -> None:
    out = np.zeros(3)
    policy = pk.TeamPolicy(space, 3, pk.AUTO)
    pk.parallel_for("w", policy, kernels.scratch_through_functions, n=5, out=out)
    assert out.tolist() == [10, 15, 20]


def test_loops_over_extents(space: ExecutionSpace) -> None:
    x, out = np.arange(15, dtype=np.uint8).reshape(5, 3), np.zeros((2, 3), np.int32)
    policy = pk.TeamPolicy(space, 2, pk.AUTO)
    pk.parallel_for("w", policy, kernels.loops_over_extents, x=x, out=out)
    expected = [[sum(k + i + int(x[i, j]) for i in (1, 3)) for j in range(3)] for k in range(2)]
    assert out.tolist() == expected


def test_an_extent_that_is_too_long_for_a_loop(space: ExecutionSpace) -> None:
    """In a function, too; the launch is refused before anything is read."""
    x, out = np.zeros(9, np.uint8), np.zeros(1, np.int32)
    x[3] = 1
    launch(space, 1, kernels.counts, x=x, out=out)
    assert out.tolist() == [1]
    # Zeros that are never touched take no memory.
    with pytest.raises(
        RuntimeError, match=r"range\(x\.extent\(0\)\): the extent is larger than 21"
    ):
        launch(space, 1, kernels.counts, x=np.zeros(2**31, np.uint8), out=out)


def test_forms_of_sums(space: ExecutionSpace) -> None:
    x = np.arange(8.0)
    found = pk.parallel_reduce("w", pk.RangePolicy(space, 0, 8), kernels.sums, x=x)
    assert found == (2 * x + 0.5).sum()
