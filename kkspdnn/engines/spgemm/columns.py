"""Activations by columns in batches of input rows, and how rows are grouped into batches.

`workunits/columns.py` describes the storage.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kkspdnn.pk.policy import INT32_MAX

LANES_BYTES = 64
"""Bytes of the widest SIMD register: batches are padded to it."""

_DENSE_ROWS = 256
"""Maximum number of rows of a batch of dense columns."""

_DENSE_BYTES = 1 << 21
"""Bytes of the dense columns of a batch, unless it has few rows: more of them miss the L2 cache."""

_MIN_ROWS = 64
"""Minimum number of rows of a batch, if there are as many."""

_LIST_ENTRIES = 32
"""Mean number of entries of a list: with fewer, starting a list costs more than its products."""

_MAX_ROWS = 1 << 16
"""Maximum number of rows of a batch: row numbers are uint16."""

_CHUNK_BYTES = 1 << 26
"""Bytes of the dense columns of a thread. More would be written to memory that is touched for the
first time, which takes longer than to compute them."""

_ITEMS_PER_THREAD = 4
"""Minimum number of work items of a thread, so that threads finish at about the same time."""


@dataclass(frozen=True)
class Grouping:
    """The grouping of rows into batches, and of columns into blocks.

    size: rows of a batch, the last one may have fewer
    blocks: a work item computes 1 / blocks of the columns of a batch
    sparse_limit: maximum number of entries of a list
    """

    rows: int
    size: int
    blocks: int
    sparse_limit: int

    @classmethod
    def choose(
        cls, rows: int, density: float, widest: int, dtype: np.dtype[Any], threads: int
    ) -> Grouping:
        """Return the grouping that is fast for activations of this density.

        density: share of the activations that are not zero
        widest: the largest number of columns of a layer
        """
        lanes = LANES_BYTES // dtype.itemsize
        if is_dense(density):
            fit = _DENSE_BYTES // (widest * dtype.itemsize)
            size = max(_MIN_ROWS, min(fit, _DENSE_ROWS, -(-rows // threads)))
        else:
            size = int(min(_LIST_ENTRIES / max(density, 1e-9), _MAX_ROWS))
        # Places of lists are int32.
        size = min(size, max(lanes, INT32_MAX // (widest + 1)))
        batches = max(1, -(-rows // size))
        size = _round_up(max(1, -(-rows // batches)), lanes)
        batches = max(1, -(-rows // size))
        items = _ITEMS_PER_THREAD * threads
        blocks = 1 if batches >= items or threads == 1 else min(-(-items // batches), widest)
        return cls(rows, size, blocks, sparse_limit(size, dtype))

    @staticmethod
    def chunk_rows(density: float, widest: int, dtype: np.dtype[Any], threads: int) -> int:
        """Return the number of input rows to compute together; activations as in `choose`."""
        if not is_dense(density):
            return INT32_MAX
        rows = max(_CHUNK_BYTES // (widest * dtype.itemsize), _ITEMS_PER_THREAD * _DENSE_ROWS)
        return rows * threads

    @property
    def batches(self) -> int:
        """The number of batches, at least 1."""
        return max(1, -(-self.rows // self.size))

    @property
    def items(self) -> int:
        """The number of work items of a product."""
        return self.batches * self.blocks

    def differs_much(self, other: Grouping) -> bool:
        """Return whether the sizes of batches differ by more than a factor of 4."""
        return not self.size / 4 <= other.size <= self.size * 4


def is_dense(density: float) -> bool:
    """Return whether most columns of activations of this density are dense."""
    return density * 4 * _DENSE_ROWS >= _LIST_ENTRIES


def sparse_limit(size: int, dtype: np.dtype[Any]) -> int:
    """Return the maximum number of entries of a list, in batches of `size` rows.

    A vector of rows takes about as long as an entry, and a list about as long as eight to start.
    """
    return max(0, size * dtype.itemsize // LANES_BYTES - 8)


@dataclass(frozen=True, eq=False)
class Columns:
    """Activations of `columns` neurons by columns. The arrays are those of the workunits.

    capacity: list elements of a block of columns of a batch
    work: estimated work of each work item of the next product
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

    @property
    def rows(self) -> int:
        return self.grouping.rows

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.value.dtype
        return dtype

    @cached_property
    def batch_rows(self) -> Any:
        """int32: rows of each batch, rounded up to a SIMD register."""
        left = self.rows - np.arange(self.grouping.batches) * self.grouping.size
        filled = np.minimum(left, self.grouping.size)
        return _round_up(filled, LANES_BYTES // self.dtype.itemsize).astype(np.int32)

    @property
    def batch_capacity(self) -> int:
        """List elements of a batch."""
        return self.capacity * self.grouping.blocks

    @property
    def density(self) -> float:
        """The share of activations that are not zero."""
        return float(self.count.sum(dtype=np.int64)) / max(1, self.rows * self.columns)

    @property
    def dense_share(self) -> float:
        """The share of activations in dense columns."""
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
    _arrays: list[dict[str, Any]] = field(default_factory=lambda: [{}, {}])
    _turn: int = 0

    def allocate(self, grouping: Grouping, columns: int, work: Any = None) -> Columns:
        """Return uninitialised activations."""
        self._turn = 1 - self._turn
        batches, size, blocks = grouping.batches, grouping.size, grouping.blocks
        # A column that becomes dense may have been written as a list before.
        capacity = -(-columns // blocks) * grouping.sparse_limit + size
        lists = batches * blocks * capacity
        shape = (batches, columns)
        return Columns(
            grouping=grouping,
            columns=columns,
            count=self._take("count", shape, np.int32),
            place=self._take("place", shape, np.int32),
            index=self._take("index", (lists,), np.uint16),
            value=self._take("value", (lists,), self.dtype),
            dense=self._take("dense", (batches * columns, size), self.dtype),
            capacity=capacity,
            work=work,
        )

    def _take(self, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        arrays, size = self._arrays[self._turn], int(np.prod(shape))
        if name not in arrays or arrays[name].size < size:
            arrays[name] = np.empty(size, dtype)
        return arrays[name][:size].reshape(shape)


def _round_up(number: Any, multiple: int) -> Any:
    return -(-number // multiple) * multiple
