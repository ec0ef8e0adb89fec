"""MDRangePolicy: each tuple of indices once, in tiles of any size, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kernels
import numpy as np
import pykokkos as pk
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kkspdnn.pk.policy import ExecutionSpace

run_many = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
bounds = st.tuples(st.integers(0, 9), st.integers(0, 12), st.sampled_from([0, 1, 2, 5, 40]))


@run_many
@given(first=bounds, second=bounds)
def test_each_pair_of_indices_once(space: ExecutionSpace, first: Any, second: Any) -> None:
    begin, end, tiling = ([*each] for each in zip(first, second, strict=True))
    visits, place = np.zeros((2, 12, 12), np.int32)
    policy = pk.MDRangePolicy(begin, end, tiling, space)
    pk.parallel_for("w", policy, kernels.count_visits, visits=visits, place=place)
    i, j = np.indices((12, 12))
    inside = (begin[0] <= i) & (i < end[0]) & (begin[1] <= j) & (j < end[1])
    np.testing.assert_array_equal(visits, inside)
    np.testing.assert_array_equal(place, np.where(inside, 1000 * i + j, 0))
    x = (7 * i - 3 * j).astype(np.int64)
    total = pk.parallel_reduce("w", policy, kernels.sum_2d, x=x)
    assert total == x[inside].sum()


def test_three_indices_without_annotation(space: ExecutionSpace) -> None:
    visits = np.zeros((4, 5, 6))
    policy = pk.MDRangePolicy((0, 1, 0), (4, 5, 5), (2, 2, 2), space=space)
    for _ in range(2):
        pk.parallel_for(policy, kernels.count_visits_3d, visits=visits)
    expected = np.zeros((4, 5, 6))
    expected[:, 1:, :5] = 2
    np.testing.assert_array_equal(visits, expected)


def test_six_indices(space: ExecutionSpace) -> None:
    digits = np.zeros(3**6, np.int32)
    policy = pk.MDRangePolicy([0] * 6, np.full(6, 3), space=space)
    pk.parallel_for("w", policy, kernels.visits_6d, digits=digits)
    assert (digits == 1).all()


def test_the_same_workunit_with_one_and_with_two_indices() -> None:
    """With one, the second parameter is an argument."""
    visits, place = np.zeros((2, 4, 4), np.int32)
    views = {"visits": visits, "place": place}
    square = pk.MDRangePolicy([0, 0], [4, 4])
    for _ in range(2):
        pk.parallel_for(4, kernels.count_visits, j=2, **views)
        pk.parallel_for(square, kernels.count_visits, **views)
    assert visits.tolist() == [[2, 2, 4, 2]] * 4
    with pytest.raises(TypeError, match="`j` is an index of the work item here"):
        pk.parallel_for(square, kernels.count_visits, j=2, **views)
    with pytest.raises(TypeError, match="argument `j` is missing"):
        pk.parallel_for(4, kernels.count_visits, **views)


def test_fields_of_a_launch() -> None:
    """Begin, end and tile of each dimension, and the order; a tile is not longer than the range."""
    assert pk.MDRangePolicy([0, 2], [10, 5], [4, 99]).fields == (0, 10, 4, 2, 5, 3, 0)
    assert pk.MDRangePolicy([0, 2], [10, 5]).fields == (0, 10, 0, 2, 5, 0, 0)
    assert pk.MDRangePolicy([0, 5], [10, 2], [4, 4]).fields == (0, 0, 1, 0, 0, 1, 0)
    assert pk.MDRangePolicy([0, 0], [10, 5]).rank == 2


LEFT, RIGHT, DEFAULT = pk.Iterate.Left, pk.Iterate.Right, pk.Iterate.Default


def test_the_order_of_each_space() -> None:
    orders = {
        (policy.space, outer, inner): policy.fields[-1]
        for space in ExecutionSpace
        for outer in pk.Iterate
        for inner in pk.Iterate
        for policy in [pk.MDRangePolicy([0, 0], [1, 1], None, space, outer, inner)]
    }
    for space in ExecutionSpace:
        own = LEFT if space is pk.Cuda else RIGHT
        for outer, inner in ((RIGHT, RIGHT), (RIGHT, LEFT), (LEFT, RIGHT), (LEFT, LEFT)):
            number = 2 * (outer is LEFT) + (inner is LEFT)
            assert orders[space, outer, inner] == number
            if outer is own:
                assert orders[space, DEFAULT, inner] == number
            if inner is own:
                assert orders[space, outer, DEFAULT] == number
        rank = pk.Rank(2, LEFT, RIGHT)
        assert pk.MDRangePolicy([0, 0], [1, 1], None, space, rank=rank).fields[-1] == 2


@pytest.mark.parametrize("outer", [LEFT, RIGHT])
@pytest.mark.parametrize("inner", [LEFT, RIGHT])
def test_work_items_are_done_in_the_order(outer: pk.Iterate, inner: pk.Iterate) -> None:
    """On Serial, in 3 x 2 tiles of 2 x 4 work items."""
    place, next_place = np.full((6, 8), -1, np.int64), np.zeros(1, np.int64)
    rank = pk.Rank(2, outer, inner)
    policy = pk.MDRangePolicy([0, 0], [6, 8], [2, 4], pk.Serial, rank=rank)
    pk.parallel_for("w", policy, kernels.number_visits, place=place, next_place=next_place)
    tiles = np.arange(6).reshape((3, 2), order="F" if outer is LEFT else "C")
    items = np.arange(8).reshape((2, 4), order="F" if inner is LEFT else "C")
    np.testing.assert_array_equal(
        place, 8 * np.kron(tiles, np.ones((2, 4), int)) + np.tile(items, (3, 2))
    )


@pytest.mark.parametrize("outer", [LEFT, RIGHT])
@pytest.mark.parametrize("inner", [LEFT, RIGHT])
def test_sums_in_any_order(space: ExecutionSpace, outer: pk.Iterate, inner: pk.Iterate) -> None:
    x = np.arange(35).reshape(5, 7)
    policy = pk.MDRangePolicy([1, 2], [5, 7], [0, 2], space, outer, inner)
    assert pk.parallel_reduce("w", policy, kernels.sum_2d, x=x) == x[1:, 2:].sum()


LIMIT = 2**31 - 1


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: pk.MDRangePolicy([0], [1]), "has 1 dimensions: 2 to 6 .* one is a RangePolicy"),
        (lambda: pk.MDRangePolicy([0] * 7, [1] * 7), "has 7 dimensions: 2 to 6 are supported"),
        (lambda: pk.MDRangePolicy([0, 0], [1, 1, 1]), "begin has 2 dimensions, but end has 3"),
        (lambda: pk.MDRangePolicy([0, 0], [1, 1], [1]), "begin has 2 dimensions, but tiling has 1"),
        (lambda: pk.MDRangePolicy([0, -1], [1, 1]), r"begin\[1\] = -1 is outside 0 to 2147483647"),
        (lambda: pk.MDRangePolicy([0, 0], [2**31, 1]), r"end\[0\] = 2147483648 is outside"),
        (lambda: pk.MDRangePolicy([0, 0], [1, 1.5]), r"end\[1\] must be a whole number, not float"),
        (lambda: pk.MDRangePolicy([0, 0], [1, 1], [-1, 1]), r"tiling\[0\] = -1 is outside"),
        (lambda: pk.MDRangePolicy(0, 5), "begin must be a list of whole numbers, not int"),
        (lambda: pk.MDRangePolicy([0, 0], "11"), "end must be a list of whole numbers, not str"),
        (lambda: pk.MDRangePolicy([0, 0], [1, 1], pk.Serial), "tiling must be a list .* Execution"),
        (
            lambda: pk.MDRangePolicy([0] * 3, [LIMIT] * 3),
            f"has {LIMIT**3} work items: at most 9223372036854775807 are",
        ),
        (
            lambda: pk.MDRangePolicy([0, 0], [2**20, 2**20], [2**16, 2**15]),
            r"tiling \[65536, 32768\] gives tiles of 2147483648 work items: OpenMP supports at mo",
        ),
        (
            lambda: pk.MDRangePolicy([0, 0], [2**20, 2**20], [2**16, 0]),
            "gives tiles of 68719476736 work items",
        ),
        (
            lambda: pk.MDRangePolicy([0, 0], [2**20, 2**20], [0, 2**16], iter_inner=LEFT),
            "gives tiles of 68719476736 work items",
        ),
        (
            lambda: pk.MDRangePolicy([0, 0], [99, 99], [40, 40], pk.Cuda),
            "gives tiles of 1600 work items: Cuda supports at most 1024",
        ),
        (lambda: pk.MDRangePolicy([0, 0], [1, 1], rank=pk.Rank(3)), "2 dimensions, but rank 3"),
        (lambda: pk.MDRangePolicy([0, 0], [1, 1], iter_inner=1), "iter_inner must be a pk.Iterate"),
        (lambda: pk.Rank(1), "Rank n = 1 is outside 2 to"),
    ],
)
def test_policies_that_are_refused(make: Callable[[], Any], reason: str) -> None:
    with pytest.raises((TypeError, ValueError), match=reason) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_workunits_with_fewer_indices() -> None:
    square = pk.MDRangePolicy([0, 0], [1, 1])
    x = np.zeros(1)
    with pytest.raises(TypeError, match="dot takes fewer than 2 indices, the rank of its policy"):
        pk.parallel_reduce(square, kernels.dot, x=x, y=x)
    with pytest.raises(TypeError, match="takes a team: launch it with a TeamPolicy"):
        pk.parallel_reduce(square, kernels.team_reduction, x=np.zeros((1, 1)))
    team = pk.TeamPolicy(1, 1)
    with pytest.raises(TypeError, match="takes an index: launch it with a RangePolicy"):
        pk.parallel_for(team, kernels.count_visits, visits=x, place=x)
