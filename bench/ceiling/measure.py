"""Time candidates on the same layers, in turns and in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Candidate(Protocol):
    """An implementation that computes the layers; only `run` is timed."""

    def start(self) -> None:
        """Copy the input rows into the tiles."""

    def run(self, layers: int) -> None:
        """Compute the first `layers` layers for all rows."""

    def values(self) -> NDArray[np.float32]:
        """Return the activations, float32 (rows, neurons)."""


@dataclass(frozen=True)
class Samples:
    """The median, minimum (least), maximum (most) and all values of several runs."""

    median: float
    least: float
    most: float
    samples: tuple[float, ...]

    @classmethod
    def of(cls, samples: Sequence[float]) -> Samples:
        """Return the statistics of at least one sample."""
        return cls(median(samples), min(samples), max(samples), tuple(samples))


def timed(candidates: Mapping[str, Candidate], layers: int, runs: int) -> dict[str, list[float]]:
    """Return the seconds of each candidate's runs.

    The candidates take turns, and another one begins each round, so that a disturbance affects all
    of them. An additional first round warms up.
    """
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for run in range(runs + 1):
        first = run % len(names)
        for name in names[first:] + names[:first]:
            candidate = candidates[name]
            candidate.start()
            begun = perf_counter()
            candidate.run(layers)
            took = perf_counter() - begun
            if run:
                seconds[name].append(took)
    return seconds


def largest_difference(candidates: Mapping[str, Candidate], depths: Sequence[int]) -> float:
    """Return the largest difference of a value between candidates, after each of `depths` layers.

    NaN if a value is NaN.
    """
    largest = 0.0
    for depth in depths:
        first: NDArray[np.float32] | None = None
        for candidate in candidates.values():
            candidate.start()
            candidate.run(depth)
            values = candidate.values()
            first = values if first is None else first
            largest = float(np.maximum(largest, np.abs(values - first).max()))
    return largest
