"""Fused layers on tiles of input rows; rows whose end is known leave, and tiles stay full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from kkspdnn.choices import Exits
from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space
from kkspdnn.engines.activation import upper_limit
from kkspdnn.engines.base import ProgressCallback
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.fused.early_exit import MOST_TRIED, Response, ends_before
from kkspdnn.engines.fused.layer import MOST_DEPTH, FusedLayer, likeness, prepared, stacked
from kkspdnn.engines.fused.schedule import FEW_LEFT, MOST_COUNTED, FusedRun
from kkspdnn.engines.fused.tiles import Shape, Tiles, in_order
from kkspdnn.engines.partial_result import RowSelector
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import Floats
from kkspdnn.model.network import Layer
from kkspdnn.workunits import fused

if TYPE_CHECKING:
    from kkspdnn.engines.layer_store import LayerStore

_CHUNK_BYTES = 20 << 20
"""Tiles of the rows that go through the first layers together, activations and bytes: somewhat more
than half of a usual L3 cache."""

_FEWEST_CHUNK_ROWS = 1024
"""Fewer rows would not be worth streaming a layer's weights for."""

_TILES_A_THREAD = 4
"""A chunk is a multiple of so many tiles; with fewer, threads would get very unequal shares."""


class FusedEngine:
    """Tiles `a[tile][side * widest + neuron][lane]`, one or more layers a launch.

    Rows leave whose end is known: rows of zeros, which stay so under the challenge's bias and under
    an ordinary one once no later layer wakes them; and those that provably end as zeros or at ymax
    because their values are small or large enough, see `ends`.

    Schedule: the first layers run chunk by chunk, each small enough for the cache, until few rows
    are left. These wait until they fill tiles of that size again, and go on in the same way;
    what is then left of all, or of as many as there is memory for, goes on together. A first layer
    of equal weights counts the bits of the input rows, and rows leave before their counts become
    activations. Where few rows leave, several layers run in one launch, so that a tile stays in
    cache, and rows are looked at after them.
    """

    def __init__(
        self, space: Space, dtype: np.dtype[Any], ymax: float | None, exits: Exits
    ) -> None:
        self.space = space
        self.dtype = dtype
        self.exits: Exits = exits
        self.zero = dtype.type(0)
        self.ymax = upper_limit(dtype, ymax)
        self.ends: Sequence[ExitBounds] = ()
        self.in_csr = False
        self.count_ends = ExitBounds(np.int32(-1), MOST_COUNTED)
        self._room: list[Tiles] = []
        self._counted: Tiles | None = None

    def prepare(self, layer: Layer, before: FusedLayer | None) -> FusedLayer:
        return prepared(layer, before, self.ymax)

    def size(self, layer: FusedLayer) -> int:
        return layer.size

    def to_device(self, layer: FusedLayer, copy: ToDevice) -> FusedLayer:
        return layer.to_device(copy)

    def arrange(self, layers: Iterable[FusedLayer]) -> list[FusedLayer]:
        return stacked(layers, MOST_DEPTH, self.space.to_device)

    def bytes_per_row(self, widest: int) -> int:
        # Both sides of tiles, those of bytes too, and the bits in the order of tiles.
        return 2 * (self.dtype.itemsize + 1) * widest + widest // 8 + 40

    def warm_up(self, layers: LayerStore, inputs: Inputs) -> None:
        shape = Shape.of(self.space, self.dtype, layers.widest)
        few = inputs.slice(0, min(inputs.rows, shape.lanes))
        forms = {layer.form: layer for layer in layers.sample()}

        def launch_each() -> None:
            part, merged = Tiles(shape, shape.lanes), Tiles(shape, shape.lanes)
            if self.counts(layers, few):
                counted = Tiles(self._shape_of_counts(layers, shape), shape.lanes)
                counted.load(few, 0, layers[0].sources)
                self.count(counted, layers[0])
                counted.find_live(self.count_ends, MOST_COUNTED)
                counted.keep_live(1)
                part.take(counted)
                self.activate(part, counted, layers[0])
                part.take(counted)
                if layers.held > 1 and self.follows_counts(layers[0], layers[1:2]):
                    self.activate(part, counted, layers[0], layers[1:2])
            part.load(few, 0, in_order(few.neurons))
            if inputs.dense is not None and part.rows:
                # Rows that come dense may be asked to leave so.
                part.neurons = layers.outputs
                target = self.space.empty((part.rows, part.neurons), self.dtype)
                part.write(target, self.space.to_device(in_order(part.neurons)))
                part.neurons = few.neurons
            ends = ExitBounds(self.zero, self.ymax)
            part.find_live(ends, self.ymax)
            merged.append_live(part, few.rows)
            part.saturated(ends, self.ymax)  # for which CuPy compiles kernels of its own
            for layer in forms.values():
                self._answers(part, layer, np.zeros(1, self.dtype))

        self.space.warm_up(launch_each)

    def compute_exit_bounds(self, layers: LayerStore, inputs: Inputs) -> None:
        """Find which values before each layer give a row a known end. Where no row can leave before
        the last layer, as with most ordinary biases, `exits` becomes none: no row needs to be
        looked at."""
        unknown, end = ExitBounds.unknown(self.dtype), len(layers)
        zeros = replace(unknown, dead=self.zero)
        if self.exits == "all":
            self.ends = self._proved(layers)
        elif self.exits == "dead":
            first = layers.zeros_stay_from
            self.ends = [unknown] * first + [zeros] * (end + 1 - first)
        else:
            self.ends = [unknown] * end + [zeros]
        if end and not any(each.any for each in self.ends[:-1]):
            self.exits = "none"
        if self.exits != "none" and self.counts(layers, inputs):
            self.count_ends = self._count_ends(layers, self.ends[1])

    def _count_ends(self, layers: LayerStore, after: ExitBounds) -> ExitBounds:
        """The ends after the first layer in counts of `count`: what it makes of each is tried."""
        first = layers[0]
        assert first.fan_in is not None
        shape = Shape.of(self.space, self.dtype, layers.widest)
        rows = Tiles(shape, first.fan_in + 1)
        counted = Tiles(self._shape_of_counts(layers, shape), rows.capacity)
        counted.load_constant(np.arange(rows.capacity, dtype=np.uint8), first.outputs)
        rows.take(counted)
        self.activate(rows, counted, first)
        least, most = rows.range()
        # A row may have any count up to the largest that still dies, and from the least that grows.
        dies = np.logical_and.accumulate(after.dies(least, most))
        grows = np.logical_and.accumulate(after.grows(least, most, self.ymax)[::-1])
        dead, saturated = np.count_nonzero(dies) - 1, rows.capacity - np.count_nonzero(grows)
        return ExitBounds(np.int32(dead), np.int32(saturated))

    def _proved(self, layers: LayerStore) -> list[ExitBounds]:
        """The ends before each layer and after the last one, from this back: each layer is applied
        to rows of one value everywhere, by the same workunit in the same order of arithmetic as in
        the run. Of layers that do the same to such rows, because all outputs have as many edges,
        one weight and one bias, one is tried.
        """
        # Without a limit ymax is infinite, and no row saturates.
        ends = [ExitBounds(self.zero, self.ymax)]
        known: dict[Any, ExitBounds] = {}
        rows = Tiles(Shape.of(self.space, self.dtype, layers.widest), MOST_TRIED)
        for position in reversed(range(len(layers))):
            after = ends[-1]
            if not after.any:
                ends += [after] * (position + 1)
                break
            given = None if position < layers.held else layers.given(position)
            alike = layers[position].likeness if given is None else likeness(given)
            before = known.get((alike, after))
            if before is None:
                if given is None:
                    given, layer = layers.given(position), layers[position]
                else:
                    layer = prepared(given, None, self.ymax).to_device(self.space.to_device)
                response = Response.of(given, layer.weight)
                answers = partial(self._answers, rows, layer)
                before = ends_before(response, answers, after, self.ymax)
                if alike is not None:
                    known[alike, after] = before
            ends.append(before)
        return ends[::-1]

    def _answers(self, rows: Tiles, layer: FusedLayer, values: Floats) -> tuple[Floats, Floats]:
        """What a layer makes of rows of these values: the least and the largest output of each."""
        rows.load_constant(values, layer.inputs)
        self.compute(rows, layer, 1)
        return rows.range()

    def run(
        self,
        layers: LayerStore,
        inputs: Inputs,
        wanted: RowSelector | None,
        report: ProgressCallback,
        into: Any = None,
    ) -> FusedRun:
        """As of every engine; into: zeros (input rows, outputs) where the workunits run, for the
        activations of all rows; the outcomes then have neither rows nor values."""
        self._room = self._room_for(layers, inputs)
        self._counted = self._counted_for(layers, inputs, self._room[0])
        return FusedRun(self, layers, inputs, wanted, report, self._room, self._counted, into)

    def allocate(self, layers: LayerStore, inputs: Inputs) -> None:
        self._room = self._room_for(layers, inputs)
        self._counted = self._counted_for(layers, inputs, self._room[0])
        left = inputs.rows
        if self._counted is not None:
            self._counted.touch(min(self._counted.capacity, left))
        for each in self._room:
            each.touch(min(each.capacity, left))
            # No more than this part of the first chunk is left when the next tiles take it.
            left = int(FEW_LEFT * left)

    def _room_for(self, layers: LayerStore, inputs: Inputs) -> list[Tiles]:
        """The tiles for a run over these inputs, those that were taken for it, or new ones: for a
        chunk of rows, for as many of those that are left, where these are more, and for the rest;
        or for all."""
        space = self.space.for_rows(inputs.rows, self.dtype)
        shape = Shape.of(space, self.dtype, layers.widest)
        chunk = min(self._chunk_rows(shape), layers.rows // 2 // shape.lanes * shape.lanes)
        # A GPU has small caches, and needs many rows at a time.
        if inputs.rows <= chunk or self.exits == "none" or self.space.gpu:
            wanted = [min(inputs.rows, layers.rows)]
        else:
            again = FEW_LEFT * inputs.rows > chunk and 3 * chunk <= layers.rows
            chunks = [chunk, chunk] if again else [chunk]
            wanted = [*chunks, min(inputs.rows, layers.rows - sum(chunks))]
        taken = [each.capacity for each in self._room if each.shape == shape]
        # Tiles that are not filled do no harm where no others wait for them to be.
        if taken == wanted or (len(taken) == len(wanted) == 1 and taken >= wanted):
            return self._room
        return [Tiles(shape, capacity) for capacity in wanted]

    def _counted_for(self, layers: LayerStore, inputs: Inputs, rows: Tiles) -> Tiles | None:
        """Tiles for the counts of as many rows, those that were taken for it, or new ones; None
        where the first layer does not count."""
        if not self.counts(layers, inputs):
            return None
        shape, taken = self._shape_of_counts(layers, rows.shape), self._counted
        if taken is not None and (taken.shape, taken.capacity) == (shape, rows.capacity):
            return taken
        return Tiles(shape, rows.capacity)

    def _shape_of_counts(self, layers: LayerStore, shape: Shape) -> Shape:
        """As tiles of this shape, for the bytes on both sides of the first layer."""
        widest = max(layers[0].inputs, layers[0].outputs)
        return replace(shape, dtype=np.dtype(np.uint8), widest=widest)

    def _chunk_rows(self, shape: Shape) -> int:
        rows = _CHUNK_BYTES // self.bytes_per_row(shape.widest)
        # Whole rounds of tiles, so that no thread waits for another one.
        round_rows = _TILES_A_THREAD * self.space.threads * shape.lanes
        return max(round(rows / round_rows), -(-_FEWEST_CHUNK_ROWS // round_rows)) * round_rows

    def counts(self, layers: LayerStore, inputs: Inputs) -> bool:
        """Whether the first layer comes cheaper, and the same, from the bits of these inputs."""
        if not len(layers) or inputs.bits is None or inputs.rows == 0:
            return False
        return bool(layers[0].counts_exactly)

    def follows_counts(self, first: FusedLayer, after: Sequence[FusedLayer]) -> bool:
        """Whether the layer after a first one that counts, if there is one, may be computed in the
        same launch."""
        return any(
            layer.workunit is fused.fused_equal
            and layer.outputs == first.outputs
            and layer.rule == first.rule
            for layer in after
        )

    def count(self, counted: Tiles, layer: FusedLayer) -> None:
        """Count the inputs of a first layer that are 1, from bytes to bytes."""
        self.space.pk.parallel_for(
            "count_edges",
            self.space.teams(counted.count),
            fused.count_edges,
            x=counted.all,
            index=layer.weights["index"],
            layer=layer.position,
            side=counted.side,
            widest=counted.shape.widest,
            blocks=1,
            width=layer.outputs,
            outputs=layer.outputs,
            fan_in=layer.fan_in,
            lanes=counted.shape.lanes,
        )
        counted.swap(1, layer.outputs)

    def activate(
        self, rows: Tiles, counted: Tiles, layer: FusedLayer, following: Sequence[FusedLayer] = ()
    ) -> None:
        """Compute a first layer from the counts of the same rows, and those of the stack of equal
        weights and its own rule that follow."""
        after = following[0] if following else layer
        self.space.pk.parallel_for(
            "fused_counts",
            self.space.teams(rows.count),
            fused.fused_counts,
            x=counted.all,
            a=rows.all,
            weight=layer.weight,
            bias=layer.weights["bias"],
            next_index=after.weights["index"],
            next_weight=after.weight,
            next_bias=after.weights["bias"],
            zero=self.zero,
            **layer.scalars,
            layer=layer.position,
            next_layer=after.position,
            depth=len(following),
            counted=counted.first,
            side=rows.side,
            widest=rows.shape.widest,
            blocks=1,
            width=layer.outputs,
            outputs=layer.outputs,
            next_fan_in=after.fan_in,
            lanes=rows.shape.lanes,
        )
        rows.swap(1 + len(following), layer.outputs)

    def compute(self, rows: Tiles, layer: FusedLayer, depth: int) -> None:
        """Y = min(max(Y W + b, low), ymax) over all tiles, for `depth` layers from `layer` on."""
        blocks = 1 if depth > 1 else self._blocks(layer.outputs, rows.count)
        self.space.pk.parallel_for(
            "fused",
            self.space.teams(rows.count * blocks),
            layer.workunit,
            a=rows.all,
            **layer.weights,
            zero=self.zero,
            **layer.scalars,
            layer=layer.position,
            depth=depth,
            side=rows.side,
            widest=rows.shape.widest,
            blocks=blocks,
            width=-(-layer.outputs // blocks),
            outputs=layer.outputs,
            lanes=rows.shape.lanes,
        )
        rows.swap(depth, layer.outputs)

    def _blocks(self, outputs: int, tiles: int) -> int:
        """Into how many blocks of neurons a tile is cut, so that there are eight teams for
        each that runs at a time."""
        wanted = -(-8 * self.space.concurrent_teams // max(1, tiles))
        return max(1, min(wanted, outputs // 16))

    def most_depth(self, tiles: int) -> int:
        """Layers in a launch over so many tiles: one where a team a tile leaves threads idle."""
        teams = self.space.concurrent_teams
        # A GPU begins a team where another one ends; the threads of a CPU get their tiles before.
        turns = 1 if self.space.gpu else -(-tiles // teams)
        return MOST_DEPTH if tiles >= 0.9 * turns * teams else 1
