"""The warm-up: one launch of each kernel of a run, which compiles it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.fused.buffers import counts_bits
from kkspdnn.engines.fused.early_exit import COUNT_LIMIT, NO_COUNT_BOUNDS, probe_layer
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.saturated_rows import SaturatedRows
from kkspdnn.engines.fused.tile_shape import TileShape
from kkspdnn.engines.fused.tiles import Tiles, identity_permutation
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.inputs import Inputs


def launch_all(
    kernels: FusedKernels,
    layers: LayerStore,
    samples: Iterable[FusedLayer],
    inputs: Inputs,
    ymax: Any,
) -> None:
    """Launch each kernel of a run over inputs of this format.

    samples: layers of all forms
    ymax: upper limit of the ReLU in the dtype of the run, may be infinite
    """
    space = kernels.space
    shape = TileShape.of(space, kernels.dtype, layers.widest)
    few = inputs.slice(0, min(inputs.rows, shape.lanes))
    rows, others = Tiles(shape, shape.lanes), Tiles(shape, shape.lanes)
    if counts_bits(layers, few):
        _launch_counts(kernels, layers, few, rows)
    rows.load(few, 0, identity_permutation(few.neurons))
    if inputs.dense is not None and rows.rows:
        # A run over dense inputs may have dense outputs.
        rows.neurons = layers.outputs
        out = space.empty((rows.rows, rows.neurons), kernels.dtype)
        rows.write_rows(out, space.to_device(identity_permutation(rows.neurons)))
        rows.neurons = few.neurons
    bounds = ExitBounds(kernels.zero, ymax)
    rows.mark_active(bounds, ymax)
    others.append_active(rows, few.rows)
    saturated = SaturatedRows(space)  # compiles CuPy's own kernels
    saturated.start(0, few.rows)
    if few.rows:
        saturated.add(*rows.saturated(bounds, ymax))
    for layer in {layer.form: layer for layer in samples}.values():
        probe_layer(kernels, rows, layer, np.zeros(1, kernels.dtype))


def _launch_counts(kernels: FusedKernels, layers: LayerStore, few: Inputs, rows: Tiles) -> None:
    first = layers[0]
    counts = Tiles(rows.shape.for_counts(first.inputs, first.outputs), rows.capacity)
    counts.load(few, 0, first.input_permutation)
    kernels.count_inputs(counts, first)
    counts.mark_active(NO_COUNT_BOUNDS, COUNT_LIMIT)
    counts.compact(1)
    rows.copy_ids(counts)
    kernels.compute_from_counts(rows, counts, first)
    rows.copy_ids(counts)
    if layers.resident > 1 and layers[1].can_follow_counts(first):
        kernels.compute_from_counts(rows, counts, first, layers[1:2])
