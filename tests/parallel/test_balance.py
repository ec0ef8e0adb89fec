"""Balancing layers over ranks: all layers, within the capacities, at even cost."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.parallel.balance import _MEMORY_WEIGHT, balance_layers

COSTS = st.lists(st.integers(0, 1000), min_size=0, max_size=9)


def cost_of(layers: range, costs: list[int]) -> float:
    """The cost of a range of layers with equal sizes and no cost of transfer."""
    memory = _MEMORY_WEIGHT * (sum(costs) or 1) / max(1, len(costs))
    return sum(costs[i] + memory for i in layers)


@given(COSTS, st.integers(1, 4), st.integers(1, 12))
def test_costs_are_as_even_as_the_capacities_allow(
    costs: list[int], ranks: int, capacity: int
) -> None:
    depth = len(costs)
    ranges = balance_layers(costs, [0.0] * depth, [1] * depth, [capacity] * ranks)
    assert [layer for own in ranges for layer in own] == list(range(depth))
    assert len(ranges) == ranks
    if capacity * ranks < depth:
        return
    assert max(len(own) for own in ranges) <= capacity
    best = min(
        max(cost_of(range(a, b), costs) for a, b in itertools.pairwise((0, *ends, depth)))
        for ends in itertools.combinations_with_replacement(range(depth + 1), ranks - 1)
        if all(b - a <= capacity for a, b in itertools.pairwise((0, *ends, depth)))
    )
    assert max(cost_of(own, costs) for own in ranges) <= best * (1 + 1e-6) + 1e-6


def test_first_ranges_are_short_if_rows_are_retired_early() -> None:
    ranges = balance_layers([100, 50, 20, 5, 1, 1, 1, 1], [0] * 8, [1] * 8, [8] * 3)
    assert [len(each) for each in ranges] == [1, 1, 6]


def test_rows_are_transferred_where_few_are_active() -> None:
    costs, transfer_costs = [10.0] * 10, [0.0, *np.full(6, 1000.0), 1.0, 1.0, 1.0]
    assert balance_layers(costs, transfer_costs, [1] * 10, [10, 10])[0] == range(7)


def test_small_capacities_are_exceeded_evenly() -> None:
    ranges = balance_layers([1.0] * 9, [0.0] * 9, [100] * 9, [10, 10, 10])
    assert [len(each) for each in ranges] == [3, 3, 3]
