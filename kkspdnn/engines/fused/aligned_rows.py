"""Rows of edges that begin at a multiple of 16 bytes, for the loads of a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ROW_EDGES = 8
"""On a GPU, rows of edges begin at a multiple of this: eight indices of 2 bytes are one load."""

_MAX_PADDED = 1.5
"""At most this ratio of stored to existing edges is accepted. Shorter rows are not aligned, so that
edges are loaded one at a time."""


def padded_size(size: NDArray[np.integer], multiple: int) -> NDArray[np.int64]:
    """Return the number of edges to store for each row: `size`, rounded up to a multiple.

    If the padding were too large, or multiple is 1, the sizes are returned.
    """
    exact = size.astype(np.int64)
    padded = -(-exact // multiple) * multiple
    return padded if padded.sum() <= _MAX_PADDED * exact.sum() else exact


def pad_rows(
    values: NDArray[Any], size: NDArray[np.integer], padded: NDArray[np.int64]
) -> NDArray[Any]:
    """Return rows of `size` elements, one after the other in `values`, as rows of `padded`
    elements. The padding is zero, and no kernel uses it."""
    if np.array_equal(size, padded):
        return values
    begins, stored = np.cumsum(size) - size, np.cumsum(padded) - padded
    target = np.repeat(stored - begins, size) + np.arange(size.sum())
    rows = np.zeros((int(padded.sum()), *values.shape[1:]), values.dtype)
    rows[target] = values
    return rows


def starts(padded: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the index of the first element of each row."""
    return np.cumsum(padded) - padded
