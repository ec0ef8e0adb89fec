"""Early exit of the SpGEMM engine: its probe of a layer, and its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from kkspdnn.choices import Exits
from kkspdnn.device.space import Space
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.exit_proof import (
    LayerResponse,
    Probe,
    ProbedLayer,
    compute_exit_bounds,
    compute_proven_bounds,
)
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.spgemm.csr import Csr
from kkspdnn.engines.spgemm.kernels import SpgemmKernels
from kkspdnn.engines.spgemm.layer import SpgemmLayer
from kkspdnn.engines.uniform_layers import common_value, uniform_signature
from kkspdnn.model.matrices import Floats


def bound_rows(
    exits: Exits, layers: LayerStore, space: Space, kernels: SpgemmKernels, ymax: Any
) -> tuple[Exits, Sequence[ExitBounds]]:
    """Return the rows that exit early, and the bounds before each layer and after the last one.

    A row of zeros has no entries, so it is retired in any case.

    ymax: upper limit of the ReLU in the dtype of the run, may be infinite
    """

    def layer_at(position: int) -> ProbedLayer:
        def prepare() -> tuple[LayerResponse | None, Probe]:
            source = layers.network_layer(position)
            response = LayerResponse.of(source, common_value(source.value))
            return response, partial(probe_layer, space, kernels, layers[position])

        if position < layers.resident:
            return ProbedLayer(layers[position].uniform_signature, prepare)
        source = layers.network_layer(position)
        return ProbedLayer(uniform_signature(source, common_value(source.value)), prepare)

    exits, bounds = compute_exit_bounds(
        exits, layers, lambda: compute_proven_bounds(len(layers), ymax, layer_at)
    )
    if exits == "none":
        zero = layers.dtype.type(0)
        bounds = [ExitBounds(zero, layers.dtype.type(np.inf))] * (len(layers) + 1)
    return exits, bounds


def probe_layer(
    space: Space, kernels: SpgemmKernels, layer: SpgemmLayer, values: Floats
) -> tuple[Floats, Floats]:
    """Compute a layer for rows of these values, and return the smallest and the largest output of
    each row."""
    entries = np.where(values == 0, 0, layer.inputs)
    constant = Csr(
        columns=layer.inputs,
        start=np.concatenate(([0], np.cumsum(entries))).astype(np.int64),
        index=np.tile(np.arange(layer.inputs, dtype=np.uint32), np.count_nonzero(values)),
        value=np.repeat(values, entries),
    )
    y, _ = kernels.compute(kernels.load(constant.to_device(space.to_device)), layer)
    return kernels.row_ranges(y)
