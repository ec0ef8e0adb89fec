"""The division of layers among the ranks of a pipeline: contiguous ranges of equal cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MEMORY_WEIGHT = 0.25
"""The bytes of all layers count as this fraction of the cost of all layers. A pipeline exists to
divide memory, and most layers of the challenge cost nothing else, because no row reaches them."""

_BISECTIONS = 30


def balance_layers(
    costs: Sequence[float],
    transfer_costs: Sequence[float],
    sizes: Sequence[int],
    capacities: Sequence[int],
) -> list[range]:
    """Return for each rank its range of layers, in order; a range may be empty.

    costs, sizes: for each layer the cost of its computation and its bytes
    transfer_costs: for each layer the cost of transferring its input rows between two ranks, which
    both of them bear
    capacities: for each rank the bytes of layers that it can hold

    The largest cost of any rank is minimized, then that of the ranks after the first, and so on. If
    the capacities are too small for all layers, each is exceeded by the same factor.
    """
    total_cost, total_size = sum(costs) or 1.0, sum(sizes) or 1
    weights = np.array(costs, float)
    weights += _MEMORY_WEIGHT * total_cost * np.array(sizes, float) / total_size
    cost = np.concatenate([[0.0], np.cumsum(weights)])
    size = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))])
    transfer = np.array([*transfer_costs, 0.0])
    if costs:
        transfer[0] = 0.0
    capacity = list(capacities)
    while _fill_ranks(cost, transfer, size, capacity, np.inf, 0) is None:
        capacity = [2 * each + 1 for each in capacity]
    ranges: list[range] = []
    while len(ranges) < len(capacities):
        begin = ranges[-1].stop if ranges else 0
        rest = _minimize_largest_cost(cost, transfer, size, capacity[len(ranges) :], begin)
        ranges.append(rest[0])
    return ranges


def _minimize_largest_cost(
    cost: NDArray[np.float64],
    transfer: NDArray[np.float64],
    size: NDArray[np.int64],
    capacities: Sequence[int],
    begin: int,
) -> list[range]:
    """Return ranges of the layers from `begin` on, with the smallest largest cost, by bisection.

    cost, size: cumulative, before each layer and after the last one
    """
    low, high = 0.0, float(cost[-1] + 2 * transfer.max())
    best = _fill_ranks(cost, transfer, size, capacities, np.inf, begin)
    assert best is not None
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        ranges = _fill_ranks(cost, transfer, size, capacities, middle, begin)
        if ranges is None:
            low = middle
        else:
            high, best = middle, ranges
    return best


def _fill_ranks(
    cost: NDArray[np.float64],
    transfer: NDArray[np.float64],
    size: NDArray[np.int64],
    capacities: Sequence[int],
    bound: float,
    begin: int,
) -> list[range] | None:
    """Give each rank in turn as many layers as its capacity and the bound on its cost allow.

    Returns None if layers are left over. cost, size: cumulative
    """
    ranges: list[range] = []
    depth = cost.size - 1
    for capacity in capacities:
        end = begin
        last = int(np.searchsorted(size, size[begin] + capacity, side="right")) - 1
        # Later layers have fewer active rows to transfer, so a longer range may cost less.
        ends = np.arange(begin + 1, last + 1)
        fitting = ends[transfer[begin] + cost[ends] - cost[begin] + transfer[ends] <= bound]
        if fitting.size:
            end = int(fitting[-1])
        ranges.append(range(begin, end))
        begin = end
    return ranges if begin == depth else None
