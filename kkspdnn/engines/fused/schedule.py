"""One run of the fused engine: in which order rows go through layers, and which leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.engines.base import ProgressCallback
from kkspdnn.engines.fused.buffers import FEW_LEFT, Buffers
from kkspdnn.engines.fused.checks import Checks
from kkspdnn.engines.fused.early_exit import MOST_COUNTED, EarlyExit
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.layer import MOST_DEPTH, FusedLayer
from kkspdnn.engines.fused.tiles import Tiles, in_order
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.overflow_guard import OverflowGuard
from kkspdnn.engines.partial_result import PartialResult, RowSelector, Schedule
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Indices

_MOVE_EDGES = 32
"""Looking at a row's value and moving it costs about as much as computing so many edges; where the
value is a byte, a quarter of it."""


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
    """One run: what has left, how much was multiplied, before which layers rows moved together, and
    before which the rows at hand were looked at last.

    Order of work: the first layers run chunk by chunk, each small enough for the cache, until few
    rows are left. These wait until they fill tiles of that size again, and go on in the same way;
    what is then left of all, or of as many as there is memory for, goes on together. A first layer
    of equal weights counts the bits of the input rows, and rows leave before their counts become
    activations. Where few rows leave, several layers run in one launch, so that a tile stays in
    cache, and rows are looked at after them.

    ymax: of the dtype, may be infinite; into: see FusedEngine.run
    """

    def __init__(
        self,
        *,
        kernels: FusedKernels,
        layers: LayerStore,
        early_exit: EarlyExit,
        ymax: Any,
        sizes: OverflowGuard,
        buffers: Buffers,
        inputs: Inputs,
        wanted: RowSelector | None,
        report: ProgressCallback,
        into: Any = None,
    ) -> None:
        self.kernels = kernels
        self.layers = layers
        self.early_exit = early_exit
        self.ymax = ymax
        self.sizes = sizes
        self.buffers = buffers
        self.inputs = inputs
        self.wanted = wanted
        self.report = report
        self.into = into
        self.schedule = Schedule()
        self.computed_edges = 0
        self.saturated: list[NDArray[np.int64]] = []
        self.moved: list[int] = []
        self.looked = -1
        self.leaves_counted = early_exit.exits != "none"

    def __iter__(self) -> Iterator[PartialResult]:
        if len(self.buffers.stages) > 1:
            yield from self._in_chunks([Level(each) for each in self.buffers.stages])
            return
        (rows,) = self.buffers.stages
        for first, part in self.inputs.chunks(max(1, rows.capacity)):
            together = 1 if self.early_exit.exits != "none" else MOST_DEPTH
            begin = self._start(rows, part, first, min(together, len(self.layers)))
            yield self._finish(rows, part.rows, begin)

    def _in_chunks(self, levels: Sequence[Level]) -> Iterator[PartialResult]:
        """All rows through the tiles of one level after the other."""
        chunk_rows = levels[0].tiles.capacity
        for level in levels:
            level.tiles.rows = 0
        for begin, chunk in self.inputs.chunks(chunk_rows):
            levels[0].taken = chunk.rows
            together = min(levels[0].looks, default=1)
            following = self._start(levels[0].tiles, chunk, begin, together)
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
            yield self._finish(rows, taken, begin)
            rows.rows = 0
            return
        if level.looks:
            self._advance(rows, taken, begin, level.end, looks=level.looks)
        else:
            # The first rows find out how many layers these are, and where rows move.
            self.moved = []
            few, end = int(FEW_LEFT * rows.rows), len(self.layers)
            if begin and self.layers.held < end:
                # Layers that are made again on each use are for all rows together.
                end = max(begin, self.layers.held)
            level.end = self._advance(rows, taken, begin, end, few)
            level.looks = [*self.moved, level.end]
        living = self._find_unsettled(rows, level.end)
        self._set_saturated_aside(rows, level.end)
        if others[0].tiles.rows + living > others[0].tiles.capacity:
            yield from self._pass(others, level.end)
        others[0].tiles.append_live(rows, living)
        others[0].taken += taken
        rows.rows = 0

    def _start(self, rows: Tiles, inputs: Inputs, first: int, end: int) -> int:
        """Take input rows, the first of which is number `first`, and compute as many of the layers
        up to `end` as come cheaper together from their bits; gives the layer that is next."""
        self.looked = -1
        if len(self.layers) == 0:
            rows.load(inputs, first, in_order(inputs.neurons))
            return 0
        layer, counted = self.layers[0], self.buffers.counts
        if end == 0 or counted is None:
            rows.load(inputs, first, layer.sources)
            return 0
        counted.load(inputs, first, layer.sources)
        self.kernels.count(counted, layer)
        self.schedule = replace(self.schedule, bits_counted=True)
        if self.leaves_counted:
            self._leave_counted(counted, layer.edges)
        rows.take(counted)
        step, following = [layer], list[FusedLayer]()
        # A GPU has a layer that is not held no longer than until the next one is asked for.
        together = end > 1 and self.kernels.most_depth(rows.count) > 1
        if together and self.layers.held and not self._may_overflow(0, step[0]):
            after = self.layers[1]
            if after.follows_counts(layer):
                following = self._step(rows, 1, end - 1, after)
        step += following
        if rows.rows:
            self.kernels.activate(rows, counted, step[0], following)
            self._note_depth(len(step))
        # Those that have left were counted too.
        self.computed_edges += (inputs.rows - rows.rows) * layer.edges
        self._account(rows, inputs.rows, 0, step)
        return len(step)

    def _leave_counted(self, counted: Tiles, edges: int) -> None:
        """Look at rows as soon as they are counted, and move those that go on together where the
        others' next layer would cost more. Where it would not, later rows are not looked at."""
        ends = self.early_exit.count_ends
        living = counted.find_live(ends, MOST_COUNTED)
        self.looked = 1
        price = _MOVE_EDGES // 4 * counted.neurons * living
        self.leaves_counted = (counted.rows - living) * edges >= price
        if self.leaves_counted:
            self.saturated.append(counted.saturated(ends, MOST_COUNTED))
            counted.keep_live(living)

    def _advance(
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

        looks: before which layers to look at the rows; None: as many as pays by what is seen
        """
        if self.early_exit.exits == "none":
            looks = ()
        first = begin + 1 if self.looked == begin else begin
        checks = Checks.start(first, end, looks, rows.rows)
        position = begin
        while position < end:
            layer = self.layers[position]
            if position == checks.next:
                if self._check(rows, position, layer, checks, few):
                    return position
                if rows.rows == 0:
                    self.report(inputs * (end - position))
                    return end
            step = self._step(rows, position, min(checks.next, end) - position, layer)
            if rows.rows:
                self.kernels.compute(rows, layer, len(step))
                self._note_depth(len(step))
            # Before the next look waits for the launch.
            self.layers.prefetch(position + len(step))
            self._account(rows, inputs, position, step)
            position += len(step)
        return end

    def _check(
        self, rows: Tiles, position: int, layer: FusedLayer, checks: Checks, few: int
    ) -> bool:
        """Look at the rows before a layer, and move those that go on together where it pays; gives
        whether they are to stop here, because at most `few` are left or hardly any leave."""
        living = self._find_unsettled(rows, position)
        if living <= few:
            return True
        price = _MOVE_EDGES * rows.neurons * living
        checks.plan(position, layer, living, price)
        if few >= 0 and checks.depth == MOST_DEPTH:
            return True
        spare = (rows.count - rows.shape.tiles(living)) * rows.shape.lanes
        if checks.pays(spare, layer.edges, price):
            self._keep_live(rows, living, position)
            self.moved.append(position)
        checks.rows = living
        return False

    def _step(self, rows: Tiles, position: int, depth: int, layer: FusedLayer) -> list[FusedLayer]:
        """The layers of the next launch: at most `depth`, and none after one that may overflow."""
        most = min(depth, layer.following, self.kernels.most_depth(rows.count))
        step = [layer]
        while len(step) < most and not self._may_overflow(position + len(step) - 1, step[-1]):
            step.append(self.layers[position + len(step)])
        return step

    def _note_depth(self, layers: int) -> None:
        if layers > self.schedule.layers_a_launch:
            self.schedule = replace(self.schedule, layers_a_launch=layers)

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

    def _finish(self, rows: Tiles, inputs: int, begin: int) -> PartialResult:
        """Take rows, of so many `inputs`, from layer `begin` to the end; gives what is left of all
        that were taken since the last time."""
        end = len(self.layers)
        self._advance(rows, inputs, begin, end)
        if self.into is None:
            living = self._find_unsettled(rows, end)
            if living < rows.rows:
                self._keep_live(rows, living, end)
        rows.neurons = self.layers.outputs
        outcome = self._outcome(rows)
        self.saturated, self.computed_edges = [], 0
        return outcome

    def _keep_live(self, rows: Tiles, living: int, position: int) -> None:
        self._set_saturated_aside(rows, position)
        rows.keep_live(living)

    def _set_saturated_aside(self, rows: Tiles, position: int) -> None:
        self.saturated.append(rows.saturated(self.early_exit.ends[position], self.ymax))

    def _find_unsettled(self, rows: Tiles, position: int) -> int:
        """How many rows have no known end before `position`."""
        self.looked = position
        return rows.find_live(self.early_exit.ends[position], self.ymax)

    def _outcome(self, rows: Tiles) -> PartialResult:
        """What is left, with the rows that left saturated in their places."""
        saturated = np.sort(np.concatenate([np.empty(0, np.int64), *self.saturated]))
        if self.into is not None:
            to_device = self.kernels.space.to_device
            if rows.rows:
                rows.write(self.into, to_device(self._places(rows)))
            if saturated.size:
                self.into[to_device(saturated)] = self.ymax
            return PartialResult(np.empty(0, np.int64), None, self.computed_edges)
        ids = np.sort(np.concatenate([rows.ids, saturated]))
        if self.wanted is None:
            return PartialResult(ids, None, self.computed_edges)
        kept = self.wanted(rows.ids)
        values = rows.to_csr(kept, self._places(rows))
        return PartialResult(ids, values, self.computed_edges, rows.ids[kept], saturated, self.ymax)

    def _places(self, rows: Tiles) -> Indices:
        """Where each output neuron is in a tile."""
        return self.layers[-1].places if len(self.layers) else in_order(rows.neurons)
