"""Activations by columns in batches of input rows, and memory for them.

`workunits/columns.py` describes the storage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.engines.spgemm.grouping import Grouping, density_of
from kkspdnn.engines.spgemm.kept_arrays import KeptArrays


@dataclass(frozen=True, eq=False)
class Columns:
    """Activations of `columns` neurons by columns. The arrays are those of the workunits.

    capacity: list elements of a block of columns of a batch
    work: estimated work of each work item of the next product
    known_nonzeros: the number of nonzeros; None if it was not counted
    """

    grouping: Grouping
    columns: int
    count: Any
    place: Any
    index: Any
    value: Any
    dense: Any
    capacity: int
    work: Any
    known_nonzeros: int | None = None

    @property
    def rows(self) -> int:
        return self.grouping.rows

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.value.dtype
        return dtype

    @cached_property
    def batch_rows(self) -> Any:
        """int32: rows of each batch, rounded up to SIMD registers."""
        return self.grouping.batch_rows(self.dtype)

    @property
    def batch_capacity(self) -> int:
        """List elements of a batch."""
        return self.capacity * self.grouping.blocks

    @property
    def nonzeros(self) -> int:
        """The number of activations that are not zero."""
        known = self.known_nonzeros
        return int(self.count.sum(dtype=np.int64)) if known is None else known

    def column_entries(self) -> NDArray[np.int64]:
        """Return the number of nonzeros of each column."""
        entries: NDArray[np.int64] = self.count.sum(axis=0, dtype=np.int64)
        return entries

    @property
    def density(self) -> float:
        """The share of activations that are not zero."""
        return density_of(self.nonzeros, self.rows, self.columns)

    @property
    def dense_share(self) -> float:
        """The share of activations in dense columns."""
        if self.grouping.all_dense:
            return 1.0
        return float((self.place < 0).mean()) if self.place.size else 0.0

    def storage(self) -> dict[str, Any]:
        """Return the arrays as arguments of the workunits."""
        names = ("count", "place", "index", "value", "dense")
        return {name: getattr(self, name) for name in names}


@dataclass(eq=False)
class ColumnMemory:
    """Memory for activations, which grows as needed and is kept from layer to layer.

    Activations take it in turns: `allocate` overwrites the activations before the last ones.
    """

    dtype: np.dtype[Any]
    _arrays: list[KeptArrays] = field(default_factory=lambda: [KeptArrays(), KeptArrays()])
    _turn: int = 0

    def allocate(self, grouping: Grouping, columns: int, work: Any = None) -> Columns:
        """Return uninitialised activations."""
        self._turn = 1 - self._turn
        batches, size, blocks = grouping.batches, grouping.size, grouping.blocks
        # A column that becomes dense may have been written as a list before.
        capacity = -(-columns // blocks) * max(0, grouping.sparse_limit) + size
        lists = batches * blocks * capacity
        take = self._arrays[self._turn].take
        shape = (batches, columns)
        return Columns(
            grouping=grouping,
            columns=columns,
            count=take("count", shape, np.int32),
            place=take("place", shape, np.int32),
            index=take("index", (lists,), np.uint16),
            value=take("value", (lists,), self.dtype),
            dense=take("dense", (batches * columns, size), self.dtype),
            capacity=capacity,
            work=work,
        )
