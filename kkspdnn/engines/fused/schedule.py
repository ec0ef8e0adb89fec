"""One run of the fused engine: in which order rows go through layers, and which leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.engines.base import ProgressCallback
from kkspdnn.engines.fused.layer import MOST_DEPTH, FusedLayer
from kkspdnn.engines.fused.tiles import Tiles, in_order
from kkspdnn.engines.overflow_guard import OverflowGuard
from kkspdnn.engines.partial_result import PartialResult, RowSelector, Schedule
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Indices

if TYPE_CHECKING:
    from kkspdnn.engines.fused.engine import FusedEngine
    from kkspdnn.engines.layer_store import LayerStore

FEW_LEFT = 1 / 8
"""The first layers end where at most this part of the rows is left."""

_MOVE_EDGES = 32
"""Looking at a row's value and moving it costs about as much as computing so many edges; where the
value is a byte, a quarter of it."""

MOST_COUNTED = np.int32(256)
"""More than any count of a byte."""


@dataclass
class Level:
    """Tiles that rows wait in until these are full, and then go through some layers in.

    end: before which layer they leave; looks: before which layers to look at them; both are 0 and
    empty until the first have gone through. taken: how many input rows they are left of
    """

    tiles: Tiles
    end: int = 0
    looks: list[int] = field(default_factory=list)
    taken: int = 0


class FusedRun:
    """One run of the engine: what has left, how many edges were computed, before which layers rows
    moved together, and before which the rows at hand were looked at last."""

    def __init__(
        self,
        engine: FusedEngine,
        layers: LayerStore,
        inputs: Inputs,
        wanted: RowSelector | None,
        report: ProgressCallback,
        room: Sequence[Tiles],
        counted: Tiles | None,
        into: Any = None,
    ) -> None:
        """room: tiles that rows go through one after the other; counted: room for the counts of a
        first layer, where it counts; into: see FusedEngine.run"""
        self.engine = engine
        self.layers = layers
        self.inputs = inputs
        self.sizes = OverflowGuard(inputs, engine.dtype)
        self.wanted = wanted
        self.report = report
        self.room = room
        self.counted = counted
        self.schedule = Schedule()
        self.into = into
        self.computed_edges = 0
        self.saturated: list[NDArray[np.int64]] = []
        self.moved: list[int] = []
        self.looked = -1
        self.leaves_counted = engine.exits != "none"

    def __iter__(self) -> Iterator[PartialResult]:
        if len(self.room) > 1:
            yield from self._in_chunks([Level(each) for each in self.room])
            return
        (rows,) = self.room
        for first, part in self.inputs.chunks(max(1, rows.capacity)):
            together = 1 if self.engine.exits != "none" else MOST_DEPTH
            begin = self.start(rows, part, first, min(together, len(self.layers)))
            yield self.finish(rows, part.rows, begin)

    def start(self, rows: Tiles, inputs: Inputs, first: int, end: int = 1) -> int:
        """Take input rows, the first of which is number `first`, and compute as many of the layers
        up to `end` as come cheaper together from their bits; gives the layer that is next."""
        self.looked = -1
        if len(self.layers) == 0:
            rows.load(inputs, first, in_order(inputs.neurons))
            return 0
        layer = self.layers[0]
        counted = self.counted
        if end == 0 or counted is None:
            rows.load(inputs, first, layer.sources)
            return 0
        counted.load(inputs, first, layer.sources)
        self.engine.count(counted, layer)
        self.schedule = replace(self.schedule, bits_counted=True)
        if self.leaves_counted:
            self._leave_counted(counted, layer.edges)
        rows.take(counted)
        step, following = [layer], list[FusedLayer]()
        # A GPU has a layer that is not held no longer than until the next one is asked for.
        together = end > 1 and self.engine.most_depth(rows.count) > 1
        if together and self.layers.held and not self._may_overflow(0, step[0]):
            after = self.layers[1]
            if self.engine.follows_counts(step[0], [after]):
                following = self._step(rows, 1, end - 1, after)
        step += following
        if rows.rows:
            self.engine.activate(rows, counted, step[0], following)
            self._launched(len(step))
        # Those that have left were counted too.
        self.computed_edges += (inputs.rows - rows.rows) * layer.edges
        self._account(rows, inputs.rows, 0, step)
        return len(step)

    def _leave_counted(self, counted: Tiles, edges: int) -> None:
        """Look at rows as soon as they are counted, and move those that go on together where the
        others' next layer would cost more. Where it would not, later rows are not looked at."""
        ends = self.engine.count_ends
        living = counted.find_live(ends, MOST_COUNTED)
        self.looked = 1
        price = _MOVE_EDGES // 4 * counted.neurons * living
        self.leaves_counted = (counted.rows - living) * edges >= price
        if self.leaves_counted:
            self.saturated.append(counted.saturated(ends, MOST_COUNTED))
            counted.keep_live(living)

    def advance(
        self,
        rows: Tiles,
        inputs: int,
        begin: int,
        end: int,
        few: int = -1,
        looks: Sequence[int] | None = None,
    ) -> int:
        """Take rows, of so many `inputs`, through layers begin to end; with `few` only until so
        few are left, or until hardly any leave. Gives the layer that comes next.

        Whether to move rows together is the question whether to rent or to buy: computing rows that
        have left costs rent, moving the others is the price. They move once the rent reaches it.

        looks: before which layers to look at the rows; None: as many as pays by what is seen
        """
        position, rent, depth = begin, 0, 1
        lanes, before = rows.shape.lanes, rows.rows
        look = begin + 1 if self.looked == begin else begin
        if self.engine.exits == "none":
            look = end
        elif looks is not None:
            look = min([each for each in looks if each >= look], default=end)
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
                    if few >= 0 and depth == MOST_DEPTH:
                        return position
                    if layer.following < depth and layer.position + layer.following > 1:
                        # So that later launches go through whole stacks.
                        look = position + layer.following
                else:
                    look = min([each for each in looks if each > position], default=end)
                    depth = look - position
                spare = (rows.count - rows.shape.tiles(living)) * lanes
                rent += spare * layer.edges * depth
                if spare and rent >= price:
                    self._keep_live(rows, living, position)
                    self.moved.append(position)
                    rent = 0
                if rows.rows == 0:
                    self.report(inputs * (end - position))
                    return end
                before = living
            step = self._step(rows, position, min(look, end) - position, layer)
            if rows.rows:
                self.engine.compute(rows, layer, len(step))
                self._launched(len(step))
            # Before the next look waits for the launch.
            self.layers.prefetch(position + len(step))
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
        self.computed_edges += rows.rows * sum(layer.edges for layer in step)
        self.report(inputs * len(step))
        last = position + len(step) - 1
        if self._may_overflow(last, step[-1]) and rows.rows:
            # A lane past the last row computes a row of zeros, which need not be among the rows.
            for values in rows.filled:
                self.sizes.check(values, last)

    def _launched(self, layers: int) -> None:
        if layers > self.schedule.layers_a_launch:
            self.schedule = replace(self.schedule, layers_a_launch=layers)

    def _in_chunks(self, levels: Sequence[Level]) -> Iterator[PartialResult]:
        """All rows through the tiles of one level after the other."""
        chunk_rows = levels[0].tiles.capacity
        for level in levels:
            level.tiles.rows = 0
        for begin, chunk in self.inputs.chunks(chunk_rows):
            levels[0].taken = chunk.rows
            together = min(levels[0].looks, default=1)
            following = self.start(levels[0].tiles, chunk, begin, together)
            yield from self._pass(levels, following)
        for number in range(1, len(levels)):
            yield from self._pass(levels[number:], levels[number - 1].end)
        passed = [level.end for level in levels[:-1]]
        self.schedule = replace(
            self.schedule,
            chunk_rows=chunk_rows,
            chunk_layers=passed[0],
            again_layers=passed[-1] - passed[0],
        )

    def _pass(self, levels: Sequence[Level], begin: int) -> Iterator[PartialResult]:
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
            few, end = int(FEW_LEFT * rows.rows), len(self.layers)
            if begin and self.layers.held < end:
                # Layers that are made again on each use are for all rows together.
                end = max(begin, self.layers.held)
            level.end = self.advance(rows, taken, begin, end, few)
            level.looks = [*self.moved, level.end]
        living = self.find_unsettled(rows, level.end)
        self._set_saturated_aside(rows, level.end)
        if others[0].tiles.rows + living > others[0].tiles.capacity:
            yield from self._pass(others, level.end)
        others[0].tiles.append_live(rows, living)
        others[0].taken += taken
        rows.rows = 0

    def finish(self, rows: Tiles, inputs: int, begin: int) -> PartialResult:
        """Take rows, of so many `inputs`, from layer `begin` to the end; gives what is left of all
        that were taken since the last time."""
        end = len(self.layers)
        self.advance(rows, inputs, begin, end)
        if self.into is None:
            living = self.find_unsettled(rows, end)
            if living < rows.rows:
                self._keep_live(rows, living, end)
        rows.neurons = self.layers.outputs
        outcome = self.outcome(rows)
        self.saturated, self.computed_edges = [], 0
        return outcome

    def _keep_live(self, rows: Tiles, living: int, position: int) -> None:
        self._set_saturated_aside(rows, position)
        rows.keep_live(living)

    def _set_saturated_aside(self, rows: Tiles, position: int) -> None:
        self.saturated.append(rows.saturated(self.engine.ends[position], self.engine.ymax))

    def find_unsettled(self, rows: Tiles, position: int) -> int:
        """How many rows have no known end before `position`."""
        self.looked = position
        return rows.find_live(self.engine.ends[position], self.engine.ymax)

    def outcome(self, rows: Tiles) -> PartialResult:
        """What is left, with the rows that left saturated in their places."""
        saturated = np.sort(np.concatenate([np.empty(0, np.int64), *self.saturated]))
        if self.into is not None:
            to_device = self.engine.space.to_device
            if rows.rows:
                rows.write(self.into, to_device(self._places(rows)))
            if saturated.size:
                self.into[to_device(saturated)] = self.engine.ymax
            return PartialResult(np.empty(0, np.int64), None, self.computed_edges)
        ids = np.sort(np.concatenate([rows.ids, saturated]))
        if self.wanted is None:
            return PartialResult(ids, None, self.computed_edges)
        kept = self.wanted(rows.ids)
        values = rows.to_csr(kept, self._places(rows))
        return PartialResult(
            ids, values, self.computed_edges, rows.ids[kept], saturated, self.engine.ymax
        )

    def _places(self, rows: Tiles) -> Indices:
        """Where each output neuron is in a tile."""
        return self.layers[-1].places if len(self.layers) else in_order(rows.neurons)


def _next_depth(depth: int, before: int, living: int, price: float) -> int:
    """How many layers to compute until rows are looked at again.

    depth: how many the last time, when of `before` rows `living` stayed; price: of looking at a row
    and moving it, in layers. Where the part p of the rows leaves with every layer, rows that have
    left cost p depth^2 / 2 layers until the next look, so looks are sqrt(2 price / p) layers apart
    at best; half of that here, because rows often leave faster and faster.
    """
    most = min(2 * depth, MOST_DEPTH)
    part = (before - living) / max(1, before * depth)
    if part * most**2 <= price / 2:
        return most
    return max(1, min(most, int((price / (2 * part)) ** 0.5)))
