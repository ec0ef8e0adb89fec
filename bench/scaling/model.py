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

import numpy as np

from kkspdnn.records.rank_study import RankModel, ShardTime


def fit(points: Sequence[ShardTime], step_seconds: float) -> RankModel:
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
    return RankModel(fixed, row, step_seconds)
