"""Rows whose end is known: between which values they lie, found before the run.

A layer of a ReLU and of no negative weight is monotone: larger inputs, from 0 on, give no smaller
outputs. That holds in floating point too, whatever the order of the terms, because rounding is
monotone (IEEE 754-2019, 4.3). So what a layer makes of a row of values from a to b lies between
what it makes of a row of a everywhere and of a row of b everywhere, and that the workunit itself
can say. From the last layer back this gives, before each layer, values below which a row ends as
zeros, and others above which it ends at ymax.
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
from kkspdnn.engines.fused.layer import FusedLayer, likeness, prepared
from kkspdnn.engines.fused.tiles import Shape, Tiles
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import Floats

Answers = Callable[[Floats], tuple[Floats, Floats]]
"""What a layer makes of rows of one value everywhere: the least and the largest output of each."""

_STEPS = np.append(0, 8.0 ** np.arange(8))
"""How far off from a value that a response tells others are tried, in roundings."""

MOST_TRIED = 2 * (len(_STEPS) + 1)
"""Values that `ends_before` asks for at a time."""

MOST_COUNTED = np.int32(256)
"""More than any count of a byte."""


NO_COUNT = ExitBounds(np.int32(-1), MOST_COUNTED)
"""No row leaves as soon as it is counted."""


@dataclass(frozen=True)
class EarlyExit:
    """Which rows leave a network early.

    exits: as of the command line; none where no row can leave before the last layer
    ends: before each layer, and after the last one
    count_ends: after a first layer, in counts of its inputs that are 1
    """

    exits: Exits
    ends: Sequence[ExitBounds] = ()
    count_ends: ExitBounds = NO_COUNT


def find_early_exit(
    kernels: FusedKernels, layers: LayerStore, known: EarlyExit, ymax: Any, counted: bool
) -> EarlyExit:
    """Find which values before each layer give a row a known end. Where no row can leave before
    the last layer, as with most ordinary biases, `exits` becomes none: no row needs to be
    looked at.

    known: which exits to look for; and what was found for counts, which stays where none are made
    ymax: of the dtype, may be infinite; counted: whether the first layer counts
    """
    exits = known.exits
    unknown, end = ExitBounds.unknown(kernels.dtype), len(layers)
    zeros = replace(unknown, dead=kernels.zero)
    if exits == "all":
        ends = _proved(kernels, layers, ymax)
    elif exits == "dead":
        first = layers.zeros_stay_from
        ends = [unknown] * first + [zeros] * (end + 1 - first)
    else:
        ends = [unknown] * end + [zeros]
    if end and not any(each.any for each in ends[:-1]):
        exits = "none"
    count_ends = known.count_ends
    if exits != "none" and counted:
        count_ends = _count_ends(kernels, layers, ends[1], ymax)
    return EarlyExit(exits, ends, count_ends)


def _count_ends(
    kernels: FusedKernels, layers: LayerStore, after: ExitBounds, ymax: Any
) -> ExitBounds:
    """The ends after the first layer in counts of `count`: what it makes of each is tried."""
    first = layers[0]
    assert first.fan_in is not None
    shape = Shape.of(kernels.space, kernels.dtype, layers.widest)
    rows = Tiles(shape, first.fan_in + 1)
    counted = Tiles(shape.for_counts(first.inputs, first.outputs), rows.capacity)
    counted.load_constant(np.arange(rows.capacity, dtype=np.uint8), first.outputs)
    rows.take(counted)
    kernels.activate(rows, counted, first)
    least, most = rows.range()
    # A row may have any count up to the largest that still dies, and from the least that grows.
    dies = np.logical_and.accumulate(after.dies(least, most))
    grows = np.logical_and.accumulate(after.grows(least, most, ymax)[::-1])
    dead, saturated = np.count_nonzero(dies) - 1, rows.capacity - np.count_nonzero(grows)
    return ExitBounds(np.int32(dead), np.int32(saturated))


def _proved(kernels: FusedKernels, layers: LayerStore, ymax: Any) -> list[ExitBounds]:
    """The ends before each layer and after the last one, from this back: each layer is applied
    to rows of one value everywhere, by the same workunit in the same order of arithmetic as in
    the run. Of layers that do the same to such rows, because all outputs have as many edges,
    one weight and one bias, one is tried.
    """
    # Without a limit ymax is infinite, and no row saturates.
    ends = [ExitBounds(kernels.zero, ymax)]
    known: dict[Any, ExitBounds] = {}
    rows = Tiles(Shape.of(kernels.space, kernels.dtype, layers.widest), MOST_TRIED)
    for position in reversed(range(len(layers))):
        after = ends[-1]
        if not after.any:
            ends += [after] * (position + 1)
            break
        given = None if position < layers.held else layers.given(position)
        alike = layers[position].likeness if given is None else likeness(given)
        before = known.get((alike, after))
        if before is None:
            if given is None:
                given, layer = layers.given(position), layers[position]
            else:
                layer = prepared(given, None, ymax).to_device(kernels.space.to_device)
            response = Response.of(given, layer.weight)
            answers = partial(probe_layer, kernels, rows, layer)
            before = ends_before(response, answers, after, ymax)
            if alike is not None:
                known[alike, after] = before
        ends.append(before)
    return ends[::-1]


def probe_layer(
    kernels: FusedKernels, rows: Tiles, layer: FusedLayer, values: Floats
) -> tuple[Floats, Floats]:
    """What a layer makes of rows of these values: the least and the largest output of each."""
    rows.load_constant(values, layer.inputs)
    kernels.compute(rows, layer, 1)
    return rows.range()


@dataclass(frozen=True)
class Response:
    """What a monotone layer makes of a row of value c everywhere, but for rounding: from
    gains[0] c + biases[0] to gains[1] c + biases[1] before the ReLU.

    gains: the least and the largest sum of the weights of an output; biases: likewise
    """

    gains: tuple[float, float]
    biases: tuple[float, float]

    @classmethod
    def of(cls, layer: Layer, weight: Any) -> Response | None:
        """None where the layer may not be monotone. weight: what all weights of the layer are, or
        None where they differ."""
        if layer.activation != "relu":
            return None
        edges = np.diff(layer.start)
        if weight is not None:
            least, sums = weight, edges * float(weight)
        else:
            # With a zero behind for outputs at the end that have no edges.
            value = np.append(layer.value, layer.value.dtype.type(0))
            least, sums = value.min(), np.add.reduceat(value, layer.start[:-1], dtype=np.float64)
            sums[edges == 0] = 0
        if least < 0:
            return None
        biases = float(layer.bias.min()), float(layer.bias.max())
        return cls((float(sums.min()), float(sums.max())), biases)


def ends_before(
    response: Response | None, answers: Answers, after: ExitBounds, ymax: Any
) -> ExitBounds:
    """The ends before a layer, from those after it; ymax: may be infinite.

    Rows of the value that the response tells are tried, and of some a little further off, because
    it knows of no rounding. So are rows of 0 and of ymax, which need no monotone layer: they come
    to what they come to.
    """
    dtype = np.dtype(type(ymax))
    # Where no row saturates, in place of what would be NaN or infinite.
    top = ymax if np.isfinite(ymax) else dtype.type(0)
    low, high = np.full(1, 0, dtype), np.full(1, top, dtype)
    if response is not None:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            bound = np.divide(float(after.dead) - response.biases[1], response.gains[1])
            low = np.append(_around(bound, -1, dtype), low)
            bound = np.divide(float(after.saturated) - response.biases[0], response.gains[0])
            high = np.append(_around(bound, 1, dtype), high)
        low[~((low >= 0) & (low < np.inf))] = 0
        high[~((high >= 0) & (high <= top))] = top
    least, most = answers(np.concatenate([low, high]))
    # The last of low is 0, and the last of high is ymax: the other end of each interval.
    stays = (least[low.size - 1] >= 0) & (most[: low.size] <= after.dead)
    grows = (least[low.size :] >= after.saturated) & (most[-1] <= ymax)
    none = ExitBounds.unknown(dtype)
    return ExitBounds(low[stays].max(initial=none.dead), high[grows].min(initial=none.saturated))


def _around(bound: Any, direction: int, dtype: np.dtype[Any]) -> Floats:
    """The bound, and values ever further off from it."""
    values: Floats = (bound * (1 + direction * float(np.finfo(dtype).eps) * _STEPS)).astype(dtype)
    return values
