"""Activations in tiles, `y[tile][neuron][lane]`: the rows that are computed, and moving them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.inputs import Inputs
from kkspdnn.spaces import Space
from workunits import compact, tiles

DEAD, LIVE, SATURATED = 0, 1, 2
"""What compact.find_state says of a row."""


@dataclass(frozen=True)
class Shape:
    """What all tiles of a run have in common.

    widest: the most neurons of any layer; dtype: float32 or float64
    """

    space: Space
    dtype: np.dtype[Any]
    widest: int

    @property
    def lanes(self) -> int:
        """Rows in a tile."""
        return self.space.lanes(self.dtype)

    def tiles(self, rows: int) -> int:
        """Tiles that hold so many rows."""
        return -(-rows // self.lanes)


class Tiles:
    """Up to `capacity` rows in two buffers of tiles, used in turn.

    ids: int64, the number of the input row that each row came from, ascending
    """

    def __init__(self, shape: Shape, capacity: int) -> None:
        self.shape = shape
        self.rows = 0
        self.neurons = shape.widest
        size = shape.tiles(capacity) * shape.widest * shape.lanes
        self._front = np.empty(size, shape.dtype)
        self._back = np.empty(size, shape.dtype)
        self._ids = np.empty(capacity, np.int64)
        self._moved = np.empty(capacity, np.int64)
        self._state = np.empty(capacity, np.int32)
        # Zeros: the warm-up moves every row, also the dead, which have no place in the list.
        self._kept = np.zeros(capacity, np.int32)
        self._place = np.zeros(capacity, np.int64)
        self._zero = shape.dtype.type(0)

    @property
    def count(self) -> int:
        """Tiles in use."""
        return self.shape.tiles(self.rows)

    @property
    def front(self) -> NDArray[Any]:
        """The activations, [tile][neuron][lane]."""
        return self._shaped(self._front, self.count, self.neurons)

    @property
    def ids(self) -> NDArray[np.int64]:
        """The input rows that the rows came from."""
        return self._ids[: self.rows]

    def back(self, neurons: int) -> NDArray[Any]:
        """The other buffer, for as many tiles of so many neurons; `swap` makes it the front."""
        return self._shaped(self._back, self.count, neurons)

    def swap(self, neurons: int) -> None:
        """The buffers change places; the new front has so many neurons."""
        self._front, self._back = self._back, self._front
        self.neurons = neurons

    def _shaped(self, buffer: NDArray[Any], count: int, neurons: int) -> NDArray[Any]:
        lanes = self.shape.lanes
        return buffer[: count * neurons * lanes].reshape(count, neurons, lanes)

    def load(self, inputs: Inputs, first: int) -> None:
        """Take these input rows, the first of which is number `first`."""
        space, lanes = self.shape.space, self.shape.lanes
        self.rows = inputs.rows
        self.neurons = inputs.neurons
        self._ids[: self.rows] = np.arange(first, first + self.rows)
        if self.rows == 0:
            return
        if inputs.bits is not None:
            space.pk.parallel_for(
                "unpack_bits",
                space.teams(self.count),
                tiles.unpack_bits,
                bits=np.ascontiguousarray(inputs.bits),
                y=self.front,
                rows=self.rows,
                neurons=self.neurons,
                columns=inputs.bits.shape[1],
                lanes=lanes,
            )
            return
        csr = inputs.to_csr(self.shape.dtype)
        self.front.fill(0)
        space.pk.parallel_for(
            "unpack_csr",
            space.range(self.rows),
            tiles.unpack_csr,
            start=csr.indptr.astype(np.int64),
            index=csr.indices.astype(np.uint32),
            value=csr.data,
            y=self.front,
            lanes=lanes,
        )

    def find_state(self, ymax: Any) -> int:
        """Find out what every row is; the number of those that are neither dead nor saturated.

        ymax: what every value of a saturated row is; infinity: no row counts as saturated
        """
        if self.rows == 0:
            return 0
        space = self.shape.space
        space.pk.parallel_for(
            "find_state",
            space.range(self.rows),
            compact.find_state,
            y=self.front,
            state=self._state,
            ymax=ymax,
            neurons=self.neurons,
            lanes=self.shape.lanes,
        )
        total = space.pk.parallel_scan(
            "list_live",
            space.range(self.rows),
            compact.list_live,
            state=self._state,
            kept=self._kept,
            place=self._place,
            neurons=self.neurons,
            lanes=self.shape.lanes,
        )
        return int(total)

    def saturated(self) -> NDArray[np.int64]:
        """The input rows that the last find_state found saturated."""
        found: NDArray[np.int64] = self.ids[self._state[: self.rows] == SATURATED]
        return found

    def keep_live(self, living: int) -> None:
        """Move the `living` rows that the last find_state counted together; drop the others."""
        if 0 < living < self.rows:
            self._gather(self._back, living, 0)
            self._gather_ids(self._moved, living)
            self._front, self._back = self._back, self._front
            self._ids, self._moved = self._moved, self._ids
        self.rows = living

    def append_live(self, other: Tiles, living: int) -> None:
        """Put the `living` rows that `other`'s last find_state counted behind these rows."""
        self.neurons = other.neurons
        if living == 0:
            return
        other._gather(self._front, living, self.rows)
        other._gather_ids(self._ids[self.rows :], living)
        self.rows += living

    def _gather(self, target: NDArray[Any], living: int, offset: int) -> None:
        """Rows `offset` to `offset + living` of target become the kept rows."""
        space, lanes = self.shape.space, self.shape.lanes
        first = offset // lanes
        last = self.shape.tiles(offset + living)
        space.pk.parallel_for(
            "gather_rows",
            space.teams(last - first),
            compact.gather_rows,
            x=self._front,
            y=self._shaped(target, last, self.neurons)[first:],
            place=self._place,
            zero=self._zero,
            offset=offset - first * lanes,
            count=living,
            neurons=self.neurons,
            lanes=lanes,
        )

    def _gather_ids(self, target: NDArray[np.int64], living: int) -> None:
        space = self.shape.space
        space.pk.parallel_for(
            "gather_ids",
            space.range(living),
            compact.gather_ids,
            ids=self._ids,
            moved=target,
            kept=self._kept,
        )

    def to_csr(self) -> sp.csr_array:
        """The activations as CSR (rows, neurons)."""
        if self.rows == 0:
            return sp.csr_array((0, self.neurons), dtype=self.shape.dtype)
        parts = [sp.csr_array(np.ascontiguousarray(tile.T)) for tile in self.front]
        return sp.csr_array(sp.vstack(parts, format="csr")[: self.rows])
