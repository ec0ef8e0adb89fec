"""One launch of each workunit that a run needs, so that all are compiled before it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.fused.buffers import counts_inputs
from kkspdnn.engines.fused.early_exit import MOST_COUNTED, NO_COUNT, probe_layer
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.tiles import Shape, Tiles, in_order
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.inputs import Inputs


def launch_all(
    kernels: FusedKernels,
    layers: LayerStore,
    samples: Iterable[FusedLayer],
    inputs: Inputs,
    ymax: Any,
) -> None:
    """Launch all that a run over rows that come as these do may launch.

    samples: layers of all forms; ymax: of the dtype, may be infinite
    """
    space = kernels.space
    shape = Shape.of(space, kernels.dtype, layers.widest)
    few = inputs.slice(0, min(inputs.rows, shape.lanes))
    part, merged = Tiles(shape, shape.lanes), Tiles(shape, shape.lanes)
    if counts_inputs(layers, few):
        _launch_counts(kernels, layers, few, part)
    part.load(few, 0, in_order(few.neurons))
    if inputs.dense is not None and part.rows:
        # Rows that come dense may be asked to leave so.
        part.neurons = layers.outputs
        target = space.empty((part.rows, part.neurons), kernels.dtype)
        part.write(target, space.to_device(in_order(part.neurons)))
        part.neurons = few.neurons
    ends = ExitBounds(kernels.zero, ymax)
    part.find_live(ends, ymax)
    merged.append_live(part, few.rows)
    part.saturated(ends, ymax)  # for which CuPy compiles kernels of its own
    for layer in {layer.form: layer for layer in samples}.values():
        probe_layer(kernels, part, layer, np.zeros(1, kernels.dtype))


def _launch_counts(kernels: FusedKernels, layers: LayerStore, few: Inputs, part: Tiles) -> None:
    first = layers[0]
    counted = Tiles(part.shape.for_counts(first.inputs, first.outputs), part.capacity)
    counted.load(few, 0, first.sources)
    kernels.count(counted, first)
    counted.find_live(NO_COUNT, MOST_COUNTED)
    counted.keep_live(1)
    part.take(counted)
    kernels.activate(part, counted, first)
    part.take(counted)
    if layers.held > 1 and layers[1].follows_counts(first):
        kernels.activate(part, counted, first, layers[1:2])
