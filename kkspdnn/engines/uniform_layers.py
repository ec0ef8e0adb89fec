"""Layers whose output neurons are all alike."""

from __future__ import annotations

from typing import Any

from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import Floats


def uniform_signature(layer: Layer, weight: Any) -> Any:
    """Return a signature of the outputs of a layer for rows of one value: they are equal for layers
    with the same signature. None if the fan-ins, weights or biases of the outputs differ.

    weight: the common weight of all edges; None: the weights differ
    """
    bias, fan_in = common_value(layer.bias), layer.fan_in
    if weight is None or bias is None or not fan_in:
        return None
    return layer.inputs, layer.outputs, fan_in, weight, bias, layer.activation, layer.bias_to


def common_value(numbers: Floats) -> Any:
    """Return the value of all numbers; None if they differ or there are none."""
    return numbers[0] if numbers.size and (numbers == numbers[0]).all() else None
