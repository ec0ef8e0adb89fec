"""Fused layers on tiles of input rows; rows whose end is known leave, and tiles stay full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.engines.base import (
    Exits,
    Growth,
    Outcome,
    PreparedLayers,
    Range,
    Report,
    upper_limit,
)
from kkspdnn.engines.tiles import Shape, Tiles
from kkspdnn.inputs import Inputs
from kkspdnn.network import Layer
from kkspdnn.spaces import Space
from workunits import fused

_WORTH_MOVING = 3 / 4
"""Rows move together when that leaves at most this part of the tiles. Moving a row costs about what
a layer costs it; between 1/2 and 7/8 whole runs of 1024 and 16384 neurons differ by a tenth."""

_CHUNK_BYTES = 1 << 24
"""Both buffers of the rows that go through the first layers together: half of a usual L3 cache."""

_FEWEST_CHUNK_ROWS = 1024
"""Fewer rows would not be worth streaming a layer's weights for."""

_FEW_LEFT = 1 / 8
"""The first layers end where at most this part of the rows is left."""


@dataclass(frozen=True, eq=False)
class FusedLayer:
    """A layer as the fused workunits take it; `weights` are their arguments by name."""

    inputs: int
    outputs: int
    edges: int
    growth: Growth
    workunit: Any
    weights: dict[str, Any]

    @property
    def form(self) -> tuple[Any, Any]:
        """Layers of one form share one compiled workunit."""
        return self.workunit, self.weights["index"].dtype


class FusedEngine:
    """Tiles `y[tile][neuron][lane]`, one launch a layer over all tiles.

    Rows of zeros stay zeros under the challenge's bias, so they leave. Rows whose every value is
    ymax leave once every later layer provably keeps them so: see `prove`.

    Order of work: the first layers run chunk by chunk, each small enough for the cache, until few
    rows are left; those of all chunks then go on together.
    """

    def __init__(
        self, space: Space, dtype: np.dtype[Any], ymax: float | None, exits: Exits
    ) -> None:
        self.space = space
        self.dtype = dtype
        self.exits: Exits = exits
        self.zero = dtype.type(0)
        self.ymax = upper_limit(dtype, ymax)
        self.limit = ymax
        self.steady: int | None = None

    def prepare(self, layer: Layer) -> FusedLayer:
        fan_in = layer.fan_in
        weights: dict[str, Any]
        if fan_in:
            workunit = fused.fused_fan_in
            weights = {
                "index": layer.index.reshape(layer.outputs, fan_in),
                "value": layer.value.reshape(layer.outputs, fan_in),
                "bias": layer.bias,
                "fan_in": fan_in,
            }
        else:
            workunit = fused.fused_csr
            weights = {
                "start": layer.start,
                "index": layer.index,
                "value": layer.value,
                "bias": layer.bias,
            }
        return FusedLayer(
            layer.inputs, layer.outputs, layer.edges, Growth.of(layer), workunit, weights
        )

    def bytes_per_row(self, widest: int) -> int:
        return 2 * widest * self.dtype.itemsize + 32

    def warm_up(self, layers: PreparedLayers, inputs: Inputs) -> None:
        shape = Shape(self.space, self.dtype, layers.widest)
        few = inputs.slice(0, min(inputs.rows, shape.lanes))
        forms = {layer.form: layer for layer in layers.sample()}

        def launch_each() -> None:
            part, merged = Tiles(shape, shape.lanes), Tiles(shape, shape.lanes)
            part.load(few, 0)
            part.find_state(self.ymax)
            merged.append_live(part, few.rows)
            for layer in forms.values():
                part.load(Inputs.from_any(sp.csr_array((1, layer.inputs), dtype=self.dtype)), 0)
                self._layer(part, layer)

        self.space.warm_up(launch_each)

    def prove(self, layers: PreparedLayers) -> None:
        """Find the first layer from which on a row of ymax everywhere provably stays one.

        Each layer is applied to a tile of such rows by the same workunit in the same order of
        arithmetic as in the run; where every result is exactly ymax, so it is in the run. Layers
        are looked at from the last one back, to the first that does not hold.
        """
        self.steady = None
        if self.exits != "all" or self.limit is None:
            return
        tile = Tiles(Shape(self.space, self.dtype, layers.widest), 1)
        steady = len(layers)
        while steady > 0:
            layer = layers[steady - 1]
            tile.load(Inputs.from_any(sp.csr_array((1, layer.inputs), dtype=self.dtype)), 0)
            tile.front.fill(self.ymax)
            self._layer(tile, layer)
            if not (tile.front == self.ymax).all():
                break
            steady -= 1
        self.steady = steady

    def run(self, layers: PreparedLayers, inputs: Inputs, values: bool, report: Report) -> Outcome:
        shape = Shape(self.space, self.dtype, layers.widest)
        run = _Run(self, layers, Range(inputs, self.dtype, self.limit), report)
        chunk_rows = self._chunk_rows(shape)
        if inputs.rows <= chunk_rows or self.exits == "none":
            rows = Tiles(shape, inputs.rows)
            rows.load(inputs, 0)
            run.advance(rows, inputs.rows, 0, len(layers))
        else:
            rows = run.in_chunks(shape, inputs, chunk_rows)
        run.settle(rows, len(layers), always=True)
        return run.outcome(rows, values)

    def _chunk_rows(self, shape: Shape) -> int:
        rows = _CHUNK_BYTES // self.bytes_per_row(shape.widest)
        return max(_FEWEST_CHUNK_ROWS, rows) // shape.lanes * shape.lanes

    def _layer(self, rows: Tiles, layer: FusedLayer) -> None:
        """Y = min(max(Y W + b, 0), ymax) over all tiles."""
        blocks = self._blocks(layer.outputs, rows.count)
        self.space.pk.parallel_for(
            "fused",
            self.space.teams(rows.count * blocks),
            layer.workunit,
            x=rows.front,
            y=rows.back(layer.outputs),
            **layer.weights,
            zero=self.zero,
            ymax=self.ymax,
            blocks=blocks,
            width=-(-layer.outputs // blocks),
            outputs=layer.outputs,
            lanes=rows.shape.lanes,
        )
        rows.swap(layer.outputs)

    def _blocks(self, outputs: int, tiles: int) -> int:
        """Into how many blocks of neurons a tile is cut, so that every thread has eight teams."""
        wanted = -(-8 * self.space.threads // max(1, tiles))
        return max(1, min(wanted, outputs // 16))


class _Run:
    """One run of the engine: what has left, and how much was multiplied."""

    def __init__(
        self, engine: FusedEngine, layers: PreparedLayers, sizes: Range, report: Report
    ) -> None:
        self.engine = engine
        self.layers = layers
        self.sizes = sizes
        self.report = report
        self.multiplied = 0
        self.saturated: list[NDArray[np.int64]] = []

    def advance(self, rows: Tiles, inputs: int, begin: int, end: int, few: int = -1) -> int:
        """Take rows, of so many `inputs`, through layers begin to end, or until at most `few` are
        left; gives the layer that comes next."""
        for position in range(begin, end):
            if self.engine.exits != "none" and self.settle(rows, position) <= few:
                return position
            layer = self.layers[position]
            self.report(inputs)
            if rows.rows:
                self.multiplied += rows.rows * layer.edges
                self.engine._layer(rows, layer)
                if self.sizes.may_overflow(position, layer.growth):
                    self.sizes.check(rows.front, position)
            rows.neurons = layer.outputs
        return end

    def in_chunks(self, shape: Shape, inputs: Inputs, chunk_rows: int) -> Tiles:
        """The first layers chunk by chunk, the others with what is left of all chunks."""
        part, merged = Tiles(shape, chunk_rows), Tiles(shape, inputs.rows)
        depth = len(self.layers)
        for begin in range(0, inputs.rows, chunk_rows):
            end = min(begin + chunk_rows, inputs.rows)
            part.load(inputs.slice(begin, end), begin)
            # The first chunk finds out how many the first layers are.
            few = int(_FEW_LEFT * chunk_rows) if begin == 0 else -1
            depth = self.advance(part, end - begin, 0, depth, few)
            living = self.find_unsettled(part, depth)
            self.saturated.append(part.saturated())
            merged.append_live(part, living)
        self.advance(merged, inputs.rows, depth, len(self.layers))
        return merged

    def settle(self, rows: Tiles, position: int, *, always: bool = False) -> int:
        """Let rows leave whose end is known before layer `position`, where that is worth moving
        the others, or `always`; gives the number of rows that are not settled."""
        living = self.find_unsettled(rows, position)
        worth = rows.shape.tiles(living) <= _WORTH_MOVING * rows.count
        if living < rows.rows and (always or worth):
            self.saturated.append(rows.saturated())
            rows.keep_live(living)
        return living

    def find_unsettled(self, rows: Tiles, position: int) -> int:
        """How many rows are neither dead nor provably saturated for good before `position`."""
        steady = self.engine.steady
        provable = steady is not None and position >= steady
        return rows.find_state(self.engine.ymax if provable else self.engine.dtype.type(np.inf))

    def outcome(self, rows: Tiles, values: bool) -> Outcome:
        """What is left, with the rows that left saturated back in their places."""
        left = np.concatenate([np.empty(0, np.int64), *self.saturated])
        ids = np.concatenate([rows.ids, left])
        order = np.argsort(ids)
        if not values:
            return Outcome(ids[order], None, self.multiplied)
        full = np.full((left.size, rows.neurons), self.engine.ymax)
        both = sp.vstack([rows.to_csr(), sp.csr_array(full)], format="csr")
        return Outcome(ids[order], sp.csr_array(both[order]), self.multiplied)
