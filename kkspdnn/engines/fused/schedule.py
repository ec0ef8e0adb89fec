"""The schedule of a run: the order of layers and blocks of rows, checks and compaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kkspdnn.device.launch_parameters import MAX_LAYERS_A_LAUNCH
from kkspdnn.engines.base import ProgressCallback
from kkspdnn.engines.fused.buffers import FEW_ACTIVE, Buffers
from kkspdnn.engines.fused.checks import Checks
from kkspdnn.engines.fused.early_exit import COUNT_LIMIT, EarlyExit
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.saturated_rows import SaturatedRows
from kkspdnn.engines.fused.tiles import Tiles, identity_permutation
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.overflow_guard import OverflowGuard
from kkspdnn.engines.partial_result import PartialResult, RowSelector, Schedule
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Indices
from kkspdnn.workunits import first_layer

_COMPACTION_EDGES = 32
"""The cost of a check and compaction of an activation, in edges; a quarter of it for a count, which
has one byte."""


@dataclass
class Batch:
    """Rows that go through some of the layers together.

    end: the layer before which the batch stops; check_layers: the layers before which it is
    checked. The first rows of a run determine both; before that they are 0 and empty.
    inputs: number of input rows from which the rows of the batch come
    """

    tiles: Tiles
    end: int = 0
    check_layers: list[int] = field(default_factory=list)
    inputs: int = 0


class FusedRun:
    """A run of the fused engine. Iterate over it, once, for the partial results.

    With early exit, the first layers are computed for one chunk of input rows at a time, which fits
    into the cache, until few rows are active. These rows wait in a second batch of the same size,
    which then goes on in the same way. The rows that are still active, of all chunks or of as many
    as fit into memory, are computed together. Without early exit, and on a GPU, all rows are
    computed together.

    If the weights of the first layer are equal, and the inputs are bits, the first layer counts
    bits, and rows are retired before their counts become activations. If few rows are retired, a
    launch computes several layers, so that a tile stays in cache, and rows are checked after it.
    """

    def __init__(
        self,
        *,
        kernels: FusedKernels,
        layers: LayerStore,
        early_exit: EarlyExit,
        ymax: Any,
        overflow_guard: OverflowGuard,
        buffers: Buffers,
        inputs: Inputs,
        row_selector: RowSelector | None,
        on_progress: ProgressCallback,
        out: Any = None,
    ) -> None:
        """ymax: upper limit of the ReLU in the dtype of the run, may be infinite.

        out: see FusedEngine.run
        """
        self.kernels = kernels
        self.layers = layers
        self.early_exit = early_exit
        self.ymax = ymax
        self.overflow_guard = overflow_guard
        self.buffers = buffers
        self.inputs = inputs
        self.row_selector = row_selector
        self.on_progress = on_progress
        self.out = out
        self.schedule = Schedule()
        # Since the last partial result:
        self.computed_edges = 0
        self.saturated = SaturatedRows(kernels.space)
        # The layers before which the first batch was compacted.
        self.compaction_layers: list[int] = []
        # The layer before which the current rows were checked last.
        self.last_check = -1
        self.checks_rows = early_exit.exits != "none"
        self.checks_counts = self.checks_rows

    def __iter__(self) -> Iterator[PartialResult]:
        if len(self.buffers.stages) > 1:
            yield from self._run_in_chunks([Batch(tiles) for tiles in self.buffers.stages])
            return
        (rows,) = self.buffers.stages
        for first, chunk in self.inputs.chunks(max(1, rows.capacity)):
            depth = 1 if self.checks_rows else MAX_LAYERS_A_LAUNCH
            self.saturated.start(first, chunk.rows)
            begin = self._start(rows, chunk, first, min(depth, len(self.layers)))
            yield self._finish(rows, chunk.rows, begin)

    def _run_in_chunks(self, batches: Sequence[Batch]) -> Iterator[PartialResult]:
        """Compute all rows in one batch after the other."""
        chunk_rows = batches[0].tiles.capacity
        for batch in batches:
            batch.tiles.rows = 0
        for first, chunk in self.inputs.chunks(chunk_rows):
            batches[0].inputs = chunk.rows
            depth = min(batches[0].check_layers, default=1)
            begin = self._start(batches[0].tiles, chunk, first, depth)
            yield from self._run_batch(batches, begin)
        for number in range(1, len(batches)):
            yield from self._run_batch(batches[number:], batches[number - 1].end)
        ends = [batch.end for batch in batches[:-1]]
        self.schedule = replace(
            self.schedule,
            chunk_rows=chunk_rows,
            chunk_layers=ends[0],
            again_layers=ends[-1] - ends[0],
        )

    def _run_batch(self, batches: Sequence[Batch], begin: int) -> Iterator[PartialResult]:
        """Compute the rows of the first batch from layer `begin` on until few are active, and
        append these to the next batch. If they do not fit, compute that batch first."""
        batch, *others = batches
        rows, inputs = batch.tiles, batch.inputs
        batch.inputs = 0
        if not others:
            yield self._finish(rows, inputs, begin)
            rows.rows = 0
            return
        if batch.check_layers:
            self._advance(rows, inputs, begin, batch.end, check_layers=batch.check_layers)
        else:
            # The first rows determine the last layer and the check layers.
            self.compaction_layers = []
            few, end = int(FEW_ACTIVE * rows.rows), len(self.layers)
            if begin and self.layers.resident < end:
                # Layers that are packed on each access are computed once for all rows.
                end = max(begin, self.layers.resident)
            batch.end = self._advance(rows, inputs, begin, end, few)
            batch.check_layers = [*self.compaction_layers, batch.end]
        active = self._count_active(rows, batch.end)
        self._collect_saturated(rows, batch.end)
        if others[0].tiles.rows + active > others[0].tiles.capacity:
            yield from self._run_batch(others, batch.end)
        others[0].tiles.append_active(rows, active)
        others[0].inputs += inputs
        rows.rows = 0

    def _start(self, rows: Tiles, inputs: Inputs, first: int, end: int) -> int:
        """Load input rows, and compute the layers before `end` that can be computed from counts.
        Return the next layer.

        first: number of the first of these input rows
        """
        self.last_check = -1
        if len(self.layers) == 0:
            rows.load(inputs, first, identity_permutation(inputs.neurons))
            return 0
        layer, counts = self.layers[0], self.buffers.counts
        if end == 0 or counts is None:
            rows.load(inputs, first, layer.input_permutation)
            return 0
        counts.load(inputs, first, layer.input_permutation)
        self.kernels.count_inputs(counts, layer, ranges=self.checks_counts)
        self.schedule = replace(self.schedule, bits_counted=True)
        if self.checks_counts:
            self._check_counts(counts, layer.edges)
        rows.copy_ids(counts)
        launch, following = [layer], list[FusedLayer]()
        # A GPU keeps a layer that is not resident only until the next access.
        fuse = end > 1 and self.kernels.max_depth(rows.count, first_layer.fused_counts) > 1
        if fuse and self.layers.resident and not self._may_overflow(0, layer):
            after = self.layers[1]
            if after.can_follow_counts(layer):
                following = self._launch_layers(rows, 1, end - 1, after)
        launch += following
        if rows.rows:
            # The rows are checked before the next layer, unless their counts were.
            check = len(launch) == end and self.checks_rows and self.last_check != end
            self.kernels.compute_from_counts(rows, counts, layer, following, ranges=check)
            self._record_depth(len(launch))
        # The counts of retired rows were computed too.
        self.computed_edges += (inputs.rows - rows.rows) * layer.edges
        self._account(rows, inputs.rows, 0, launch)
        return len(launch)

    def _check_counts(self, counts: Tiles, edges: int) -> None:
        """Check the counts, and compact them if the next layer of the retired rows would cost more.
        Otherwise do not check the counts of later chunks."""
        bounds = self.early_exit.count_bounds
        active = counts.mark_active(bounds, COUNT_LIMIT)
        self.last_check = 1
        cost = _COMPACTION_EDGES // 4 * counts.neurons * active
        self.checks_counts = (counts.rows - active) * edges >= cost
        if self.checks_counts:
            self.saturated.add(*counts.saturated(bounds, COUNT_LIMIT))
            counts.compact(active)

    def _advance(
        self,
        rows: Tiles,
        inputs: int,
        begin: int,
        end: int,
        few: int = -1,
        check_layers: Sequence[int] | None = None,
    ) -> int:
        """Compute layers `begin` to `end` - 1, and return the next layer.

        inputs: number of input rows from which the rows come
        few: stop before `end` if at most this number of rows is active, or if hardly any row is
        retired; -1: do not
        check_layers: the layers before which rows are checked; None: plan them
        """
        if not self.checks_rows:
            check_layers = ()
        first = begin + 1 if self.last_check == begin else begin
        checks = Checks.start(first, end, check_layers, rows.rows)
        position = begin
        while position < end:
            layer = self.layers[position]
            if position == checks.next:
                if self._check(rows, position, layer, checks, few):
                    return position
                if rows.rows == 0:
                    self.on_progress(inputs * (end - position))
                    return end
            stop = min(checks.next, end)
            launch = self._launch_layers(rows, position, stop - position, layer)
            if rows.rows:
                # Rows with dense outputs are not checked after the last layer.
                check = position + len(launch) == stop and (stop < end or self.out is None)
                self.kernels.compute(rows, layer, len(launch), ranges=check)
                self._record_depth(len(launch))
            # Before the next check waits for the launch.
            self.layers.prefetch(position + len(launch))
            self._account(rows, inputs, position, launch)
            position += len(launch)
        return end

    def _check(
        self, rows: Tiles, position: int, layer: FusedLayer, checks: Checks, few: int
    ) -> bool:
        """Check the rows before a layer, and compact them if that pays. Return whether to stop
        here: at most `few` rows are active, or hardly any row is retired."""
        active = self._count_active(rows, position)
        if active <= few:
            return True
        cost = _COMPACTION_EDGES * rows.neurons * active
        checks.plan(position, layer, active, cost)
        if few >= 0 and checks.depth == MAX_LAYERS_A_LAUNCH:
            return True
        idle = (rows.count - rows.shape.tile_count(active)) * rows.shape.lanes
        if checks.should_compact(idle, layer.edges, cost):
            self._compact(rows, active, position)
            self.compaction_layers.append(position)
        checks.active = active
        return False

    def _launch_layers(
        self, rows: Tiles, position: int, depth: int, layer: FusedLayer
    ) -> list[FusedLayer]:
        """Return the layers of the next launch: at most `depth`, and none after a layer that may
        overflow.

        position, layer: the first of them
        """
        max_depth = self.kernels.max_depth(rows.count, layer.workunit)
        deepest = min(depth, layer.group_remaining, max_depth)
        launch = [layer]
        while len(launch) < deepest and not self._may_overflow(
            position + len(launch) - 1, launch[-1]
        ):
            launch.append(self.layers[position + len(launch)])
        return launch

    def _record_depth(self, layers: int) -> None:
        if layers > self.schedule.layers_a_launch:
            self.schedule = replace(self.schedule, layers_a_launch=layers)

    def _may_overflow(self, position: int, layer: FusedLayer) -> bool:
        return self.overflow_guard.may_overflow(position, layer.bound)

    def _account(self, rows: Tiles, inputs: int, position: int, launch: list[FusedLayer]) -> None:
        """Count the computed edges of a launch, and check its last layer if it may overflow."""
        self.computed_edges += rows.rows * sum(layer.edges for layer in launch)
        self.on_progress(inputs * len(launch))
        last = position + len(launch) - 1
        if self._may_overflow(last, launch[-1]) and rows.rows:
            # Lanes after the last row compute a row of zeros, which may not be in the inputs.
            for values in rows.row_activations:
                self.overflow_guard.check_later(values, last)
            if not self.kernels.space.gpu:
                self.overflow_guard.finish_checks()

    def _finish(self, rows: Tiles, inputs: int, begin: int) -> PartialResult:
        """Compute the layers from `begin` to the last one, and return the result of all rows since
        the last partial result.

        inputs: number of input rows from which the rows come
        """
        end = len(self.layers)
        self._advance(rows, inputs, begin, end)
        if self.out is None:
            active = self._count_active(rows, end)
            if active < rows.rows:
                self._compact(rows, active, end)
        rows.neurons = self.layers.outputs
        result = self._result(rows)
        self.computed_edges = 0
        return result

    def _compact(self, rows: Tiles, active: int, position: int) -> None:
        self._collect_saturated(rows, position)
        rows.compact(active)

    def _collect_saturated(self, rows: Tiles, position: int) -> None:
        self.saturated.add(*rows.saturated(self.early_exit.bounds[position], self.ymax))

    def _count_active(self, rows: Tiles, position: int) -> int:
        """Mark the rows that are active before layer `position`, and return their number."""
        self.last_check = position
        active = rows.mark_active(self.early_exit.bounds[position], self.ymax)
        # The host has waited for all launches.
        self.overflow_guard.finish_checks()
        return active

    def _result(self, rows: Tiles) -> PartialResult:
        """Return the result of the rows that are left and of those that saturated."""
        self.overflow_guard.finish_checks()
        saturated = self.saturated.take_ids()
        if self.out is not None:
            to_device = self.kernels.space.to_device
            if rows.rows:
                rows.write_rows(self.out, to_device(self._output_permutation(rows)))
            if saturated.size:
                self.out[to_device(saturated)] = self.ymax
            return PartialResult(np.empty(0, np.int64), None, self.computed_edges)
        left = rows.ids
        ids = np.sort(np.concatenate([left, saturated]))
        if self.row_selector is None:
            return PartialResult(ids, None, self.computed_edges)
        selected = self.row_selector(left)
        values = rows.to_csr(selected, self._output_permutation(rows))
        return PartialResult(ids, values, self.computed_edges, left[selected], saturated, self.ymax)

    def _output_permutation(self, rows: Tiles) -> Indices:
        if len(self.layers):
            permutation: Indices = self.layers[-1].output_permutation
            return permutation
        return identity_permutation(rows.neurons)
