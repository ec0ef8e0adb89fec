"""Fused layers on tiles of input rows; rows whose end is known leave, and tiles stay full."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.engines.base import Exits, Range, Report, upper_limit
from kkspdnn.engines.outcome import Order, Outcome, Wanted
from kkspdnn.engines.stack import FusedLayer, likeness, prepared, stacked
from kkspdnn.engines.streamed import Put
from kkspdnn.engines.tiles import Shape, Tiles
from kkspdnn.inputs import Inputs
from kkspdnn.network import Indices, Layer, index_dtype
from kkspdnn.spaces import Space
from workunits import fused

if TYPE_CHECKING:
    from kkspdnn.engines.prepared import PreparedLayers

_MOVE_EDGES = 32
"""Looking at a row's value and moving it costs about as much as computing so many edges."""

_MOST_DEPTH = 16
"""Layers in one launch, and layers whose weights lie together; also the most between two looks.

A launch takes the host about 20 microseconds (measured, Serial space), a look two launches and a
wait. On a GPU with 60,000 rows of 1,024 neurons, 16 layers take 4 ms at least where the L1 caches
give 30 TB/s, 4 bytes an edge: launches are 2 % of that. They can show where few rows are left: a
layer of 2,000 rows takes 9 microseconds at least, so that the host must not wait after each."""

_CHUNK_BYTES = 1 << 24
"""Both buffers of the rows that go through the first layers together: half of a usual L3 cache."""

_FEWEST_CHUNK_ROWS = 1024
"""Fewer rows would not be worth streaming a layer's weights for."""

_TILES_A_THREAD = 4
"""A chunk is a multiple of so many tiles; with fewer, threads would get very unequal shares."""

_FEW_LEFT = 1 / 8
"""The first layers end where at most this part of the rows is left."""


class FusedEngine:
    """Tiles `a[tile][side * widest + neuron][lane]`, one or more layers a launch.

    Rows of zeros stay zeros under the challenge's bias, so they leave; under an ordinary one once
    every later layer keeps them, `PreparedLayers.zeros_stay_from`. Rows whose every value is ymax
    leave once every later layer provably keeps them so: see `_steady_from`.

    Order of work: the first layers run chunk by chunk, each small enough for the cache, until few
    rows are left. These wait until they fill tiles of that size again, and go on in the same way;
    what is then left of all, or of as many as there is memory for, goes on together. A first layer
    of equal weights counts the bits of the input rows. Where few rows leave, several
    layers run in one launch, so that a tile stays in cache, and rows are looked at after them.
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
        self.order = Order()
        self._room: list[Tiles] = []

    def prepare(self, layer: Layer, before: FusedLayer | None) -> FusedLayer:
        return prepared(layer, before, self.ymax)

    def size(self, layer: FusedLayer) -> int:
        return layer.size

    def placed(self, layer: FusedLayer, put: Put) -> FusedLayer:
        return layer.placed(put)

    def arrange(self, layers: Iterable[FusedLayer]) -> list[FusedLayer]:
        return stacked(layers, _MOST_DEPTH, self.space.put)

    def bytes_per_row(self, widest: int) -> int:
        return (2 * self.dtype.itemsize + 1) * widest + 40

    def warm_up(self, layers: PreparedLayers, inputs: Inputs) -> None:
        shape = Shape(self.space, self.dtype, layers.widest)
        few = inputs.slice(0, min(inputs.rows, shape.lanes))
        forms = {layer.form: layer for layer in layers.sample()}

        def launch_each() -> None:
            part, merged = Tiles(shape, shape.lanes), Tiles(shape, shape.lanes)
            if len(layers) and self.counts(few, layers[0]):
                self.count(part, part.load_bits(few, 0, layers[0].sources), layers[0])
            part.load(few, 0, _in_order(few.neurons))
            part.find_live(self.ymax)
            merged.append_live(part, few.rows)
            part.saturated()  # for which CuPy compiles kernels of its own
            for layer in forms.values():
                self._load_zeros(part, layer)
                self.compute(part, layer, 1)

        self.space.warm_up(launch_each)

    def prove(self, layers: PreparedLayers) -> None:
        """Find the layer from which on rows of ymax leave. Where no row can leave before the end,
        as with most ordinary biases, `exits` becomes none: no row needs to be looked at."""
        self.steady = self._steady_from(layers)
        end = len(layers)
        if end and layers.zeros_stay_from == end and self.steady in (None, end):
            self.exits = "none"

    def _steady_from(self, layers: PreparedLayers) -> int | None:
        """The first layer from which on a row of ymax everywhere provably stays one.

        Each layer is applied to a tile of such rows by the same workunit in the same order of
        arithmetic as in the run; where every result is exactly ymax, so it is in the run. Layers
        are looked at from the last one back, to the first that does not hold; of those that do the
        same to such rows, because all outputs have as many edges, one weight and one bias, one is
        tried.
        """
        if self.exits != "all" or self.limit is None:
            return None
        tile = Tiles(Shape(self.space, self.dtype, layers.widest), 1)
        steady = len(layers)
        tried: set[Any] = set()
        while steady > 0:
            held = steady <= layers.held
            given = None if held else layers.given(steady - 1)
            alike = layers[steady - 1].likeness if given is None else likeness(given)
            if alike is None or alike not in tried:
                if given is None:
                    layer = layers[steady - 1]
                else:
                    layer = prepared(given, None, self.ymax).placed(self.space.put)
                self._load_zeros(tile, layer)
                tile.front.fill(self.ymax)
                self.compute(tile, layer, 1)
                if not (tile.front == self.ymax).all():
                    break
                tried.add(alike)
            steady -= 1
        return steady

    def _load_zeros(self, rows: Tiles, layer: FusedLayer) -> None:
        """Take one row of zeros, as wide as the layer's inputs."""
        zeros = sp.csr_array((1, layer.inputs), dtype=self.dtype)
        rows.load(Inputs.from_any(zeros), 0, layer.sources)

    def run(
        self, layers: PreparedLayers, inputs: Inputs, wanted: Wanted | None, report: Report
    ) -> Iterator[Outcome]:
        self.order = Order()
        room = self._room_for(layers, inputs)
        run = _Run(self, layers, Range(inputs, self.dtype), wanted, report)
        if len(room) > 1:
            yield from run.in_chunks([_Level(each) for each in room], inputs)
            return
        (rows,) = room
        for first, part in inputs.parts(max(1, rows.capacity)):
            together = 1 if self.exits != "none" else _MOST_DEPTH
            begin = run.start(rows, part, first, min(together, len(layers)))
            yield run.finish(rows, part.rows, begin)

    def take_room(self, layers: PreparedLayers, inputs: Inputs) -> None:
        self._room = self._room_for(layers, inputs)
        left = inputs.rows
        for each in self._room:
            each.touch(min(each.capacity, left))
            # No more than this part of the first chunk is left when the next tiles take it.
            left = int(_FEW_LEFT * left)
        self._room[0].take_bits(inputs)

    def _room_for(self, layers: PreparedLayers, inputs: Inputs) -> list[Tiles]:
        """The tiles for a run over these inputs, those that were taken for it, or new ones: for a
        chunk of rows, for as many of those that are left, where these are more, and for the rest;
        or for all."""
        space = self.space.for_rows(inputs.rows, self.dtype)
        shape = Shape(space, self.dtype, layers.widest)
        chunk = min(self._chunk_rows(shape), layers.rows // 2 // shape.lanes * shape.lanes)
        # A GPU has small caches, and needs many rows at a time.
        if inputs.rows <= chunk or self.exits == "none" or self.space.gpu:
            wanted = [min(inputs.rows, layers.rows)]
        else:
            again = _FEW_LEFT * inputs.rows > chunk and 3 * chunk <= layers.rows
            chunks = [chunk, chunk] if again else [chunk]
            wanted = [*chunks, min(inputs.rows, layers.rows - sum(chunks))]
        if [(each.shape, each.capacity) for each in self._room] == [(shape, n) for n in wanted]:
            return self._room
        return [Tiles(shape, capacity) for capacity in wanted]

    def _chunk_rows(self, shape: Shape) -> int:
        rows = _CHUNK_BYTES // self.bytes_per_row(shape.widest)
        # Whole rounds of tiles, so that no thread waits for another one.
        round_rows = _TILES_A_THREAD * self.space.threads * shape.lanes
        return max(round(rows / round_rows), 1, -(-_FEWEST_CHUNK_ROWS // round_rows)) * round_rows

    def counts(self, inputs: Inputs, layer: FusedLayer) -> bool:
        """Whether the first layer comes cheaper, and the same, from the bits of these inputs."""
        return inputs.bits is not None and inputs.rows > 0 and layer.counts_exactly

    def count(
        self, rows: Tiles, bits: Any, layer: FusedLayer, following: Sequence[FusedLayer] = ()
    ) -> None:
        """Compute a first layer from bits, [tile][neuron][lane] of bytes, and those of the stack
        of equal weights and its own rule that follow."""
        after = following[0] if following else layer
        self.space.pk.parallel_for(
            "fused_count",
            self.space.teams(rows.count),
            fused.fused_count,
            x=bits,
            a=rows.all,
            index=layer.weights["index"],
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
            side=rows.side,
            widest=rows.shape.widest,
            blocks=1,
            width=layer.outputs,
            outputs=layer.outputs,
            fan_in=layer.fan_in,
            next_fan_in=after.fan_in,
            lanes=rows.shape.lanes,
        )
        rows.swap(1 + len(following), layer.outputs)
        self.order = replace(self.order, bits_counted=True)

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
        wanted = -(-8 * self.space.teams_at_once // max(1, tiles))
        return max(1, min(wanted, outputs // 16))

    def most_depth(self, tiles: int) -> int:
        """Layers in a launch over so many tiles: one where a team a tile leaves threads idle."""
        teams = self.space.teams_at_once
        # A GPU begins a team where another one ends; the threads of a CPU get their tiles before.
        turns = 1 if self.space.gpu else -(-tiles // teams)
        return _MOST_DEPTH if tiles >= 0.9 * turns * teams else 1


class _Run:
    """One run of the engine: what has left, how much was multiplied, before which layers rows moved
    together."""

    def __init__(
        self,
        engine: FusedEngine,
        layers: PreparedLayers,
        sizes: Range,
        wanted: Wanted | None,
        report: Report,
    ) -> None:
        self.engine = engine
        self.layers = layers
        self.sizes = sizes
        self.wanted = wanted
        self.report = report
        self.multiplied = 0
        self.saturated: list[NDArray[np.int64]] = []
        self.moved: list[int] = []
        self.deepest = 1

    def start(self, rows: Tiles, inputs: Inputs, first: int, end: int = 1) -> int:
        """Take input rows, the first of which is number `first`, and compute as many of the layers
        up to `end` as come cheaper together from their bits; gives the layer that is next."""
        if len(self.layers) == 0:
            rows.load(inputs, first, _in_order(inputs.neurons))
            return 0
        layer = self.layers[0]
        if end == 0 or not self.engine.counts(inputs, layer):
            rows.load(inputs, first, layer.sources)
            return 0
        bits = rows.load_bits(inputs, first, layer.sources)
        step, following = [layer], list[FusedLayer]()
        # A GPU has a layer that is not held no longer than until the next one is asked for.
        if end > 1 and self.layers.held and not self._may_overflow(0, step[0]):
            after = self.layers[1]
            alike = after.outputs == step[0].outputs and after.rule == step[0].rule
            if after.workunit is fused.fused_equal and alike:
                following = self._step(rows, 1, end - 1, after)
        step += following
        self.engine.count(rows, bits, step[0], following)
        self.deepest = max(self.deepest, len(step))
        self._account(rows, inputs.rows, 0, step)
        return len(step)

    def advance(
        self,
        rows: Tiles,
        inputs: int,
        begin: int,
        end: int,
        few: int = -1,
        looks: Sequence[int] | None = None,
    ) -> int:
        """Take rows, of so many `inputs`, through layers begin to end, or until at most `few` are
        left; gives the layer that comes next.

        Whether to move rows together is the question whether to rent or to buy: computing rows that
        have left costs rent, moving the others is the price. They move once the rent reaches it.

        looks: before which layers to look at the rows; None: as many as pays by what is seen
        """
        position, rent, depth = begin, 0, 1
        lanes, before = rows.shape.lanes, rows.rows
        look = begin
        if self.engine.exits == "none":
            look = end
        elif looks is not None:
            look = min([each for each in looks if each >= begin], default=end)
        while position < end:
            layer = self.layers[position]
            if position == look:
                living = self.find_unsettled(rows, position)
                if living <= few:
                    return position
                price = _MOVE_EDGES * rows.neurons * living
                if looks is None:
                    depth = _next_depth(depth, before, living, price / max(1, living * layer.edges))
                    look = position + depth
                    if layer.following < depth and layer.position + layer.following > 1:
                        # So that later launches go through whole stacks.
                        look = position + layer.following
                else:
                    look = min([each for each in looks if each > position], default=end)
                    depth = look - position
                spare = (rows.count - rows.shape.tiles(living)) * lanes
                rent += spare * layer.edges * depth
                if spare and rent >= price:
                    self._keep_live(rows, living)
                    self.moved.append(position)
                    rent = 0
                if rows.rows == 0:
                    self.report(inputs * (end - position))
                    return end
                before = living
            step = self._step(rows, position, min(look, end) - position, layer)
            if rows.rows:
                self.engine.compute(rows, layer, len(step))
                self.deepest = max(self.deepest, len(step))
            # Before the next look waits for the launch.
            self.layers.ahead(position + len(step))
            self._account(rows, inputs, position, step)
            position += len(step)
        return end

    def _step(self, rows: Tiles, position: int, depth: int, layer: FusedLayer) -> list[FusedLayer]:
        """The layers of the next launch: at most `depth`, and none after one that may overflow."""
        most = min(depth, layer.following, self.engine.most_depth(rows.count))
        step = [layer]
        while len(step) < most and not self._may_overflow(position + len(step) - 1, step[-1]):
            step.append(self.layers[position + len(step)])
        return step

    def _may_overflow(self, position: int, layer: FusedLayer) -> bool:
        return self.sizes.may_overflow(position, layer.growth)

    def _account(self, rows: Tiles, inputs: int, position: int, step: list[FusedLayer]) -> None:
        """Count what was computed, and look at what may have overflowed."""
        self.multiplied += rows.rows * sum(layer.edges for layer in step)
        self.report(inputs * len(step))
        last = position + len(step) - 1
        if self._may_overflow(last, step[-1]) and rows.rows:
            # A lane past the last row computes a row of zeros, which need not be among the rows.
            for values in rows.filled:
                self.sizes.check(values, last)

    def in_chunks(self, levels: Sequence[_Level], inputs: Inputs) -> Iterator[Outcome]:
        """All rows through the tiles of one level after the other."""
        chunk_rows = levels[0].tiles.capacity
        for level in levels:
            level.tiles.rows = 0
        for begin, chunk in inputs.parts(chunk_rows):
            levels[0].taken = chunk.rows
            together = min(levels[0].looks, default=1)
            following = self.start(levels[0].tiles, chunk, begin, together)
            yield from self._pass(levels, following)
        for number in range(1, len(levels)):
            yield from self._pass(levels[number:], levels[number - 1].end)
        passed = [level.end for level in levels[:-1]]
        order = replace(self.engine.order, chunk_rows=chunk_rows, chunk_layers=passed[0])
        self.engine.order = replace(order, again_layers=passed[-1] - passed[0])

    def _pass(self, levels: Sequence[_Level], begin: int) -> Iterator[Outcome]:
        """Take the first level's rows from layer `begin` on until few are left, and put these
        behind the next level's, which go on first where there is no room."""
        level, *others = levels
        rows, taken = level.tiles, level.taken
        level.taken = 0
        if not others:
            yield self.finish(rows, taken, begin)
            rows.rows = 0
            return
        if level.looks:
            self.advance(rows, taken, begin, level.end, looks=level.looks)
        else:
            # The first rows find out how many layers these are, and where rows move.
            self.moved = []
            few, end = int(_FEW_LEFT * rows.rows), len(self.layers)
            if begin and self.layers.held < end:
                # Layers that are made again on each use are for all rows together.
                end = max(begin, self.layers.held)
            level.end = self.advance(rows, taken, begin, end, few)
            level.looks = [*self.moved, level.end]
        living = self.find_unsettled(rows, level.end)
        self.saturated.append(rows.saturated())
        if others[0].tiles.rows + living > others[0].tiles.capacity:
            yield from self._pass(others, level.end)
        others[0].tiles.append_live(rows, living)
        others[0].taken += taken
        rows.rows = 0

    def finish(self, rows: Tiles, inputs: int, begin: int) -> Outcome:
        """Take rows, of so many `inputs`, from layer `begin` to the end; gives what is left of all
        that were taken since the last time."""
        end = len(self.layers)
        self.advance(rows, inputs, begin, end)
        living = self.find_unsettled(rows, end)
        if living < rows.rows:
            self._keep_live(rows, living)
        rows.neurons = self.layers.outputs
        outcome = self.outcome(rows)
        self.engine.order = replace(self.engine.order, layers_a_launch=self.deepest)
        self.saturated, self.multiplied = [], 0
        return outcome

    def _keep_live(self, rows: Tiles, living: int) -> None:
        self.saturated.append(rows.saturated())
        rows.keep_live(living)

    def find_unsettled(self, rows: Tiles, position: int) -> int:
        """How many rows are neither dead nor provably saturated for good before `position`."""
        steady = self.engine.steady
        provable = steady is not None and position >= steady
        ymax = self.engine.ymax if provable else self.engine.dtype.type(np.inf)
        return rows.find_live(ymax, 0.0 if position >= self.layers.zeros_stay_from else np.nan)

    def outcome(self, rows: Tiles) -> Outcome:
        """What is left, with the rows that left saturated in their places."""
        saturated = np.sort(np.concatenate([np.empty(0, np.int64), *self.saturated]))
        ids = np.sort(np.concatenate([rows.ids, saturated]))
        if self.wanted is None:
            return Outcome(ids, None, self.multiplied)
        kept = self.wanted(rows.ids)
        values, ymax = rows.to_csr(kept), self.engine.ymax
        if len(self.layers):
            values = sp.csr_array(values[:, self.layers[-1].places])
            values.sort_indices()
        return Outcome(ids, values, self.multiplied, rows.ids[kept], saturated, ymax)


@dataclass
class _Level:
    """Tiles that rows wait in until these are full, and then go through some layers in.

    end: before which layer they leave; looks: before which layers to look at them; both are 0 and
    empty until the first have gone through. taken: how many input rows they are left of
    """

    tiles: Tiles
    end: int = 0
    looks: list[int] = field(default_factory=list)
    taken: int = 0


def _in_order(neurons: int) -> Indices:
    """Each neuron in its own place."""
    return np.arange(neurons, dtype=index_dtype(neurons))


def _next_depth(depth: int, before: int, living: int, price: float) -> int:
    """How many layers to compute until rows are looked at again.

    depth: how many the last time, when of `before` rows `living` stayed; price: of looking at a row
    and moving it, in layers. Where the part p of the rows leaves with every layer, rows that have
    left cost p depth^2 / 2 layers until the next look, so looks are sqrt(2 price / p) layers apart
    at best; half of that here, because rows often leave faster and faster.
    """
    most = min(2 * depth, _MOST_DEPTH)
    part = (before - living) / max(1, before * depth)
    if part * most**2 <= price / 2:
        return most
    return max(1, min(most, int((price / (2 * part)) ** 0.5)))
