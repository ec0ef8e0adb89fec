"""Networks as dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from bench.balanced.dense_network import float64_outputs
from bench.balanced.layers import convert_layers


def small_network() -> kk.Network:
    """A network of 5, 4 and 3 neurons with missing edges, ReLU in its first layer only."""
    random = np.random.default_rng(0)
    layers = []
    for shape, activation in (((5, 4), "relu"), ((4, 3), "linear")):
        weights = random.normal(size=shape).astype(np.float32)
        weights[random.random(shape) < 0.5] = 0
        bias = random.normal(size=shape[1]).astype(np.float32)
        layers.append(
            kk.Layer.from_sparse(sp.csr_array(weights), bias, bias_to="all", activation=activation)
        )
    return kk.network(layers, ymax=None)


def test_expected_outputs_are_those_of_kkspdnn() -> None:
    network = small_network()
    x = np.random.default_rng(1).random((7, 5), np.float32)
    outputs = float64_outputs(convert_layers(network, True, np.asarray), x)
    assert outputs.dtype == np.float64
    assert outputs == pytest.approx(kk.infer(network, x, values=True).outputs, abs=1e-6)
    assert outputs.min() < 0
