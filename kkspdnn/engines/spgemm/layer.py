"""Packed layers of the SpGEMM engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kkspdnn.engines.overflow_guard import LayerBound


@dataclass(frozen=True, eq=False)
class SpgemmLayer:
    """A packed layer.

    weights: (inputs, outputs), in the form of the kernels; bias: (outputs,)
    fan_in: mean number of edges of an output neuron
    uniform_signature: see `uniform_signature`
    scalars: `low` and `ymax`, arguments of the workunits
    """

    inputs: int
    outputs: int
    fan_in: float
    uniform_signature: Any
    bound: LayerBound
    weights: Any
    bias: Any
    scalars: dict[str, Any]
