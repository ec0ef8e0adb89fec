"""Activations in tiles, and the launches that check, compact and copy their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.fused.row_loader import RowLoader
from kkspdnn.engines.fused.tile_shape import TileShape
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Indices, index_dtype
from kkspdnn.workunits import compact, tiles


def identity_permutation(neurons: int) -> Indices:
    """Return 0, 1, … neurons - 1: each neuron has its own number as index in a tile."""
    return np.arange(neurons, dtype=index_dtype(neurons))


class Tiles:
    """Up to `capacity` rows in tiles, `array[tile][buffer * widest + neuron][lane]`.

    A tile has two buffers. The current activations are in buffer `buffer`, 0 or 1; the next layer
    writes the other one. All arrays are in the memory of the execution space, on a GPU CuPy arrays.
    On a CPU a page gets physical memory when it is first written to.

    count: number of tiles with rows; array: these tiles, both buffers. They are set with `rows`,
    because each launch needs them, and CuPy takes as long for a slice as half a launch.

    ranges: the smallest and the largest activation of each row, as the workunits write them, with
    up to `max_entries` entries a tile
    """

    def __init__(self, shape: TileShape, capacity: int) -> None:
        self.shape = shape
        self.capacity = capacity
        self.neurons = shape.widest
        self.buffer = 0
        space, count = shape.space, shape.tile_count(capacity)
        self._array = space.empty((count, 2 * shape.widest, shape.lanes), shape.dtype)
        self.count, self.array = count, self._array
        self.rows = 0
        self._loader = RowLoader(shape)
        self._ids = space.empty(capacity, np.int64)
        self._active_ids = space.empty(capacity, np.int64)
        self.max_entries = space.launch.team_size
        self.ranges = space.empty((count * self.max_entries, 2, shape.lanes), shape.dtype)
        self._entries = 0
        self._flat = self._array.reshape(-1)
        # Zeros: the warm-up copies all rows, but the list has the offsets of active rows only.
        self._offset = space.zeros(capacity, np.int64)
        self._zero = shape.dtype.type(0)

    def first_touch(self, rows: int) -> None:
        """Write zeros to both buffers of the tiles of `rows` rows, each by the thread that computes
        it, so that the system allocates their pages now and on the NUMA node of that thread. Does
        nothing on a GPU."""
        self._set_activations(self.shape.widest, self.buffer)
        for buffer in (0, 1) if rows and not self.shape.space.gpu else ():
            self._gather_rows(self, 0, 0, buffer, self.shape.tile_count(rows))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self._rows

    @rows.setter
    def rows(self, rows: int) -> None:
        count = self.shape.tile_count(rows)
        if count != self.count:
            self.count, self.array = count, self._array[:count]
        self._rows = rows

    @property
    def first_neuron(self) -> int:
        """The index of neuron 0 of the current activations in a tile."""
        return self.buffer * self.shape.widest

    @property
    def activations(self) -> Any:
        """The current activations, [tile][neuron][lane], in all lanes."""
        return self.array[:, self.first_neuron : self.first_neuron + self.neurons]

    @property
    def row_activations(self) -> tuple[Any, Any]:
        """The current activations of the rows only: those of full tiles, and those of the last,
        partly filled tile."""
        full, rest = divmod(self.rows, self.shape.lanes)
        return self.activations[:full], self.activations[full:, :, :rest]

    @property
    def ids(self) -> NDArray[np.int64]:
        """The number of the input row of each row, ascending, as a NumPy array."""
        return self.shape.space.to_host(self._ids[: self.rows])

    def swap_buffers(self, layers: int, neurons: int, entries: int = 0) -> None:
        """Record that `layers` layers were computed, the last of which has `neurons` outputs, and
        that `ranges` has this number of entries a tile for them; 0: it was not written."""
        self._set_activations(neurons, (self.buffer + layers) % 2, entries)

    def _set_activations(self, neurons: int, buffer: int, entries: int = 0) -> None:
        self.neurons, self.buffer, self._entries = neurons, buffer, entries

    def copy_ids(self, other: Tiles) -> None:
        """Take over the rows of other tiles without their activations, which are undefined here."""
        self.rows = other.rows
        self._set_activations(other.neurons, 0)
        self._ids[: self.rows] = other._ids[: self.rows]

    def load_constants(self, values: NDArray[Any], neurons: int) -> None:
        """Load one row for each value, with this value in all neurons. Ids are undefined."""
        self.rows = values.size
        self._set_activations(neurons, 0)
        lanes = np.zeros((self.count, 1, self.shape.lanes), self.shape.dtype)
        lanes.reshape(-1)[: self.rows] = values
        self.activations[...] = self.shape.space.to_device(lanes)

    def row_ranges(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the smallest and the largest activation of each row, as NumPy arrays."""
        values, to_host = self.activations, self.shape.space.to_host
        smallest, largest = (
            to_host(each).reshape(-1) for each in (values.min(axis=1), values.max(axis=1))
        )
        return smallest[: self.rows], largest[: self.rows]

    def allocate_transfer(self, inputs: Inputs) -> None:
        """Allocate the memory through which `load` copies such inputs to a GPU. Does nothing on a
        CPU."""
        self._loader.allocate(inputs, self.capacity)

    def load(self, inputs: Inputs, first: int, permutation: Indices) -> None:
        """Load input rows.

        first: number of the first of these input rows, which gives their ids
        permutation: index of each neuron in a tile
        """
        self.rows = inputs.rows
        self._set_activations(inputs.neurons, 0)
        self._ids[: self.rows] = self.shape.space.xp.arange(first, first + self.rows)
        if self.rows:
            self._loader.load(inputs, permutation, self.array)

    def mark_active(self, bounds: ExitBounds, ymax: Any) -> int:
        """Mark the rows that do not meet the bounds as active, and return their number."""
        if self.rows == 0:
            return 0
        space, lanes = self.shape.space, self.shape.lanes
        if not self._entries:
            self._entries = self.max_entries
            space.pk.parallel_for(
                "find_range",
                space.teams(self.count),
                compact.find_range,
                a=self.array,
                ranges=self.ranges,
                first=self.first_neuron,
                neurons=self.neurons,
                parts=self._entries,
                lanes=lanes,
            )
        active = space.pk.parallel_scan(
            "list_active",
            space.range(self.rows),
            compact.list_active,
            ranges=self.ranges,
            max_zero=bounds.max_zero,
            min_saturated=bounds.min_saturated,
            ymax=ymax,
            ids=self._ids,
            active_ids=self._active_ids,
            offset=self._offset,
            first=self.first_neuron,
            stride=2 * self.shape.widest,
            entries=self._entries,
            lanes=lanes,
        )
        return int(active)

    def saturated(self, bounds: ExitBounds, ymax: Any) -> tuple[Any, Any]:
        """Return the ids of all rows, and a mask of the rows that saturate according to the last
        `mark_active`, which had the same bounds. Both are in the memory of the space."""
        entries = self.ranges[: self.count * self._entries]
        entries = entries.reshape(self.count, self._entries, 2, self.shape.lanes)
        row_min = entries[:, :, 0].min(axis=1).reshape(-1)[: self.rows]
        row_max = entries[:, :, 1].max(axis=1).reshape(-1)[: self.rows]
        return self._ids[: self.rows], bounds.saturate(row_min, row_max, ymax)

    def compact(self, active: int) -> None:
        """Drop the rows that are not active.

        active: the number that the last `mark_active` returned
        """
        if 0 < active < self.rows:
            self._gather_rows(self, active, 0, 1 - self.buffer)
            self.swap_buffers(1, self.neurons)
            self._ids, self._active_ids = self._active_ids, self._ids
        self.rows = active

    def append_active(self, other: Tiles, active: int) -> None:
        """Append the active rows of other tiles.

        active: the number that the last `mark_active` of `other` returned
        """
        if active == 0:
            return
        self._set_activations(other.neurons, self.buffer)
        other._gather_rows(self, active, self.rows, self.buffer)
        self._ids[self.rows : self.rows + active] = other._active_ids[:active]
        self.rows += active

    def _gather_rows(
        self, target: Tiles, active: int, first_row: int, buffer: int, tile_count: int | None = None
    ) -> None:
        """Copy the active rows into a buffer of `target`, from row `first_row` on. Lanes after the
        last row become zero, in the tiles up to `tile_count`; None: in the tile of the last row."""
        space, lanes = self.shape.space, self.shape.lanes
        count = self.shape.tile_count(first_row + active) if tile_count is None else tile_count
        space.pk.parallel_for(
            "gather_rows",
            space.teams(count - first_row // lanes),
            compact.gather_rows,
            x=self._flat,
            a=target._array[:count],
            offset=self._offset,
            zero=self._zero,
            first_row=first_row,
            count=active,
            first=buffer * self.shape.widest,
            neurons=self.neurons,
            lanes=lanes,
        )

    def write_rows(self, out: Any, permutation: Any) -> None:
        """Write the activations of each row into row `id` of the dense array `out` (input rows,
        neurons), in the memory of the space.

        permutation: index of each neuron in a tile, in the memory of the space
        """
        space = self.shape.space
        space.pk.parallel_for(
            "pack_dense",
            space.teams(self.count),
            tiles.pack_dense,
            a=self.array,
            permutation=permutation,
            ids=self._ids,
            y=out,
            rows=self.rows,
            first=self.first_neuron,
            neurons=self.neurons,
            lanes=self.shape.lanes,
        )

    def to_csr(self, selected: NDArray[np.bool_], permutation: Any) -> sp.csr_array:
        """Return the activations of the selected rows as CSR (selected rows, neurons).

        selected: a mask of the rows
        permutation: index of each neuron in a tile, an index of NumPy
        """
        lanes, blocks = self.shape.lanes, list[sp.csr_array]()
        for number, tile in enumerate(self.shape.space.to_host(self.activations)):
            columns = np.flatnonzero(selected[number * lanes : (number + 1) * lanes])
            if columns.size:
                dense = np.ascontiguousarray(tile[permutation][:, columns].T)
                blocks.append(sp.csr_array(dense))
        if len(blocks) == 1:
            return blocks[0]
        empty = sp.csr_array((0, self.neurons), dtype=self.shape.dtype)
        return sp.csr_array(sp.vstack([empty, *blocks], format="csr"))
