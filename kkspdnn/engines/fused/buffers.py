"""The tiles of a run: their number and capacity, their allocation, and the first touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kkspdnn.choices import Exits
from kkspdnn.device.space import Space
from kkspdnn.engines.fused.tile_shape import TileShape
from kkspdnn.engines.fused.tiles import Tiles
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.inputs import Inputs

FEW_ACTIVE = 1 / 8
"""A chunk of rows goes through the first layers until at most this fraction is active."""

_MIN_CHUNK_ROWS = 1024
"""With fewer rows, loading the weights of a layer would take too large a share of the time."""

_TILES_PER_THREAD = 4
"""The tiles of a chunk are a multiple of this for each thread, so that the load is balanced."""


@dataclass(frozen=True, eq=False)
class Buffers:
    """The tiles of a run.

    stages: one for all rows; or one for a chunk of input rows, if useful another one of that size
    for rows that are still active after the first layers, and one for the remaining layers
    counts: for the counts of the rows of the first stage; None if the first layer does not count
    """

    stages: Sequence[Tiles] = ()
    counts: Tiles | None = None

    def prepare(self, inputs: Inputs) -> None:
        """Allocate what a run over these inputs writes to: on a GPU the memory for copies of input
        rows, on a CPU the pages of tiles, by writing zeros to them."""
        first = self.stages[0] if self.counts is None else self.counts
        first.allocate_transfer(inputs)
        self._first_touch(inputs.rows)

    def _first_touch(self, rows: int) -> None:
        """Write zeros to the tiles that a run over this number of input rows uses."""
        if self.counts is not None:
            self.counts.first_touch(min(self.counts.capacity, rows))
        for tiles in self.stages:
            tiles.first_touch(min(tiles.capacity, rows))
            # At most this fraction of a chunk is active when the next stage receives it.
            rows = int(FEW_ACTIVE * rows)


def bytes_per_row(dtype: np.dtype[Any], widest: int) -> int:
    """Return the bytes of both buffers of an input row, in tiles of `dtype` and of uint8, and of
    its transposed bits and its numbers."""
    return 2 * (dtype.itemsize + 1) * widest + widest // 8 + 40


def counts_bits(layers: LayerStore, inputs: Inputs) -> bool:
    """Whether the first layer is computed from counts: with bits as inputs this is faster, if the
    layer gives the same activations."""
    if not len(layers) or inputs.bits is None or inputs.rows == 0:
        return False
    return bool(layers[0].counts_exactly)


def allocate_buffers(
    space: Space,
    dtype: np.dtype[Any],
    layers: LayerStore,
    inputs: Inputs,
    exits: Exits,
    existing: Buffers,
) -> Buffers:
    """Return the tiles for a run over these inputs.

    existing: buffers to reuse if they have the right shape and capacity
    """
    space = space.for_rows(inputs.rows, dtype)
    shape = TileShape.of(space, dtype, layers.widest)
    stages = _allocate_stages(shape, layers, inputs, exits, existing.stages)
    counts = None
    if counts_bits(layers, inputs):
        count_shape = shape.for_counts(layers[0].inputs, layers[0].outputs)
        counts = _allocate_counts(count_shape, stages[0].capacity, existing.counts)
    return Buffers(stages, counts)


def _allocate_stages(
    shape: TileShape, layers: LayerStore, inputs: Inputs, exits: Exits, existing: Sequence[Tiles]
) -> Sequence[Tiles]:
    chunk = min(_chunk_rows(shape), layers.max_rows // 2 // shape.lanes * shape.lanes)
    # Without memory for two tiles there is one stage. A GPU has small caches and needs many rows at
    # a time.
    if inputs.rows <= chunk or chunk == 0 or exits == "none" or shape.space.gpu:
        capacities = [min(inputs.rows, layers.max_rows)]
    else:
        twice = FEW_ACTIVE * inputs.rows > chunk and 3 * chunk <= layers.max_rows
        chunks = [chunk, chunk] if twice else [chunk]
        capacities = [*chunks, min(inputs.rows, layers.max_rows - sum(chunks))]
    reusable = [tiles.capacity for tiles in existing if tiles.shape == shape]
    # A single stage may be too large. Otherwise a stage runs when it is full.
    if reusable == capacities or (len(reusable) == len(capacities) == 1 and reusable >= capacities):
        return existing
    return [Tiles(shape, capacity) for capacity in capacities]


def _allocate_counts(shape: TileShape, capacity: int, existing: Tiles | None) -> Tiles:
    if existing is not None and (existing.shape, existing.capacity) == (shape, capacity):
        return existing
    return Tiles(shape, capacity)


def _chunk_rows(shape: TileShape) -> int:
    rows = shape.space.launch.chunk_bytes // bytes_per_row(shape.dtype, shape.widest)
    # A multiple of the threads' tiles, so that no thread waits for another one.
    multiple = _TILES_PER_THREAD * shape.space.threads * shape.lanes
    return max(round(rows / multiple), -(-_MIN_CHUNK_ROWS // multiple)) * multiple
