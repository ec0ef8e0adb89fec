"""Activations in tiles of two sides: the rows that are computed, and moving them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.device.space import Space
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Indices, index_dtype
from kkspdnn.workunits import compact, tiles

_ALIGNMENT = 4096
"""Tiles begin at a page, so that no SIMD load straddles two cache lines. NumPy's own arrays begin
16 bytes into one, and a layer then takes 1.4 times as long. CuPy's begin at 512 bytes."""


@dataclass(frozen=True)
class Shape:
    """What all tiles of a run have in common.

    dtype: float32 or float64, or uint8 for the bits of input rows and counts of them
    widest: the most neurons of any layer; lanes: rows in a tile
    """

    space: Space
    dtype: np.dtype[Any]
    widest: int
    lanes: int

    @classmethod
    def of(cls, space: Space, dtype: np.dtype[Any], widest: int) -> Shape:
        """Of tiles of activations, as the space likes them best."""
        return cls(space, dtype, widest, space.lanes(dtype))

    def for_counts(self, inputs: int, outputs: int) -> Shape:
        """The same for the bytes on both sides of a first layer."""
        return replace(self, dtype=np.dtype(np.uint8), widest=max(inputs, outputs))

    def tiles(self, rows: int) -> int:
        """Tiles that hold so many rows."""
        return -(-rows // self.lanes)


def aligned(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array that is not initialised and begins at a page."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -raw.ctypes.data % _ALIGNMENT
    return raw[begin : begin + size].view(kind).reshape(shape)


def in_order(neurons: int) -> Indices:
    """Each neuron in its own place."""
    return np.arange(neurons, dtype=index_dtype(neurons))


def room(space: Space, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
    """As `aligned`, where the workunits run."""
    return space.empty(shape, dtype) if space.gpu else aligned(shape, dtype)


class Tiles:
    """Up to `capacity` rows in tiles of two sides, `all[tile][side * widest + neuron][lane]`; the
    activations are on one side, and the next layer's go to the other. All arrays are where the
    workunits run, on a GPU those of CuPy.

    Tiles that are never written to take no memory.

    ids: int64, the number of the input row that each row came from, ascending
    """

    def __init__(self, shape: Shape, capacity: int) -> None:
        self.shape = shape
        self.capacity = capacity
        self.rows = 0
        self.neurons = shape.widest
        self.side = 0
        space, count = shape.space, shape.tiles(capacity)
        self._all = room(space, (count, 2 * shape.widest, shape.lanes), shape.dtype)
        self._turned: Any = None
        self._ids = space.empty(capacity, np.int64)
        self._kept = space.empty(capacity, np.int64)
        ranges = (count, space.team_size, shape.lanes)
        self._lowest = space.zeros(ranges, shape.dtype)
        self._highest = space.zeros(ranges, shape.dtype)
        # Zeros: the warm-up moves every row, also the dead, which have no place in the list.
        self._place = space.zeros(capacity, np.int64)
        self._zero = shape.dtype.type(0)

    def touch(self, rows: int) -> None:
        """Write zeros to both sides of the tiles of so many rows, each by the thread that will
        compute it: the system then finds memory for them now, and near that thread. That of a GPU
        is there once it was asked for."""
        self.neurons = self.shape.widest
        for side in (0, 1) if rows and not self.shape.space.gpu else ():
            self._gather(self, 0, 0, side, self.shape.tiles(rows))

    @property
    def count(self) -> int:
        """Tiles in use."""
        return self.shape.tiles(self.rows)

    @property
    def first(self) -> int:
        """Where in a tile the activations begin."""
        return self.side * self.shape.widest

    @property
    def all(self) -> Any:
        """The tiles in use, with both sides."""
        return self._all[: self.count]

    @property
    def front(self) -> Any:
        """The activations, [tile][neuron][lane]."""
        return self.all[:, self.first : self.first + self.neurons]

    @property
    def filled(self) -> tuple[Any, Any]:
        """The activations of the rows: of full tiles, and of the last one that is not."""
        full, rest = divmod(self.rows, self.shape.lanes)
        return self.front[:full], self.front[full:, :, :rest]

    @property
    def ids(self) -> NDArray[np.int64]:
        """The input rows that the rows came from, in NumPy's array on a GPU too."""
        return self.shape.space.to_host(self._ids[: self.rows])

    def swap(self, layers: int, neurons: int) -> None:
        """So many layers were computed, the last of which has so many neurons."""
        self.side = (self.side + layers) % 2
        self.neurons = neurons

    def _take(self, inputs: Inputs, first: int) -> None:
        self.rows = inputs.rows
        self.neurons = inputs.neurons
        self.side = 0
        self._ids[: self.rows] = self.shape.space.xp.arange(first, first + self.rows)

    def take(self, other: Tiles) -> None:
        """Take the rows of other tiles, but for their activations."""
        self.rows, self.neurons, self.side = other.rows, other.neurons, 0
        self._ids[: self.rows] = other._ids[: self.rows]

    def load_constant(self, values: NDArray[Any], neurons: int) -> None:
        """Take a row for each of these values, which has it everywhere."""
        self.rows, self.neurons, self.side = values.size, neurons, 0
        lanes = np.zeros((self.count, 1, self.shape.lanes), self.shape.dtype)
        lanes.reshape(-1)[: self.rows] = values
        self.front[...] = self.shape.space.to_device(lanes)

    def range(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The least and the largest value of each row."""
        front, to_host = self.front, self.shape.space.to_host
        least, most = (to_host(each).reshape(-1) for each in (front.min(axis=1), front.max(axis=1)))
        return least[: self.rows], most[: self.rows]

    def load(self, inputs: Inputs, first: int, places: Indices) -> None:
        """Take these input rows, the first of which is number `first`.

        places: where each neuron is to be in a tile
        """
        space, lanes = self.shape.space, self.shape.lanes
        self._take(inputs, first)
        if self.rows == 0:
            return
        if inputs.bits is not None:
            self._unpack(inputs, places)
            return
        if inputs.dense is not None:
            space.pk.parallel_for(
                "unpack_dense",
                space.teams(self.count),
                tiles.unpack_dense,
                x=space.to_device(inputs.to_dense(self.shape.dtype)),
                permutation=space.to_device(places),
                y=self.all,
                zero=self._zero,
                rows=self.rows,
                neurons=inputs.neurons,
                lanes=lanes,
            )
            return
        csr = inputs.to_csr(self.shape.dtype)
        self.front.fill(0)
        space.pk.parallel_for(
            "unpack_csr",
            space.range(self.rows),
            tiles.unpack_csr,
            start=space.to_device(csr.indptr.astype(np.int64)),
            index=space.to_device(places[csr.indices].astype(np.uint32)),
            value=space.to_device(csr.data),
            y=self.all,
            lanes=lanes,
        )

    def _unpack(self, inputs: Inputs, places: Indices) -> None:
        assert inputs.bits is not None
        space, columns = self.shape.space, inputs.bits.shape[1]
        if self._turned is None:
            turned = self._all.shape[0], columns, self.shape.lanes
            self._turned = room(space, turned, np.uint8)
        space.pk.parallel_for(
            "unpack_bits",
            space.teams(self.count),
            tiles.unpack_bits,
            bits=space.to_device(inputs.bits),
            permutation=space.to_device(places),
            transposed=self._turned,
            y=self.all,
            rows=self.rows,
            neurons=inputs.neurons,
            row_bytes=columns,
            lanes=self.shape.lanes,
        )

    def find_live(self, ends: ExitBounds, ymax: Any) -> int:
        """Find out which rows go on, because none of these ends is theirs; gives their number."""
        if self.rows == 0:
            return 0
        space, lanes = self.shape.space, self.shape.lanes
        space.pk.parallel_for(
            "find_range",
            space.teams(self.count),
            compact.find_range,
            a=self.all,
            row_min=self._lowest,
            row_max=self._highest,
            first=self.first,
            neurons=self.neurons,
            blocks=space.team_size,
            lanes=lanes,
        )
        total = space.pk.parallel_scan(
            "list_active",
            space.range(self.rows),
            compact.list_active,
            row_min=self._lowest.reshape(-1),
            row_max=self._highest.reshape(-1),
            max_zero=ends.dead,
            min_saturated=ends.saturated,
            ymax=ymax,
            ids=self._ids,
            active_ids=self._kept,
            offset=self._place,
            first=self.first,
            stride=2 * self.shape.widest,
            blocks=space.team_size,
            lanes=lanes,
        )
        return int(total)

    def saturated(self, ends: ExitBounds, ymax: Any) -> NDArray[np.int64]:
        """The input rows that the last find_live, of these ends, found saturated."""
        lowest = self._lowest[: self.count].min(axis=1).reshape(-1)[: self.rows]
        highest = self._highest[: self.count].max(axis=1).reshape(-1)[: self.rows]
        found = ends.grows(lowest, highest, ymax)
        return self.shape.space.to_host(self._ids[: self.rows][found])

    def keep_live(self, living: int) -> None:
        """Move the `living` rows that the last find_live counted together; drop the others."""
        if 0 < living < self.rows:
            self._gather(self, living, 0, 1 - self.side)
            self.side = 1 - self.side
            self._ids, self._kept = self._kept, self._ids
        self.rows = living

    def append_live(self, other: Tiles, living: int) -> None:
        """Put the `living` rows that `other`'s last find_live counted behind these rows."""
        if living == 0:
            return
        self.neurons = other.neurons
        other._gather(self, living, self.rows, self.side)
        self._ids[self.rows : self.rows + living] = other._kept[:living]
        self.rows += living

    def _gather(
        self, target: Tiles, living: int, before: int, side: int, tiles: int | None = None
    ) -> None:
        """Rows `before` to `before + living` on a side of target become the kept rows; all others
        of its tiles from there on, to the last of these rows or to `tiles`, zeros."""
        space, lanes = self.shape.space, self.shape.lanes
        count = self.shape.tiles(before + living) if tiles is None else tiles
        space.pk.parallel_for(
            "gather_rows",
            space.teams(count - before // lanes),
            compact.gather_rows,
            x=self._all.reshape(-1),
            a=target._all[:count],
            offset=self._place,
            zero=self._zero,
            first_row=before,
            count=living,
            first=side * self.shape.widest,
            neurons=self.neurons,
            lanes=lanes,
        )

    def write(self, target: Any, places: Any) -> None:
        """Write the activations into the rows of `target` (input rows, neurons), an array where the
        workunits run, that the rows came from.

        places: where each neuron is in a tile, likewise an array there
        """
        space = self.shape.space
        space.pk.parallel_for(
            "pack_dense",
            space.teams(self.count),
            tiles.pack_dense,
            a=self.all,
            permutation=places,
            ids=self._ids,
            y=target,
            rows=self.rows,
            first=self.first,
            neurons=self.neurons,
            lanes=self.shape.lanes,
        )

    def to_csr(self, kept: NDArray[np.bool_], places: Any) -> sp.csr_array:
        """The activations of the rows that are kept, bool[rows], as CSR (kept, neurons).

        places: where each neuron is in a tile, an index of NumPy
        """
        lanes, parts = self.shape.lanes, list[sp.csr_array]()
        for number, tile in enumerate(self.shape.space.to_host(self.front)):
            found = np.flatnonzero(kept[number * lanes : (number + 1) * lanes])
            if found.size:
                parts.append(sp.csr_array(np.ascontiguousarray(tile[places][:, found].T)))
        if len(parts) == 1:
            return parts[0]
        empty = sp.csr_array((0, self.neurons), dtype=self.shape.dtype)
        return sp.csr_array(sp.vstack([empty, *parts], format="csr"))
