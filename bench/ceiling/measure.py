"""Several ways through the same layers, timed in turn in one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Contender(Protocol):
    """One way through the layers; only `run` is timed."""

    def start(self) -> None:
        """Put the input rows into the tiles."""

    def run(self, layers: int) -> None:
        """Take all rows through the first so many layers."""

    def values(self) -> NDArray[np.float32]:
        """The activations, float32 (rows, neurons)."""


@dataclass(frozen=True)
class Samples:
    """Numbers of several runs, in their order."""

    median: float
    least: float
    most: float
    samples: tuple[float, ...]

    @classmethod
    def of(cls, samples: Sequence[float]) -> Samples:
        """Of at least one number."""
        return cls(median(samples), min(samples), max(samples), tuple(samples))


def timed(contenders: Mapping[str, Contender], layers: int, runs: int) -> dict[str, list[float]]:
    """Seconds of each contender's runs.

    They take turns, and who begins changes from round to round, so that a disturbance meets all of
    them. One more round before the others warms up.
    """
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(runs + 1):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            contender = contenders[name]
            contender.start()
            begun = perf_counter()
            contender.run(layers)
            took = perf_counter() - begun
            if number:
                seconds[name].append(took)
    return seconds


def largest_difference(contenders: Mapping[str, Contender], depths: Sequence[int]) -> float:
    """How far the values of any two contenders' are apart after so many layers, at most; NaN where
    a value is NaN."""
    largest = 0.0
    for depth in depths:
        first: NDArray[np.float32] | None = None
        for contender in contenders.values():
            contender.start()
            contender.run(depth)
            values = contender.values()
            first = values if first is None else first
            largest = float(np.maximum(largest, np.abs(values - first).max()))
    return largest
