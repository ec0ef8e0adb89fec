"""Networks as the tensors and plain values that torch.load(weights_only=True) reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import scipy.sparse as sp
import torch

from kkspdnn.errors import InputError
from kkspdnn.io.pytorch_tensors import tensor_array
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network

_ARRAYS = ("start", "index", "value", "bias")
_FORMAT = 1
"""The version of the state's keys."""


def network_state(net: Network) -> dict[str, Any]:
    """Return the state of a network. Its tensors are copies."""
    layers = [
        {
            "inputs": layer.inputs,
            "activation": layer.activation,
            "bias_to": layer.bias_to,
            # int64, because few operations of PyTorch support unsigned integers.
            "start": torch.tensor(layer.start),
            "index": torch.tensor(layer.index.astype("int64")),
            "value": torch.tensor(layer.value),
            "bias": torch.tensor(layer.bias),
        }
        for layer in net.layers
    ]
    return {"format": _FORMAT, "name": net.name, "ymax": net.ymax, "layers": layers}


def restored_network(state: Any) -> Network:
    """Return the network of a state. Raises InputError for any other object."""
    if not isinstance(state, Mapping) or state.get("format") != _FORMAT:
        raise InputError("the state is not one of a SparseSequential; compile the model again")
    try:
        layers = [_layer(number, each) for number, each in enumerate(state["layers"], start=1)]
        return network(layers, state["ymax"], name=str(state["name"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"the state is incomplete: {error!r}; compile the model again") from error


def _layer(number: int, state: Mapping[str, Any]) -> Layer:
    label = f"layer {number} of the state"
    start, index, value, bias = (tensor_array(state[key], f"{label}: {key}") for key in _ARRAYS)
    try:
        # The constructor checks lengths; from_sparse checks the indices.
        weights = sp.csc_array((value, index, start), shape=(state["inputs"], start.size - 1))
    except ValueError as error:
        raise InputError(f"{label}: not a sparse matrix: {error}") from error
    return Layer.from_sparse(
        weights, bias, activation=state["activation"], bias_to=state["bias_to"], name=label
    )
