"""Layers over the ranks of a pipeline: none is lost, rooms are kept, costs are even."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.parallel.balance import _MEMORY, spans

COSTS = st.lists(st.integers(0, 1000), min_size=0, max_size=9)


def cost_of(span: range, costs: list[int]) -> float:
    """With equal sizes; handing over costs nothing."""
    memory = _MEMORY * (sum(costs) or 1) / max(1, len(costs))
    return sum(costs[i] + memory for i in span)


@given(COSTS, st.integers(1, 4), st.integers(1, 12))
def test_costs_are_as_even_as_can_be_within_the_rooms(
    costs: list[int], ranks: int, room: int
) -> None:
    depth = len(costs)
    found = spans(costs, [0.0] * depth, [1] * depth, [room] * ranks)
    assert [layer for span in found for layer in span] == list(range(depth))
    assert len(found) == ranks
    if room * ranks < depth:
        return
    assert max(len(span) for span in found) <= room
    best = min(
        max(cost_of(range(a, b), costs) for a, b in itertools.pairwise((0, *ends, depth)))
        for ends in itertools.combinations_with_replacement(range(depth + 1), ranks - 1)
        if all(b - a <= room for a, b in itertools.pairwise((0, *ends, depth)))
    )
    assert max(cost_of(span, costs) for span in found) <= best * (1 + 1e-6) + 1e-6


def test_rows_that_leave_early_make_first_ranges_short() -> None:
    found = spans([100, 50, 20, 5, 1, 1, 1, 1], [0] * 8, [1] * 8, [8] * 3)
    assert [len(each) for each in found] == [1, 1, 6]


def test_rows_are_handed_over_where_few_are_left() -> None:
    costs, cuts = [10.0] * 10, [0.0, *np.full(6, 1000.0), 1.0, 1.0, 1.0]
    assert spans(costs, cuts, [1] * 10, [10, 10])[0] == range(7)


def test_where_nothing_fits_all_take_more_than_they_can_hold() -> None:
    found = spans([1.0] * 9, [0.0] * 9, [100] * 9, [10, 10, 10])
    assert [len(each) for each in found] == [3, 3, 3]
