"""How large activations can be, so that only layers that may overflow are checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer


@dataclass(frozen=True)
class LayerBound:
    """How large a layer's sums can be: `reach` times the largest activation, plus `shift`; what
    comes of them is at most `limit`."""

    reach: float
    shift: float
    limit: float

    @classmethod
    def of(cls, layer: Layer, ymax: float) -> LayerBound:
        """From a layer's largest fan-in, weight and bias; ymax: of its ReLU, may be infinite."""
        weight = max(float(layer.value.max()), -float(layer.value.min())) if layer.edges else 0.0
        fan_in = int(np.diff(layer.start).max())
        limit = float(ymax) if layer.activation == "relu" else np.inf
        return cls(fan_in * weight, float(np.abs(layer.bias).max()), limit)


class OverflowGuard:
    """Follows how large activations can be, so that only layers that may overflow are looked at."""

    def __init__(self, inputs: Inputs, dtype: np.dtype[Any]) -> None:
        self._largest = inputs.largest
        self._dtype = dtype
        self._answers: list[bool] = []

    def may_overflow(self, position: int, growth: LayerBound) -> bool:
        """Whether layer `position`, which has this growth, could leave the range of the dtype.

        To be asked for every layer in order; asked again it gives the same answer.
        """
        if position == len(self._answers):
            most = growth.reach * self._largest + growth.shift
            self._largest = min(most, growth.limit)
            # Half of the range leaves room for rounding. NaN comes from 0 times infinity.
            self._answers.append(not most < float(np.finfo(self._dtype).max) / 2)
        return self._answers[position]

    def check(self, values: NDArray[Any], position: int) -> None:
        """Raise InputError where layer `position` did overflow."""
        if not np.isfinite(values).all():
            raise InputError(
                f"the activations overflow {self._dtype}; scale the weights down or use float64",
                layer=position + 1,
            )
