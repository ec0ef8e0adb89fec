"""Networks of all forms of packed layers, and few rows, for the steps that check and time them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

import kkspdnn as kk

FEW_ROWS = 500
"""On a GPU up to 512 input rows have tiles of 32 threads with one lane each."""


def ragged(rows: int) -> tuple[kk.Network, NDArray[np.float32]]:
    """Return a network whose neurons have different fan-ins and weights, and dense input rows."""
    random, widths = np.random.default_rng(7), [40, 56, 56, 56, 24]
    layers = [
        kk.Layer.from_sparse(
            sp.random_array((a, b), density=0.2, rng=random, dtype=np.float32),
            np.full(b, -0.01, np.float32),
        )
        for a, b in pairwise(widths)
    ]
    return kk.network(layers, ymax=None, name="ragged"), _pixels(rows, widths[0])


def shared_inputs(rows: int) -> tuple[kk.Network, NDArray[np.float32]]:
    """Return a network with 8, 12 or 20 neurons with the same inputs and different weights, and
    dense input rows. On a GPU such neurons are computed in groups, some of which overlap."""
    random, layers = np.random.default_rng(8), []
    for inputs, outputs, equal in ((40, 48, 8), (48, 48, 12), (48, 48, 12), (48, 20, 20)):
        weights = random.standard_normal((inputs, outputs)).astype(np.float32)
        weights *= (random.random(weights.shape) < 0.4)[:, np.arange(outputs) // equal * equal]
        bias = random.normal(size=outputs).astype(np.float32)
        layers.append(kk.Layer.from_sparse(weights, bias))
    return kk.network(layers, ymax=None, name="shared inputs"), _pixels(rows, 40)


def different_weights(neurons: int, layers: int, *, ragged: bool = False) -> kk.Network:
    """Return a network with the edges of a RadiX-Net, where 16 neurons have the same inputs, and
    random weights.

    ragged: a neuron of each layer has one edge less, so that the fan-ins differ
    """
    random, net = np.random.default_rng(9), kk.radixnet(neurons, layers)

    def weighted() -> Iterator[kk.Layer]:
        for layer in net.layers:
            weights = layer.weights().copy()
            weights.data = random.normal(0.06, 0.1, weights.nnz).astype(np.float32)
            if ragged:
                weights.data[0] = 0
                weights.eliminate_zeros()
            yield kk.Layer.from_sparse(weights, layer.bias)

    return kk.network(list(weighted()), ymax=net.ymax, name=f"different weights {net.name}")


def _pixels(rows: int, neurons: int) -> NDArray[Any]:
    return (np.arange(rows * neurons).reshape(rows, neurons) % 7 < 2).astype(np.float32)
