"""The tiles that a run needs: their sizes, their allocation, and the first touch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kkspdnn.choices import Exits
from kkspdnn.device.space import Space
from kkspdnn.engines.fused.tiles import Shape, Tiles
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.inputs import Inputs

FEW_LEFT = 1 / 8
"""The first layers end where at most this part of the rows is left."""

_CHUNK_BYTES = 20 << 20
"""Tiles of the rows that go through the first layers together, activations and bytes: somewhat more
than half of a usual L3 cache."""

_FEWEST_CHUNK_ROWS = 1024
"""Fewer rows would not be worth streaming a layer's weights for."""

_TILES_A_THREAD = 4
"""A chunk is a multiple of so many tiles; with fewer, threads would get very unequal shares."""


@dataclass(frozen=True, eq=False)
class Buffers:
    """Tiles for a run.

    stages: for all rows; or for a chunk of rows, for as many of those that are left, where these
    are more, and for the rest
    counts: for the counts of as many rows as the first stage has, where the first layer counts
    """

    stages: Sequence[Tiles] = ()
    counts: Tiles | None = None

    def first_touch(self, rows: int) -> None:
        """Write zeros to the tiles that so many input rows will fill."""
        if self.counts is not None:
            self.counts.touch(min(self.counts.capacity, rows))
        for each in self.stages:
            each.touch(min(each.capacity, rows))
            # No more than this part of the first chunk is left when the next tiles take it.
            rows = int(FEW_LEFT * rows)


def bytes_per_row(dtype: np.dtype[Any], widest: int) -> int:
    """Bytes of both sides of tiles, those of bytes too, and the bits in the order of tiles."""
    return 2 * (dtype.itemsize + 1) * widest + widest // 8 + 40


def counts_inputs(layers: LayerStore, inputs: Inputs) -> bool:
    """Whether the first layer comes cheaper, and the same, from the bits of these inputs."""
    if not len(layers) or inputs.bits is None or inputs.rows == 0:
        return False
    return bool(layers[0].counts_exactly)


def find_buffers(
    space: Space, dtype: np.dtype[Any], layers: LayerStore, inputs: Inputs, exits: Exits,
    allocated: Buffers,
) -> Buffers:  # fmt: skip
    """The tiles for a run over these inputs: those that are allocated, where they fit, or new
    ones."""
    space = space.for_rows(inputs.rows, dtype)
    shape = Shape.of(space, dtype, layers.widest)
    stages = _stages(shape, layers, inputs, exits, allocated.stages)
    counts = None
    if counts_inputs(layers, inputs):
        counts = _counts(
            shape.for_counts(layers[0].inputs, layers[0].outputs),
            stages[0].capacity,
            allocated.counts,
        )
    return Buffers(stages, counts)


def _stages(
    shape: Shape, layers: LayerStore, inputs: Inputs, exits: Exits, allocated: Sequence[Tiles]
) -> Sequence[Tiles]:
    chunk = min(_chunk_rows(shape), layers.rows // 2 // shape.lanes * shape.lanes)
    # A GPU has small caches, and needs many rows at a time.
    if inputs.rows <= chunk or exits == "none" or shape.space.gpu:
        wanted = [min(inputs.rows, layers.rows)]
    else:
        again = FEW_LEFT * inputs.rows > chunk and 3 * chunk <= layers.rows
        chunks = [chunk, chunk] if again else [chunk]
        wanted = [*chunks, min(inputs.rows, layers.rows - sum(chunks))]
    taken = [each.capacity for each in allocated if each.shape == shape]
    # Tiles that are not filled do no harm where no others wait for them to be.
    if taken == wanted or (len(taken) == len(wanted) == 1 and taken >= wanted):
        return allocated
    return [Tiles(shape, capacity) for capacity in wanted]


def _counts(shape: Shape, capacity: int, allocated: Tiles | None) -> Tiles:
    if allocated is not None and (allocated.shape, allocated.capacity) == (shape, capacity):
        return allocated
    return Tiles(shape, capacity)


def _chunk_rows(shape: Shape) -> int:
    rows = _CHUNK_BYTES // bytes_per_row(shape.dtype, shape.widest)
    # Whole rounds of tiles, so that no thread waits for another one.
    round_rows = _TILES_A_THREAD * shape.space.threads * shape.lanes
    return max(round(rows / round_rows), -(-_FEWEST_CHUNK_ROWS // round_rows)) * round_rows
