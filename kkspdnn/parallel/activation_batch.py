"""Activations between two layers, and their computation through the layers of a rank."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.engines import Engine, PartialResult, ProgressCallback, RowSelector, Schedule
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.partial_result import concatenate
from kkspdnn.model.inputs import Inputs


@dataclass(frozen=True, eq=False)
class ActivationBatch:
    """The activations of a batch of rows between two layers.

    rows: int64, ascending, the numbers of the rows in `values`
    values: their activations
    size: the number of rows of the batch; rows that are neither in `rows` nor saturated are zeros
    saturated: int64, ascending, rows that are not in `values`, whose every value is the upper limit
    """

    rows: NDArray[np.int64]
    values: Inputs
    size: int
    saturated: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


def run_layers(
    engine: Engine,
    layers: LayerStore,
    batch: ActivationBatch,
    selector: RowSelector,
    on_progress: ProgressCallback,
) -> tuple[PartialResult, Schedule]:
    """Compute a batch through layers; the result has the row numbers of the batch.

    Rows of zeros, or saturated rows, are skipped if all layers keep them so.
    """
    ymax = engine.ymax
    saturated = batch.saturated
    if saturated.size and not (engine.exit_bounds and engine.exit_bounds[0].min_saturated <= ymax):
        batch = _add_rows(batch, saturated, ymax, layers.dtype)
        saturated = saturated[:0]
    if layers.zeros_stay_from > 0:
        nonzero = np.union1d(batch.rows, saturated)
        zeros = np.setdiff1d(np.arange(batch.size), nonzero, assume_unique=True)
        batch = _add_rows(batch, zeros, 0.0, layers.dtype)
    numbers = batch.rows
    run = engine.run(layers, batch.values, lambda rows: selector(numbers[rows]), on_progress)
    result = concatenate(run, layers.outputs, layers.dtype, values=True)
    assert result.value_rows is not None
    renumbered = PartialResult(
        rows=np.union1d(numbers[result.rows], saturated),
        values=result.values,
        computed_edges=result.computed_edges,
        value_rows=numbers[result.value_rows],
        saturated=np.union1d(numbers[result.saturated], saturated),
        ymax=ymax,
    )
    return renumbered, run.schedule


def _add_rows(
    batch: ActivationBatch, rows: NDArray[np.int64], value: float, dtype: np.dtype[Any]
) -> ActivationBatch:
    """Return the batch with more rows, whose every value is `value`, and no saturated rows."""
    if not rows.size:
        return batch
    shape = rows.size, batch.values.neurons
    added = sp.csr_array(shape, dtype=dtype)
    if value:
        added = sp.csr_array(np.full(shape, value, dtype))
    numbers = np.concatenate([batch.rows, rows])
    order = np.argsort(numbers)
    stacked = sp.csr_array(sp.vstack([batch.values.to_csr(dtype), added], format="csr"))
    return ActivationBatch(numbers[order], as_inputs(sp.csr_array(stacked[order])), batch.size)


def as_inputs(values: sp.csr_array) -> Inputs:
    """Return activations as input rows of further layers."""
    return Inputs(values.shape[0], values.shape[1], "activations", csr=values)


def select_all(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """A RowSelector of all rows."""
    return np.ones(rows.size, np.bool_)


def next_batch(result: PartialResult, batch: ActivationBatch) -> ActivationBatch:
    """Return the result of layers for a batch as the batch for the next layers."""
    assert result.values is not None
    assert result.value_rows is not None
    return ActivationBatch(
        result.value_rows, as_inputs(result.values), batch.size, result.saturated
    )
