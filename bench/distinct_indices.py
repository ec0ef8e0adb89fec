"""Random subsets of 0, 1, …, n - 1, all of one size, as rows of ascending indices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kkspdnn.model.layers import Indices, index_dtype


def distinct_indices(rng: np.random.Generator, rows: int, count: int, below: int) -> Indices:
    """Return [rows, count] indices from 0 to `below` - 1: in each row distinct and ascending.

    Every subset of `count` indices has the same probability.
    """
    if 2 * count > below:
        return _all_but(distinct_indices(rng, rows, below - count, below), below)
    dtype = index_dtype(below)
    found: Indices = rng.integers(0, below, (rows, count), dtype=dtype)
    found.sort(axis=1)
    # A repeated index is drawn again, until none is left. No step prefers an index to another, so
    # the subsets stay equally probable.
    pending = np.arange(rows)
    while pending.size:
        part = found[pending]
        repeated = np.zeros(part.shape, np.bool_)
        np.equal(part[:, 1:], part[:, :-1], out=repeated[:, 1:])
        incomplete = repeated.any(axis=1)
        pending, part, repeated = pending[incomplete], part[incomplete], repeated[incomplete]
        part[repeated] = rng.integers(0, below, np.count_nonzero(repeated), dtype=dtype)
        part.sort(axis=1)
        found[pending] = part
    return found


def _all_but(absent: Indices, below: int) -> Indices:
    rows, count = absent.shape
    present: NDArray[np.bool_] = np.ones((rows, below), np.bool_)
    present[np.arange(rows)[:, None], absent] = False
    columns: Indices = np.nonzero(present)[1].astype(index_dtype(below))
    return columns.reshape(rows, below - count)
