"""A model of inference time against ranks, in data parallel.

With n ranks the slowest one computes a part of rows/n rows that costs I(n) times the mean, and all
meet at the end in log2(n) steps, as in any tree:

    t(n) = fixed + row * I(n) * rows / n + step * log2(n)

fixed: launches and layers, whatever the rows; row: a row's mean cost. The network is not sent: each
node makes or reads it, once, before the clock starts. Nothing else is in it: no operating system's
noise, no slower node, no network slower than `step`, which is measured between ranks of one node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

import numpy as np


@dataclass(frozen=True)
class Split:
    """What the work of the slowest rank was, over the mean.

    dealt: rows dealt out in turn, as kkspdnn does; neighbours: the same number of rows to each, one
    behind the other; sorted_dealt, sorted_neighbours: the same for rows sorted by nonzeros
    """

    dealt: float
    neighbours: float
    sorted_dealt: float
    sorted_neighbours: float


@dataclass(frozen=True)
class Point:
    """A rank's part of the rows where there are so many ranks, computed by one process alone.

    rows: of the largest part; seconds: the median over parts of the least time of a few, for what
    else a shared machine does only adds to it; work: see Split
    """

    ranks: int
    rows: int
    seconds: float
    work: Split


@dataclass(frozen=True)
class Run:
    """Whole runs under mpiexec. seconds: of each; imbalance: of their computing, the median."""

    ranks: int
    seconds: tuple[float, ...]
    imbalance: float


@dataclass(frozen=True)
class Model:
    """Seconds: a run's own, a row's, and a step's of the ranks' meeting."""

    fixed_seconds: float
    row_seconds: float
    step_seconds: float

    def seconds(self, ranks: int, rows: int, imbalance: float) -> float:
        """Predicted for `rows` rows in all; imbalance: see Split."""
        computing = self.fixed_seconds + self.row_seconds * imbalance * rows / ranks
        return computing + self.step_seconds * log2(ranks)


def fitted(points: Sequence[Point], step_seconds: float) -> Model:
    """Least squares of relative errors, with neither cost below 0."""
    seconds = np.array([point.seconds for point in points])
    terms = np.array([[1.0, point.rows] for point in points]) / seconds[:, None]
    both = np.linalg.lstsq(terms, np.ones(len(points)), rcond=None)[0]
    # Where one would be below 0, the other alone.
    fixed, row = (float(each) for each in both)
    if fixed < 0:
        fixed, row = 0.0, float(terms[:, 1].sum() / (terms[:, 1] ** 2).sum())
    elif row < 0:
        fixed, row = float(terms[:, 0].sum() / (terms[:, 0] ** 2).sum()), 0.0
    return Model(fixed, row, step_seconds)
