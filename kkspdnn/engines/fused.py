"""Fused layers on tiles of input rows; dead rows leave and tiles stay full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.engines.base import Growth, Outcome, Range, Report, upper_limit
from kkspdnn.inputs import Inputs
from kkspdnn.network import Layer
from kkspdnn.spaces import Space
from workunits import compact, fused, tiles

_WORTH_MOVING = 7 / 8
"""Rows move together when that leaves at most this part of the tiles: moving a tile reads and
writes it once, a layer reads it fan-in times."""


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
    """Tiles `y[tile][neuron][lane]`, one launch a layer over all living tiles."""

    def __init__(self, space: Space, dtype: np.dtype[Any], ymax: float | None) -> None:
        self.space = space
        self.dtype = dtype
        self.zero = dtype.type(0)
        self.ymax = upper_limit(dtype, ymax)
        self.limit = ymax
        self.lanes = space.lanes(dtype)

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

    def warm_up(self, layers: Sequence[FusedLayer], inputs: Inputs) -> None:
        few = inputs.slice(0, min(inputs.rows, self.lanes))
        forms = {layer.form: layer for layer in layers}

        def launch_each() -> None:
            activations = _Activations(self, few, few.neurons)
            activations.find_live()
            activations.move(activations.rows)
            for layer in forms.values():
                blank = Inputs.from_any(sp.csr_array((1, layer.inputs), dtype=self.dtype))
                _Activations(self, blank, max(layer.inputs, layer.outputs)).layer(layer)

        self.space.warm_up(launch_each)

    def run(
        self, layers: Sequence[FusedLayer], inputs: Inputs, values: bool, report: Report
    ) -> Outcome:
        widest = max([inputs.neurons, *(layer.outputs for layer in layers)])
        activations = _Activations(self, inputs, widest)
        sizes = Range(inputs, self.dtype, self.limit)
        multiplied = 0
        for number, layer in enumerate(layers, start=1):
            activations.drop_dead()
            report(inputs.rows)
            if activations.rows:
                multiplied += activations.rows * layer.edges
                activations.layer(layer)
                if sizes.may_overflow(layer.growth) and not np.isfinite(activations.front).all():
                    sizes.refuse(number)
            else:
                activations.neurons = layer.outputs
        activations.drop_dead(always=True)
        return Outcome(
            activations.ids[: activations.rows].copy(),
            activations.to_csr() if values else None,
            multiplied,
        )


class _Activations:
    """The living rows: two buffers of tiles, the row of the input that each lane holds."""

    def __init__(self, engine: FusedEngine, inputs: Inputs, widest: int) -> None:
        self.engine = engine
        self.rows = inputs.rows
        self.neurons = inputs.neurons
        size = self.tiles * widest * engine.lanes
        self._front = np.empty(size, engine.dtype)
        self._back = np.empty(size, engine.dtype)
        self.ids: NDArray[np.int64] = np.arange(inputs.rows, dtype=np.int64)
        self._moved = np.empty_like(self.ids)
        self._live = np.empty(inputs.rows, np.int32)
        self._kept = np.empty(inputs.rows, np.int32)
        self._unpack(inputs)

    @property
    def tiles(self) -> int:
        return -(-self.rows // self.engine.lanes)

    def _shaped(self, buffer: NDArray[Any], tiles: int, neurons: int) -> NDArray[Any]:
        lanes = self.engine.lanes
        return buffer[: tiles * neurons * lanes].reshape(tiles, neurons, lanes)

    @property
    def front(self) -> NDArray[Any]:
        """The activations, [tile][neuron][lane]."""
        return self._shaped(self._front, self.tiles, self.neurons)

    def _swap(self) -> None:
        self._front, self._back = self._back, self._front

    def _unpack(self, inputs: Inputs) -> None:
        space, lanes = self.engine.space, self.engine.lanes
        if self.rows == 0:
            return
        if inputs.bits is not None:
            space.pk.parallel_for(
                "unpack_bits",
                space.teams(self.tiles),
                tiles.unpack_bits,
                bits=np.ascontiguousarray(inputs.bits),
                y=self.front,
                zero=self.engine.zero,
                rows=self.rows,
                neurons=self.neurons,
                lanes=lanes,
            )
            return
        csr = inputs.to_csr(self.engine.dtype)
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

    def layer(self, layer: FusedLayer) -> None:
        """Y = min(max(Y W + b, 0), ymax) over all tiles."""
        engine, tile_count = self.engine, self.tiles
        blocks = self._blocks(layer.outputs)
        engine.space.pk.parallel_for(
            "fused",
            engine.space.teams(tile_count * blocks),
            layer.workunit,
            x=self.front,
            y=self._shaped(self._back, tile_count, layer.outputs),
            **layer.weights,
            zero=engine.zero,
            ymax=engine.ymax,
            blocks=blocks,
            width=-(-layer.outputs // blocks),
            outputs=layer.outputs,
            lanes=engine.lanes,
        )
        self.neurons = layer.outputs
        self._swap()

    def _blocks(self, outputs: int) -> int:
        """Into how many blocks of neurons a tile is cut, so that every thread has eight teams."""
        wanted = -(-8 * self.engine.space.threads // max(1, self.tiles))
        return max(1, min(wanted, outputs // 16))

    def find_live(self) -> int:
        """The number of living rows; their places go into `_kept`."""
        engine = self.engine
        if self.rows == 0:
            return 0
        space = engine.space
        space.pk.parallel_for(
            "find_live",
            space.range(self.rows),
            compact.find_live,
            y=self.front,
            live=self._live,
            neurons=self.neurons,
            lanes=engine.lanes,
        )
        total = space.pk.parallel_scan(
            "list_live",
            space.range(self.rows),
            compact.list_live,
            live=self._live,
            kept=self._kept,
        )
        return int(total)

    def drop_dead(self, always: bool = False) -> None:
        """Move the living together where that is worth it, or `always`."""
        living = self.find_live()
        tiles_after = -(-living // self.engine.lanes)
        if living < self.rows and (always or tiles_after <= _WORTH_MOVING * self.tiles):
            self.move(living)

    def move(self, living: int) -> None:
        """Keep only the rows in the first `living` places of `_kept`."""
        engine, space = self.engine, self.engine.space
        if living == 0:
            self.rows = 0
            return
        tiles_after = -(-living // engine.lanes)
        space.pk.parallel_for(
            "gather_rows",
            space.teams(tiles_after),
            compact.gather_rows,
            x=self.front,
            y=self._shaped(self._back, tiles_after, self.neurons),
            kept=self._kept,
            zero=engine.zero,
            count=living,
            neurons=self.neurons,
            lanes=engine.lanes,
        )
        space.pk.parallel_for(
            "gather_ids",
            space.range(living),
            compact.gather_ids,
            ids=self.ids,
            moved=self._moved,
            kept=self._kept,
        )
        self.rows = living
        self.ids, self._moved = self._moved, self.ids
        self._swap()

    def to_csr(self) -> sp.csr_array:
        """The activations as CSR (rows, neurons)."""
        if self.rows == 0:
            return sp.csr_array((0, self.neurons), dtype=self.engine.dtype)
        parts = [sp.csr_array(np.ascontiguousarray(tile.T)) for tile in self.front]
        return sp.csr_array(sp.vstack(parts, format="csr")[: self.rows])
