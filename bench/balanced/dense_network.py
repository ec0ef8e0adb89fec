"""Networks as dense matrices. Imports NumPy only, so that workers in other environments can too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Layers = Sequence[tuple[Any, Any, str]]
"""Weights, biases and activation ("relu" or "linear") of each layer, in the types of a library."""


def float64_outputs(layers: Layers, x: Any) -> Any:
    """Return the outputs (rows, classes) of dense layers, computed in float64."""
    y = x.astype(np.float64)
    for weights, bias, activation in layers:
        y = y @ weights.astype(np.float64) + bias
        y = y if activation == "linear" else np.maximum(y, 0)
    return y
