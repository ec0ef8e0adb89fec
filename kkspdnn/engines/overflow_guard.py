"""Bounds on the size of activations, so that only layers that may overflow are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer


@dataclass(frozen=True)
class LayerBound:
    """A bound on the sums of a layer.

    The absolute value of a sum is at most `gain` times that of the largest input, plus `shift`.
    The activations are at most `limit`.
    """

    gain: float
    shift: float
    limit: float

    @classmethod
    def of(cls, layer: Layer, ymax: float) -> LayerBound:
        """Return the bound of a layer, from its largest fan-in, weight and bias.

        ymax: upper limit of the network's ReLU, may be infinite
        """
        weight = max(float(layer.value.max()), -float(layer.value.min())) if layer.edges else 0.0
        fan_in = int(np.diff(layer.start).max())
        limit = float(ymax) if layer.activation == "relu" else np.inf
        return cls(fan_in * weight, float(np.abs(layer.bias).max()), limit)

    def largest_sum(self, largest: float) -> float:
        """Return the bound on the sums for inputs of magnitudes up to `largest`."""
        return self.gain * largest + self.shift


def _fits(largest_sum: float, dtype: np.dtype[Any]) -> bool:
    # Half of the range leaves a margin for rounding. NaN comes from 0 times infinity.
    return largest_sum < float(np.finfo(dtype).max) / 2


def safe_input(bounds: Sequence[LayerBound], dtype: np.dtype[Any]) -> float:
    """Return a magnitude of input values, a power of two, up to which no layer overflows the dtype,
    and whose square does not either; NaN if there is none from 1 on.

    bounds: of all layers
    """
    for power in range(np.finfo(dtype).maxexp // 2 - 1, -1, -1):
        largest, safe = 2.0**power, True
        for bound in bounds:
            largest_sum = bound.largest_sum(largest)
            safe &= _fits(largest_sum, dtype)
            largest = min(largest_sum, bound.limit)
        if safe:
            return 2.0**power
    return float("nan")


class OverflowGuard:
    """Decides which layers may overflow, by following a bound on the activations."""

    def __init__(self, inputs: Inputs, dtype: np.dtype[Any]) -> None:
        self._largest = inputs.largest
        self._dtype = dtype
        self._may_overflow: list[bool] = []
        self._pending: list[tuple[int, Any]] = []

    def may_overflow(self, position: int, bound: LayerBound) -> bool:
        """Return whether the layer at `position`, which has this bound, may overflow the dtype.

        The first calls must be in the order of the layers. Later calls return the same values.
        """
        if position == len(self._may_overflow):
            largest = bound.largest_sum(self._largest)
            self._largest = min(largest, bound.limit)
            self._may_overflow.append(not _fits(largest, self._dtype))
        return self._may_overflow[position]

    def check(self, values: NDArray[Any], position: int) -> None:
        """Raise InputError if a value of the layer at `position` is not finite."""
        self.check_later(values, position)
        self.finish_checks()

    def check_later(self, values: Any, position: int) -> None:
        """Like `check`, but raise the error in `finish_checks`: the host does not wait for a GPU.

        values: in the memory of the execution space
        """
        self._pending.append((position, np.isfinite(values).all()))

    def finish_checks(self) -> None:
        """Raise InputError for the first layer that `check_later` found to overflow."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        finite = pending[0][1]
        for _, each in pending[1:]:
            finite = finite & each
        # One copy from a GPU, unless there is an error.
        if finite:
            return
        self.fail(next(position for position, each in pending if not each))

    def fail(self, position: int) -> NoReturn:
        """Raise InputError for the layer at `position`, whose activations overflow."""
        raise InputError(
            f"the activations overflow {self._dtype}; scale the weights down or use float64",
            layer=position + 1,
        )
