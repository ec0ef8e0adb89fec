"""Activations by columns, written and read with NumPy. `workunits/columns.py` has the storage."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

STORAGE = ("count", "place", "index", "value", "dense")


@dataclass(frozen=True, eq=False)
class Stored:
    """Activations of `columns` neurons for `rows` rows, in batches of `size` rows.

    capacity: list elements of a batch
    """

    rows: int
    size: int
    columns: int
    capacity: int
    batch_rows: Any
    count: Any
    place: Any
    index: Any
    value: Any
    dense: Any

    def storage(self, prefix: str = "") -> dict[str, Any]:
        """Return the arrays as arguments of a workunit."""
        return {f"{prefix}{name}": getattr(self, name) for name in STORAGE}

    def scalars(self, *names: str) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.name in names}


def allocate(
    rows: int, size: int, columns: int, dtype: Any, capacity: int, dense_rows: int | None = None
) -> Stored:
    """Return storage without activations: indices of 65,535 and values of NaN.

    dense_rows: number of dense columns in all batches; None: one for each column
    """
    batches = max(1, -(-rows // size))
    filled = np.clip(rows - np.arange(batches) * size, 0, size)
    lanes = 64 // np.dtype(dtype).itemsize
    dense_rows = batches * columns if dense_rows is None else dense_rows
    return Stored(
        rows=rows,
        size=size,
        columns=columns,
        capacity=capacity,
        batch_rows=(-(-filled // lanes) * lanes).astype(np.int32),
        count=np.full((batches, columns), -1, np.int32),
        place=np.full((batches, columns), -(2**31), np.int32),
        index=np.full(batches * capacity, 2**16 - 1, np.uint16),
        value=np.full(batches * capacity, np.nan, dtype),
        dense=np.full((dense_rows, size), np.nan, dtype),
    )


def store(matrix: Any, size: int, limit: int, seed: int = 0) -> Stored:
    """Store the rows of an array; a list has at most `limit` entries, in random order.

    limit: -1: all columns are dense
    """
    rng = np.random.default_rng(seed)
    rows, columns = matrix.shape
    y = allocate(rows, size, columns, matrix.dtype, columns * max(0, limit) + size)
    for batch, filled in enumerate(y.batch_rows):
        slot = used = 0
        own = matrix[batch * size : (batch + 1) * size]
        for j in range(columns):
            nonzero = rng.permutation(np.flatnonzero(own[:, j]))
            y.count[batch, j] = nonzero.size
            if nonzero.size > limit:
                y.place[batch, j] = -1 - slot
                target = y.dense[batch * columns + slot]
                target[:filled] = 0
                target[: own.shape[0]] = own[:, j]
                slot += 1
            else:
                y.place[batch, j] = used
                first = batch * y.capacity + used
                y.index[first : first + nonzero.size] = nonzero
                y.value[first : first + nonzero.size] = own[nonzero, j]
                used += nonzero.size
    return y


def read(y: Stored) -> Any:
    """Return the rows as an array. The padding of dense columns must be zeros."""
    matrix = np.zeros((y.count.shape[0] * y.size, y.columns), y.value.dtype)
    for batch, filled in enumerate(y.batch_rows):
        own = matrix[batch * y.size : (batch + 1) * y.size]
        for j in range(y.columns):
            place, count = int(y.place[batch, j]), int(y.count[batch, j])
            if place < 0:
                own[:filled, j] = y.dense[batch * y.columns - 1 - place, :filled]
            else:
                first = batch * y.capacity + place
                entries = slice(first, first + count)
                assert np.unique(y.index[entries]).size == count
                own[y.index[entries], j] = y.value[entries]
    assert not matrix[y.rows :].any()
    return matrix[: y.rows]


def check_forms(y: Stored, limit: int) -> None:
    """Assert that counts are those of nonzeros, and that a column is dense if it has more than
    `limit`."""
    matrix = read(y)
    batches = np.arange(0, y.count.shape[0] * y.size, y.size)
    counts = np.add.reduceat(np.vstack([matrix != 0, np.zeros((1, y.columns))]), batches, axis=0)
    assert (y.count == counts).all()
    assert ((y.place < 0) == (counts > limit)).all()
