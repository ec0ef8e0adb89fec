"""Early exit: bounds on the activations of a row, before each layer, that prove its final output.

A layer with a ReLU and without negative weights is monotone: larger inputs, from 0 on, give no
smaller outputs. This holds in floating point too, for any order of the terms, because rounding is
monotone (IEEE 754-2019, 4.3). So if all activations of a row are in [a, b], the outputs of the
layer lie between its outputs for a row of a's and those for a row of b's. The workunit itself
computes both. From the last layer to the first, this gives, before each layer, a value up to which
a row goes to zero, and a value from which it saturates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from kkspdnn.choices import Exits
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.packing import pack_layer, uniform_signature
from kkspdnn.engines.fused.tile_shape import TileShape
from kkspdnn.engines.fused.tiles import Tiles
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import Floats

Probe = Callable[[Floats], tuple[Floats, Floats]]
"""Computes a layer for rows of one value each, and returns the smallest and the largest output of
each row."""

_DISTANCES = np.append(0, 8.0 ** np.arange(8))
"""Distances of the probed values from an estimate, in units of the machine epsilon."""

MAX_PROBES = 2 * (len(_DISTANCES) + 1)
"""The maximum number of values that `propagate_bounds` probes at a time."""

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
    """Compute the bounds before each layer. If they retire no row before the last layer, as with
    most ordinary biases, `exits` becomes none, and a run checks no rows.

    previous: `exits`; and `count_bounds`, which are kept if the first layer does not count
    ymax: upper limit of the ReLU in the dtype of the run, may be infinite
    counted: whether the first layer counts
    """
    exits = previous.exits
    none, end = ExitBounds.none(kernels.dtype), len(layers)
    zeros = replace(none, max_zero=kernels.zero)
    if exits == "all":
        bounds = _compute_bounds(kernels, layers, ymax)
    elif exits == "dead":
        first = layers.zeros_stay_from
        bounds = [none] * first + [zeros] * (end + 1 - first)
    else:
        bounds = [none] * end + [zeros]
    if end and not any(each.can_retire for each in bounds[:-1]):
        exits = "none"
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
    """Compute the bounds before each layer and after the last one, from the last layer to the
    first.

    Each layer is probed with the workunit of the run, so with the same order of the arithmetic.
    Layers with the same uniform signature are probed once.
    """
    # Without a limit ymax is infinite, and no row saturates.
    bounds = [ExitBounds(kernels.zero, ymax)]
    cache: dict[Any, ExitBounds] = {}
    rows = Tiles(TileShape.of(kernels.space, kernels.dtype, layers.widest), MAX_PROBES)
    for position in reversed(range(len(layers))):
        after = bounds[-1]
        if not after.can_retire:
            bounds += [after] * (position + 1)
            break
        source = None if position < layers.resident else layers.network_layer(position)
        if source is None:
            signature = layers[position].uniform_signature
        else:
            signature = uniform_signature(source)
        before = cache.get((signature, after))
        if before is None:
            if source is None:
                source, layer = layers.network_layer(position), layers[position]
            else:
                packed = pack_layer(source, None, ymax, kernels.packing)
                layer = packed.to_device(kernels.space.to_device)
            response = LayerResponse.of(source, layer.weight)
            probe = partial(probe_layer, kernels, rows, layer)
            before = propagate_bounds(response, probe, after, ymax)
            if signature is not None:
                cache[signature, after] = before
        bounds.append(before)
    return bounds[::-1]


def probe_layer(
    kernels: FusedKernels, rows: Tiles, layer: FusedLayer, values: Floats
) -> tuple[Floats, Floats]:
    """Compute a layer for rows of these values, and return the smallest and the largest output of
    each row. `rows` is overwritten."""
    rows.load_constants(values, layer.inputs)
    kernels.compute(rows, layer, 1)
    return rows.row_ranges()


@dataclass(frozen=True)
class LayerResponse:
    """The response of a monotone layer to a row of one value c, without rounding: its sums with
    bias lie between gains[0] c + biases[0] and gains[1] c + biases[1].

    gains: the smallest and the largest sum of the weights of an output
    biases: the smallest and the largest bias
    """

    gains: tuple[float, float]
    biases: tuple[float, float]

    @classmethod
    def of(cls, layer: Layer, weight: Any) -> LayerResponse | None:
        """Return the response of a layer; None if it may not be monotone.

        weight: the common weight of all edges; None: the weights differ
        """
        if layer.activation != "relu":
            return None
        edges = np.diff(layer.start)
        if weight is not None:
            smallest, sums = weight, edges * float(weight)
        else:
            # The zero is for outputs at the end without edges.
            value = np.append(layer.value, layer.value.dtype.type(0))
            smallest = value.min()
            sums = np.add.reduceat(value, layer.start[:-1], dtype=np.float64)
            sums[edges == 0] = 0
        if smallest < 0:
            return None
        biases = float(layer.bias.min()), float(layer.bias.max())
        return cls((float(sums.min()), float(sums.max())), biases)


def propagate_bounds(
    response: LayerResponse | None, probe: Probe, after: ExitBounds, ymax: Any
) -> ExitBounds:
    """Return the bounds before a layer, from the bounds after it.

    The response gives estimates of the bounds, which do not account for rounding. So the layer is
    probed with the estimates and with values at growing distances from them; the result is the best
    value that the probe confirms. It is also probed with 0 and ymax: bounds for rows of these
    values alone do not require a monotone layer.

    response: None if the layer may not be monotone; ymax: may be infinite
    """
    dtype = np.dtype(type(ymax))
    # Without a limit no row saturates; 0 replaces NaN and infinity.
    top = ymax if np.isfinite(ymax) else dtype.type(0)
    low, high = np.full(1, 0, dtype), np.full(1, top, dtype)
    if response is not None:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            estimate = np.divide(float(after.max_zero) - response.biases[1], response.gains[1])
            low = np.append(_values_around(estimate, -1, dtype), low)
            estimate = np.divide(float(after.min_saturated) - response.biases[0], response.gains[0])
            high = np.append(_values_around(estimate, 1, dtype), high)
        low[~((low >= 0) & (low < np.inf))] = 0
        high[~((high >= 0) & (high <= top))] = top
    smallest, largest = probe(np.concatenate([low, high]))
    # The last value of low is 0, that of high is ymax: the other ends of the intervals.
    to_zero = (smallest[low.size - 1] >= 0) & (largest[: low.size] <= after.max_zero)
    saturated = (smallest[low.size :] >= after.min_saturated) & (largest[-1] <= ymax)
    none = ExitBounds.none(dtype)
    return ExitBounds(
        low[to_zero].max(initial=none.max_zero), high[saturated].min(initial=none.min_saturated)
    )


def _values_around(estimate: Any, direction: int, dtype: np.dtype[Any]) -> Floats:
    """Return the estimate, and values below it (direction -1) or above it (1) at growing
    distances."""
    epsilon = float(np.finfo(dtype).eps)
    values: Floats = (estimate * (1 + direction * epsilon * _DISTANCES)).astype(dtype)
    return values
