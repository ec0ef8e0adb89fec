"""A run of the SpGEMM engine: the order of layers, checks and compaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.choices import Epilogue, Exits
from kkspdnn.device.space import Space
from kkspdnn.engines.base import ProgressCallback
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.overflow_guard import OverflowGuard
from kkspdnn.engines.partial_result import PartialResult, RowSelector, Schedule
from kkspdnn.engines.spgemm.csr import Csr
from kkspdnn.engines.spgemm.kernels import Activations, SpgemmKernels, compute_layer
from kkspdnn.model.inputs import Inputs

_CHECK_EDGES = 32
"""Rows are checked after layers with this fan-in in total: finding the range of an activation costs
about as much as a few edges."""

_COMPACTION_EDGES = 64
"""The cost of a compaction of an activation, in edges."""


def chunk_rows(kernels: SpgemmKernels, layers: LayerStore, inputs: Inputs) -> int:
    """Return the number of input rows that go through the layers together."""
    rows = min(inputs.rows, kernels.max_rows(inputs, layers.max_rows))
    if layers.resident < len(layers):
        return rows  # each use of a layer that is not resident packs it again
    return min(rows, kernels.chunk_rows(inputs))


class SpgemmRun:
    """A run of the SpGEMM engine. Iterate over it, once, for the partial results.

    All rows, or as many as fit into memory, go through the layers together. If activations become
    so dense that they might not fit any longer, each half of the rows goes through the remaining
    layers by itself. Retired rows are removed once the edges multiplied for them cost as much as a
    compaction (the ski-rental rule), and all rows are grouped again if another grouping makes the
    next products faster.
    """

    def __init__(
        self,
        *,
        space: Space,
        kernels: SpgemmKernels,
        epilogue: Epilogue,
        dtype: np.dtype[Any],
        layers: LayerStore,
        exits: Exits,
        exit_bounds: Sequence[ExitBounds],
        ymax: Any,
        inputs: Inputs,
        row_selector: RowSelector | None,
        on_progress: ProgressCallback,
    ) -> None:
        """ymax: upper limit of the ReLU in the dtype of the run, may be infinite."""
        self.space = space
        self.kernels = kernels
        self.epilogue = epilogue
        self.dtype = dtype
        self.layers = layers
        self.checks_rows = exits != "none" or kernels.zero_rows_cost
        self.exit_bounds = exit_bounds
        self.ymax = ymax
        self.inputs = inputs
        self.row_selector = row_selector
        self.on_progress = on_progress
        self.overflow_guard = OverflowGuard(inputs, dtype)
        self.schedule = Schedule()

    def __iter__(self) -> Iterator[PartialResult]:
        rows = max(1, chunk_rows(self.kernels, self.layers, self.inputs))
        for first, chunk in self.inputs.chunks(rows):
            csr = Csr.from_inputs(chunk, self.dtype, self.space)
            ids = np.arange(chunk.rows, dtype=np.int64) + first
            yield from self._compute(csr, _ActiveRows(ids, chunk.rows), 0)

    def _compute(self, csr: Csr, active: _ActiveRows, begin: int) -> Iterator[PartialResult]:
        """Yield the results of rows, whose activations before layer `begin` are given."""
        memory_rows = self.layers.max_rows
        if begin < len(self.layers) and not self.kernels.fits(csr, self.layers[begin], memory_rows):
            yield from self._compute_halves(csr, active, begin)
            return
        y = self.kernels.load(csr)
        for position in range(begin, len(self.layers)):
            layer = self.layers[position]
            self.layers.prefetch(position + 1)
            if position > begin and not self.kernels.fits(y, layer, memory_rows):
                yield from self._compute_halves(self.kernels.to_csr(y), active, position)
                return
            if y.rows:
                y, multiplications = compute_layer(self.kernels, y, layer, self.epilogue)
                active.computed_edges += multiplications
                may_overflow = self.overflow_guard.may_overflow(position, layer.bound)
                if may_overflow and not self.kernels.finite(y):
                    self.overflow_guard.fail(position)
                active.unchecked += layer.fan_in
                due = self.checks_rows and active.unchecked >= _CHECK_EDGES
                if due and position + 1 < len(self.layers):
                    y = self._check(y, active, self.exit_bounds[position + 1])
            self.on_progress(active.input_rows)
        yield self._result(y, active)

    def _compute_halves(self, csr: Csr, active: _ActiveRows, begin: int) -> Iterator[PartialResult]:
        middle = csr.rows // 2
        halves = csr.slice(0, middle), csr.slice(middle, csr.rows)
        for half, own in zip(halves, active.split(middle), strict=True):
            yield from self._compute(half, own, begin)

    def _check(self, y: Activations, active: _ActiveRows, bounds: ExitBounds) -> Activations:
        """Return the activations, without the rows that the bounds retire if that saves time."""
        smallest, largest = self.kernels.row_ranges(y)
        saturated = bounds.saturate(smallest, largest, self.ymax)
        keep = ~(saturated | bounds.go_to_zero(smallest, largest))
        kept = int(np.count_nonzero(keep))
        # Rows of zeros have no entries: they cost time in dense columns only.
        zero = int(np.count_nonzero((smallest == 0) & (largest == 0)))
        retired = y.rows - kept - zero + y.dense_share * zero
        active.wasted += active.unchecked * retired
        active.unchecked = 0.0
        compact = kept < y.rows and active.wasted >= _COMPACTION_EDGES * kept
        if not compact and not self.kernels.regrouped(y):
            return y
        active.retire(keep, saturated)
        return self.kernels.select(y, np.flatnonzero(keep))

    def _result(self, y: Activations, active: _ActiveRows) -> PartialResult:
        smallest, largest = self.kernels.row_ranges(y)
        nonzero = (smallest != 0) | (largest != 0)
        left, saturated = active.ids[nonzero], active.saturated_ids()
        ids = np.sort(np.concatenate([left, saturated]))
        if self.row_selector is None:
            return PartialResult(ids, None, active.computed_edges)
        selected = self.row_selector(left)
        csr = self.kernels.to_csr(y).to_scipy(self.space)
        values = csr[np.flatnonzero(nonzero)[selected]]
        return PartialResult(
            ids, values, active.computed_edges, left[selected], saturated, self.ymax
        )


class _ActiveRows:
    """The rows that a run still computes.

    ids: the numbers of the rows, ascending
    input_rows: the number of input rows that are reported as progress after a layer
    computed_edges: the multiplications so far
    unchecked: the fan-in of the layers since the last check
    wasted: edges times rows that were multiplied for retired rows since the last compaction
    """

    def __init__(self, ids: NDArray[np.int64], input_rows: int) -> None:
        self.ids = ids
        self.input_rows = input_rows
        self.computed_edges = 0
        self.unchecked = 0.0
        self.wasted = 0.0
        self._saturated: list[NDArray[np.int64]] = []

    def retire(self, keep: NDArray[np.bool_], saturated: NDArray[np.bool_]) -> None:
        """Remove the rows that are not in `keep`."""
        self._saturated.append(self.ids[saturated])
        self.ids = self.ids[keep]
        self.wasted = 0.0

    def split(self, middle: int) -> tuple[_ActiveRows, _ActiveRows]:
        """Return the rows before a position and the others. The first part keeps the counts."""
        first = _ActiveRows(self.ids[:middle], self.input_rows - self.input_rows // 2)
        second = _ActiveRows(self.ids[middle:], self.input_rows // 2)
        first.computed_edges = self.computed_edges
        first._saturated = self._saturated
        return first, second

    def saturated_ids(self) -> NDArray[np.int64]:
        """Return the numbers of the removed rows that saturate, ascending."""
        return np.sort(np.concatenate([np.empty(0, np.int64), *self._saturated]))
