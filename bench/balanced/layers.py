"""Layers of a network in the types of a library, and their product, bias and ReLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kkspdnn as kk
from bench.balanced.dense_network import Layers


def convert_layers(network: kk.Network, dense: bool, convert: Callable[[Any], Any]) -> Layers:
    """Convert the layers for `run_layers`.

    convert: receives a dense NumPy array of weights or biases, or a transposed SciPy CSR array
    """
    if dense:
        return [
            (convert(layer.weights().toarray()), convert(layer.bias), layer.activation)
            for layer in network.layers
        ]
    return [
        (convert(layer.weights().T), layer.bias[:, None], layer.activation)
        for layer in network.layers
    ]


def run_layers(
    layers: Layers, y: Any, multiply: Callable[[Any, Any], Any], maximum: Callable[..., Any]
) -> Any:
    """Apply product, bias and ReLU of each layer to y.

    multiply: returns the product of weights and y as a new array; maximum: as `numpy.maximum`
    """
    for weights, bias, activation in layers:
        y = multiply(weights, y)
        y += bias
        if activation == "relu":
            maximum(y, 0, out=y)
    return y
