"""Networks as dense matrices. Imports NumPy only, so that workers in other environments can too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

Layers = Sequence[tuple[Any, Any, str]]
"""Weights, biases and activation ("relu" or "linear") of each layer, in the types of a library."""


def read_dense_layers(folder: Path) -> Layers:
    """Read a network that `train` wrote: weights float32[inputs, outputs], biases float32[outputs].

    `kkspdnn.read_npz_network` reads all networks, but this function does not import kkspdnn.
    """
    activations = json.loads((folder / "network.json").read_text())["activation"]
    layers = []
    for number, activation in enumerate(activations, start=1):
        with np.load(folder / f"layer-{number}.npz") as csr:
            weights = np.zeros(csr["shape"], np.float32)
            inputs = np.repeat(np.arange(len(weights)), np.diff(csr["indptr"]))
            weights[inputs, csr["indices"]] = csr["data"]
        layers.append((weights, np.load(folder / f"bias-{number}.npy"), activation))
    return layers


def float64_outputs(layers: Layers, x: Any) -> Any:
    """Return the outputs (rows, classes) of dense layers, computed in float64."""
    y = x.astype(np.float64)
    for weights, bias, activation in layers:
        y = y @ weights.astype(np.float64) + bias
        y = y if activation == "linear" else np.maximum(y, 0)
    return y
