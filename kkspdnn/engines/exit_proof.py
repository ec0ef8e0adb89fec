"""Proof of the final output of rows: bounds on the activations of a row before each layer.

A layer with a ReLU and without negative weights is monotone: larger inputs, from 0 on, give no
smaller outputs. This holds in floating point too, for any order of the terms, because rounding is
monotone (IEEE 754-2019, 4.3). So if all activations of a row are in [a, b], the outputs of the
layer lie between its outputs for a row of a's and those for a row of b's. The workunits of the run
compute both. From the last layer to the first, this gives, before each layer, a value up to which
a row goes to zero, and a value from which it saturates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kkspdnn.choices import Exits
from kkspdnn.engines.exit_bounds import ExitBounds
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


@dataclass(frozen=True)
class ProbedLayer:
    """A layer whose bounds are computed.

    signature: layers with the same signature are probed once; None: the layer has none
    prepare: returns the response of the layer, None if it may not be monotone, and its probe;
    called only if the layer is probed
    """

    signature: Any
    prepare: Callable[[], tuple[LayerResponse | None, Probe]]


def compute_exit_bounds(
    exits: Exits, layers: LayerStore, prove: Callable[[], list[ExitBounds]]
) -> tuple[Exits, list[ExitBounds]]:
    """Return the rows that exit early, and the bounds before each layer and after the last one. If
    the bounds retire no row before the last layer, as with most ordinary biases, no row exits
    early.

    prove: returns the proven bounds; called only for `exits` all
    """
    none, end = ExitBounds.none(layers.dtype), len(layers)
    zeros = replace(none, max_zero=layers.dtype.type(0))
    if exits == "all":
        bounds = prove()
    elif exits == "dead":
        first = layers.zeros_stay_from
        bounds = [none] * first + [zeros] * (end + 1 - first)
    else:
        bounds = [none] * end + [zeros]
    if end and not any(each.can_retire for each in bounds[:-1]):
        exits = "none"
    return exits, bounds


def compute_proven_bounds(
    layers: int, ymax: Any, layer_at: Callable[[int], ProbedLayer]
) -> list[ExitBounds]:
    """Return the bounds before each layer and after the last one, computed from the last layer to
    the first.

    layers: number of layers
    ymax: upper limit of the ReLU in the dtype of the run, may be infinite
    layer_at: returns the layer at a position, from 0
    """
    # Without a limit ymax is infinite, and no row saturates.
    bounds = [ExitBounds(type(ymax)(0), ymax)]
    cache: dict[Any, ExitBounds] = {}
    for position in reversed(range(layers)):
        after = bounds[-1]
        if not after.can_retire:
            bounds += [after] * (position + 1)
            break
        layer = layer_at(position)
        before = cache.get((layer.signature, after))
        if before is None:
            before = propagate_bounds(*layer.prepare(), after, ymax)
            if layer.signature is not None:
                cache[layer.signature, after] = before
        bounds.append(before)
    return bounds[::-1]


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
