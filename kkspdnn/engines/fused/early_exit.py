"""Early exit of rows: the proven bounds for the layers of the fused engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kkspdnn.choices import Exits
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.exit_proof import (
    MAX_PROBES,
    LayerResponse,
    Probe,
    ProbedLayer,
    compute_exit_bounds,
    compute_proven_bounds,
)
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.packing import pack_layer
from kkspdnn.engines.fused.tile_shape import TileShape
from kkspdnn.engines.fused.tiles import Tiles
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.uniform_layers import common_value, uniform_signature
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import Floats

COUNT_LIMIT = np.int32(256)
"""The upper limit of counts: more than any uint8."""

NO_COUNT_BOUNDS = ExitBounds(np.int32(-1), COUNT_LIMIT)
"""Bounds on counts that no row meets."""


@dataclass(frozen=True)
class EarlyExit:
    """The rows that exit early, and the bounds that prove their output.

    exits: none if no row can be retired before the last layer
    bounds: before each layer and after the last one
    count_bounds: after the first layer, on its counts
    """

    exits: Exits
    bounds: Sequence[ExitBounds] = ()
    count_bounds: ExitBounds = NO_COUNT_BOUNDS


def compute_early_exit(
    kernels: FusedKernels, layers: LayerStore, previous: EarlyExit, ymax: Any, counted: bool
) -> EarlyExit:
    """Compute the bounds before each layer. If `exits` becomes none, a run checks no rows.

    previous: `exits`; and `count_bounds`, which are kept if the first layer does not count
    ymax: upper limit of the ReLU in the dtype of the run, may be infinite
    counted: whether the first layer counts
    """
    prove = partial(_compute_bounds, kernels, layers, ymax)
    exits, bounds = compute_exit_bounds(previous.exits, layers, prove)
    count_bounds = previous.count_bounds
    if exits != "none" and counted:
        count_bounds = _compute_count_bounds(kernels, layers, bounds[1], ymax)
    return EarlyExit(exits, bounds, count_bounds)


def _compute_count_bounds(
    kernels: FusedKernels, layers: LayerStore, after: ExitBounds, ymax: Any
) -> ExitBounds:
    """Compute the bounds on the counts of the first layer, by computing its activations for each
    possible count."""
    first = layers[0]
    assert first.fan_in is not None
    shape = TileShape.of(kernels.space, kernels.dtype, layers.widest)
    rows = Tiles(shape, first.fan_in + 1)
    counts = Tiles(shape.for_counts(first.inputs, first.outputs), rows.capacity)
    counts.load_constants(np.arange(rows.capacity, dtype=np.uint8), first.outputs)
    rows.copy_ids(counts)
    kernels.compute_from_counts(rows, counts, first)
    smallest, largest = rows.row_ranges()
    # A row has many counts: all those up to max_zero must go to zero, and all those from
    # min_saturated on must saturate.
    to_zero = np.logical_and.accumulate(after.go_to_zero(smallest, largest))
    saturated = np.logical_and.accumulate(after.saturate(smallest, largest, ymax)[::-1])
    max_zero = np.count_nonzero(to_zero) - 1
    min_saturated = rows.capacity - np.count_nonzero(saturated)
    return ExitBounds(np.int32(max_zero), np.int32(min_saturated))


def _compute_bounds(kernels: FusedKernels, layers: LayerStore, ymax: Any) -> list[ExitBounds]:
    """Compute the proven bounds. Each layer is probed with the workunit of the run, so with the
    same order of the arithmetic."""
    rows = Tiles(TileShape.of(kernels.space, kernels.dtype, layers.widest), MAX_PROBES)

    def prepare(source: Layer, layer: FusedLayer) -> tuple[LayerResponse | None, Probe]:
        return LayerResponse.of(source, layer.weight), partial(probe_layer, kernels, rows, layer)

    def pack_and_prepare(source: Layer) -> tuple[LayerResponse | None, Probe]:
        packed = pack_layer(source, None, ymax, kernels.packing)
        return prepare(source, packed.to_device(kernels.space.to_device))

    def layer_at(position: int) -> ProbedLayer:
        if position < layers.resident:
            layer = layers[position]
            return ProbedLayer(
                layer.uniform_signature, lambda: prepare(layers.network_layer(position), layer)
            )
        source = layers.network_layer(position)
        signature = uniform_signature(source, common_value(source.value))
        return ProbedLayer(signature, partial(pack_and_prepare, source))

    return compute_proven_bounds(len(layers), ymax, layer_at)


def probe_layer(
    kernels: FusedKernels, rows: Tiles, layer: FusedLayer, values: Floats
) -> tuple[Floats, Floats]:
    """Compute a layer for rows of these values, and return the smallest and the largest output of
    each row. `rows` is overwritten."""
    rows.load_constants(values, layer.inputs)
    kernels.compute(rows, layer, 1)
    return rows.row_ranges()
