"""How rows of activations are grouped into batches, and whether their columns are dense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kkspdnn.device.memory import can_overcommit
from kkspdnn.pk.policy import INT32_MAX

ALL_DENSE = -1
"""The `sparse_limit` of activations without lists."""

_LANES_BYTES = 64
"""Bytes of the widest SIMD register: batches of lists are padded to it."""

_REGISTERS = 4
"""SIMD registers of a batch of dense columns: an edge is loaded once for all of them."""

_DENSE, _DENSE_EDGES = 0.035, 0.5
"""Dense columns are as fast as lists at a density of _DENSE + _DENSE_EDGES / fan-in: with few
edges, reading and writing all activations costs more than the products."""

_LIST_ENTRIES = 32
"""Mean number of entries of a list: with fewer, starting a list costs more than its products."""

_MAX_ROWS = 1 << 16
"""Maximum number of rows of a batch: row numbers are uint16."""

_COLUMN_NS = 0.5, 7.0, 250.0
_ROW_NS = 0.45, 0.15, 35.0
"""Nanoseconds of a multiplication on two cores, fitted to random networks of up to 8,192 neurons.

By columns: in a list; to start a list; for an output neuron. By rows: in a row of the weights; for
an activation of the product; to start a row of the weights."""

_LIST_BYTES = 6
"""Bytes of a nonzero in batches with lists, in units of the bytes of an activation in
`bytes_per_row` of the engine. A list has 6 bytes, but in dense columns there may be as few as a
nonzero in each SIMD register, and a run has two buffers."""

_MAX_SPARSE_ROWS = 8
"""Sparse rows that are computed together, in units of the dense rows that fit into memory: address
space is reserved as if all columns were dense."""

_GROWTH = 1.25
"""How many times as dense as the input rows activations may become. If they become denser, the rows
are split, which converts them to CSR and back."""

_CHUNK_BYTES = 1 << 26
"""Bytes of the dense columns of a thread. More would be written to memory that is touched for the
first time, which takes longer than to compute them."""

_MIN_CHUNK_ROWS = 1024
"""Minimum number of rows of a chunk for each thread."""

_ITEMS_PER_THREAD = 4
"""Minimum number of work items of a thread, so that threads finish at about the same time."""


@dataclass(frozen=True)
class Grouping:
    """The grouping of rows into batches, and of columns into blocks.

    size: rows of a batch, the last one may have fewer
    blocks: a work item computes 1 / blocks of the columns of a batch
    sparse_limit: maximum number of entries of a list; ALL_DENSE: all columns are dense, also those
    of zeros
    by_rows: whether the next product is computed row by row, if there is a copy of the weights by
    input neuron
    """

    rows: int
    size: int
    blocks: int
    sparse_limit: int
    by_rows: bool = False

    @property
    def batches(self) -> int:
        """The number of batches, at least 1."""
        return max(1, -(-self.rows // self.size))

    @property
    def items(self) -> int:
        """The number of work items of a product."""
        return self.batches * self.blocks

    @property
    def all_dense(self) -> bool:
        """Whether there are no lists."""
        return self.sparse_limit == ALL_DENSE

    def batch_rows(self, dtype: np.dtype[Any]) -> Any:
        """Return int32: the rows of each batch, rounded up to SIMD registers."""
        left = self.rows - np.arange(self.batches) * self.size
        filled = np.minimum(left, self.size)
        lanes = _LANES_BYTES // dtype.itemsize
        padding = np.where(filled > lanes, _REGISTERS * lanes, lanes) if self.all_dense else lanes
        return _round_up(filled, padding).astype(np.int32)


@dataclass(frozen=True)
class GroupingRule:
    """Chooses the fast grouping for activations of a density: the share that is not zero.

    widest: the largest number of columns of a layer
    fan_in: the mean number of edges of an output neuron
    """

    widest: int
    fan_in: float
    dtype: np.dtype[Any]
    threads: int

    def choose(self, rows: int, density: float) -> Grouping:
        """Return the grouping of rows of activations."""
        lanes = _LANES_BYTES // self.dtype.itemsize
        by_rows = False
        if self._is_dense(density):
            size = lanes * _REGISTERS if rows > lanes else lanes
            limit = ALL_DENSE
        else:
            size = int(min(_LIST_ENTRIES / max(density, 1e-9), _MAX_ROWS))
            # Places of lists are int32.
            size = min(size, max(lanes, INT32_MAX // (self.widest + 1)))
            batches = max(1, -(-rows // size))
            size = _round_up(max(1, -(-rows // batches)), lanes)
            limit = sparse_limit(size, self.dtype)
            by_rows = self._is_faster_by_rows(size, density)
        return Grouping(rows, size, self._blocks(max(1, -(-rows // size))), limit, by_rows)

    def _blocks(self, batches: int) -> int:
        items = _ITEMS_PER_THREAD * self.threads
        if batches >= items or self.threads == 1:
            return 1
        return min(-(-items // batches), self.widest)

    def _is_faster_by_rows(self, size: int, density: float) -> bool:
        """Return whether products are faster row by row than with lists of batches of this size."""
        entries, products = size * density, density * self.fan_in
        if not products:
            return False
        multiplication, start, output = _COLUMN_NS
        columns = multiplication + (start + output / self.fan_in) / entries
        multiplication, activation, start = _ROW_NS
        return multiplication + activation / products + start / self.fan_in < columns

    def is_slow(self, grouping: Grouping, density: float) -> bool:
        """Return whether another grouping is much faster for activations of this density."""
        if grouping.all_dense:
            return not self._is_dense(density * 2)
        best = self.choose(grouping.rows, density)
        return best.all_dense or not grouping.size / 4 <= best.size <= grouping.size * 4

    def chunk_rows(self, density: float) -> int:
        """Return the number of input rows to compute together."""
        if not self._is_dense(density):
            return INT32_MAX
        rows = max(_CHUNK_BYTES // (self.widest * self.dtype.itemsize), _MIN_CHUNK_ROWS)
        return rows * self.threads

    def max_rows(self, density: float, dense_rows: int) -> int:
        """Return the number of rows to compute together.

        dense_rows: the number of rows without zeros that fit into memory

        It is larger than `dense_rows` if so few rows would make short lists. Then it is no larger
        than long lists need, and so many rows fit even if each multiplication makes a nonzero.
        """
        after = min(1.0, _GROWTH * density * max(1.0, self.fan_in))
        if self._is_dense(after) or not can_overcommit():
            return dense_rows
        most = dense_rows * min(_MAX_SPARSE_ROWS, 1 / max(_LIST_BYTES * after, 1e-9))
        enough = _ITEMS_PER_THREAD * self.threads * _LIST_ENTRIES / max(density, 1e-9)
        return int(max(dense_rows, min(most, enough)))

    def fits(self, rows: int, columns: int, nonzeros: int, dense_rows: int) -> bool:
        """Return whether activations fit into the memory of `dense_rows` rows without zeros, in the
        groupings that this rule chooses for them."""
        if rows <= dense_rows:
            return True
        sparse = not self._is_dense(density_of(nonzeros, rows, columns))
        return sparse and _LIST_BYTES * nonzeros <= dense_rows * self.widest

    def _is_dense(self, density: float) -> bool:
        return density >= _DENSE + _DENSE_EDGES / max(self.fan_in, 1.0)


def density_of(nonzeros: int, rows: int, columns: int) -> float:
    """Return the share of activations that are not zero; 0 if there are no activations."""
    return nonzeros / max(1, rows * columns)


def sparse_limit(size: int, dtype: np.dtype[Any]) -> int:
    """Return the maximum number of entries of a list, in batches of `size` rows.

    A vector of rows takes about as long as an entry, and a list about as long as eight to start.
    """
    return max(0, size * dtype.itemsize // _LANES_BYTES - 8)


def _round_up(number: Any, multiple: Any) -> Any:
    return -(-number // multiple) * multiple
