"""Contiguous ranges of layers for the ranks of a pipeline, of equal cost where memory allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MEMORY = 0.25
"""All layers' memory counts as this part of all their cost: it is why layers are shared at all, and
layers that no row reaches, most of the challenge's, cost nothing else."""

_HALVINGS = 30


def spans(
    costs: Sequence[float], cuts: Sequence[float], sizes: Sequence[int], rooms: Sequence[int]
) -> list[range]:
    """For each rank its layers, in order; some may have none.

    costs, sizes: of each layer its cost and its bytes; cuts: before each layer what handing rows
    over to the next rank would cost the one, and the other as well; rooms: of each rank the bytes
    that it can hold. The largest cost of any rank is made small first, then that of the ranks after
    the first, and so on. Where all rooms together are too small, they are exceeded alike.
    """
    whole, all_bytes = sum(costs) or 1.0, sum(sizes) or 1
    weights = np.array(costs, float) + _MEMORY * whole * np.array(sizes, float) / all_bytes
    cost = np.concatenate([[0.0], np.cumsum(weights)])
    size = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))])
    cut = np.array([*cuts, 0.0])
    if costs:
        cut[0] = 0.0
    room = list(rooms)
    while _filled(cost, cut, size, room, np.inf, 0) is None:
        room = [2 * each + 1 for each in room]
    done: list[range] = []
    while len(done) < len(rooms):
        rest = _least(cost, cut, size, room[len(done) :], done[-1].stop if done else 0)
        done.append(rest[0])
    return done


def _least(
    cost: NDArray[np.float64],
    cut: NDArray[np.float64],
    size: NDArray[np.int64],
    rooms: Sequence[int],
    begin: int,
) -> list[range]:
    """The layers from `begin` on over ranks, under the smallest bound on the cost of any of them:
    what lies between bounds that do and do not do is halved."""
    low, high = 0.0, float(cost[-1] + 2 * cut.max())
    found = _filled(cost, cut, size, rooms, np.inf, begin)
    assert found is not None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        better = _filled(cost, cut, size, rooms, middle, begin)
        if better is None:
            low = middle
        else:
            high, found = middle, better
    return found


def _filled(
    cost: NDArray[np.float64],
    cut: NDArray[np.float64],
    size: NDArray[np.int64],
    rooms: Sequence[int],
    bound: float,
    begin: int,
) -> list[range] | None:
    """Each rank in turn takes as many layers as its room and the bound allow; None where layers are
    left. cost, size: of all layers before each position, and of all."""
    taken: list[range] = []
    depth = cost.size - 1
    for room in rooms:
        end = begin
        most = int(np.searchsorted(size, size[begin] + room, side="right")) - 1
        # Handing over becomes cheaper where rows have left, so that more layers may cost less.
        ends = np.arange(begin + 1, most + 1)
        fitting = ends[cut[begin] + cost[ends] - cost[begin] + cut[ends] <= bound]
        if fitting.size:
            end = int(fitting[-1])
        taken.append(range(begin, end))
        begin = end
    return taken if begin == depth else None
