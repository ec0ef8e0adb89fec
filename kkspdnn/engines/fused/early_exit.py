"""Rows whose end is known: between which values they lie, found before the run.

A layer of a ReLU and of no negative weight is monotone: larger inputs, from 0 on, give no smaller
outputs. That holds in floating point too, whatever the order of the terms, because rounding is
monotone (IEEE 754-2019, 4.3). So what a layer makes of a row of values from a to b lies between
what it makes of a row of a everywhere and of a row of b everywhere, and that the workunit itself
can say. From the last layer back this gives, before each layer, values below which a row ends as
zeros, and others above which it ends at ymax.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.model.matrices import Floats
from kkspdnn.model.network import Layer

Answers = Callable[[Floats], tuple[Floats, Floats]]
"""What a layer makes of rows of one value everywhere: the least and the largest output of each."""

_STEPS = np.append(0, 8.0 ** np.arange(8))
"""How far off from a value that a response tells others are tried, in roundings."""

MOST_TRIED = 2 * (len(_STEPS) + 1)
"""Values that `ends_before` asks for at a time."""


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
