"""A model of inference time against the number of ranks, for data parallelism.

The slowest of n ranks computes rows/n rows, which cost I(n) times the mean. At the end the ranks
synchronize in log2(n) steps, as in a tree:

    t(n) = fixed + row * I(n) * rows / n + step * log2(n)

fixed: cost of launches and layers, independent of the rows; row: mean cost of a row; step: barrier
latency of two ranks. The network is not sent: each node generates or reads it before the clock
starts. The model ignores noise of the operating system, slower nodes, and interconnects slower than
`step`, which is measured between two ranks of one node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np


@dataclass(frozen=True)
class Split:
    """The work of the rank with the most work over the mean, for four distributions of the rows.

    dealt: round-robin, as in kkspdnn; neighbours: contiguous blocks of the same number of rows
    sorted_dealt, sorted_neighbours: the same after sorting the rows by their number of nonzeros
    """

    dealt: float
    neighbours: float
    sorted_dealt: float
    sorted_neighbours: float


@dataclass(frozen=True)
class Point:
    """The time of one rank's shard, for a number of ranks, computed by one process alone.

    rows: of the largest shard
    seconds: median over shards of the shortest of several runs; disturbances only add time
    work: see Split
    """

    ranks: int
    rows: int
    seconds: float
    work: Split


@dataclass(frozen=True)
class Run:
    """Runs with mpiexec.

    seconds: of each run; imbalance: longest over mean compute time of the ranks, median of the runs
    """

    ranks: int
    seconds: tuple[float, ...]
    imbalance: float


@dataclass(frozen=True)
class Model:
    """The parameters of the model: seconds per run, per row, and per synchronization step."""

    fixed_seconds: float
    row_seconds: float
    step_seconds: float

    def seconds(self, ranks: int, rows: int, imbalance: float) -> float:
        """Return the predicted time for `rows` rows in total; imbalance: I(n), see Split."""
        computing = self.fixed_seconds + self.row_seconds * imbalance * rows / ranks
        return computing + self.step_seconds * log2(ranks)


def fit(points: Sequence[Point], step_seconds: float) -> Model:
    """Fit fixed and row by least squares of the relative errors, with neither below 0."""
    seconds = np.array([point.seconds for point in points])
    terms = np.array([[1.0, point.rows] for point in points]) / seconds[:, None]
    solution = np.linalg.lstsq(terms, np.ones(len(points)), rcond=None)[0]
    # If one is negative, set it to 0 and fit the other alone.
    fixed, row = (float(value) for value in solution)
    if fixed < 0:
        fixed, row = 0.0, float(terms[:, 1].sum() / (terms[:, 1] ** 2).sum())
    elif row < 0:
        fixed, row = float(terms[:, 0].sum() / (terms[:, 0] ** 2).sum()), 0.0
    return Model(fixed, row, step_seconds)
