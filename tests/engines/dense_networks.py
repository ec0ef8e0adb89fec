"""Random networks and dense rows, for runs whose outputs must be those of `infer`, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from kkspdnn.device.space import Space
from kkspdnn.engines.activation import upper_limit
from kkspdnn.inference import infer
from kkspdnn.model.layers import ACTIVATIONS, BIAS_TO, Layer
from kkspdnn.model.network import Network, network


def random_network(seed: int, dtype: Any) -> Network:
    """Return a network of one to five layers of different widths, with any activation and bias:
    of different weights, or of one weight and fan-in, and with neurons without edges."""
    rng = np.random.default_rng(seed)
    widths = rng.choice([1, 5, 16, 33, 64, 100, 300], rng.integers(2, 7))
    layers = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        w = rng.standard_normal((inputs, outputs)) / np.sqrt(inputs)
        if rng.random() < 0.3:  # one fan-in, and often one weight
            if rng.random() < 0.7:
                w[:] = rng.choice([0.25, 0.3, -0.5])
            w[np.argsort(rng.random(w.shape), axis=0) >= rng.integers(1, inputs + 1)] = 0
        else:
            w[rng.random(w.shape) < rng.choice([0.1, 0.5, 0.95])] = 0
            w[rng.random(inputs) < 0.2] = 0
            w[:, rng.random(outputs) < 0.2] = 0
        bias = rng.standard_normal(outputs) * (rng.random(outputs) < 0.8) / 4
        activation, bias_to = rng.choice(ACTIVATIONS), rng.choice(BIAS_TO)
        layers.append(
            Layer.from_sparse(w.astype(dtype), bias, activation=str(activation), bias_to=bias_to)  # type: ignore[arg-type]
        )
    return network(layers, rng.choice([None, 0.5, 4.0]))


def random_rows(seed: int, count: int, net: Network, dtype: Any) -> Any:
    """Return rows of both signs, with zeros: in some neurons of all rows, and in all neurons of
    some rows."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, net.inputs)) * (rng.random((count, net.inputs)) < 0.6)
    rows[:, rng.random(net.inputs) < 0.2] *= -0.0
    rows[rng.random(count) < 0.1] = 0
    return rows.astype(dtype)


def ymax_of(net: Network, dtype: Any) -> Any:
    """Return the upper limit of the ReLU, as an engine has it."""
    return upper_limit(np.dtype(dtype), net.ymax)


def expected_outputs(net: Network, rows: Any, space: Space) -> Any:
    result = infer(net, rows, space=space.name, dtype=rows.dtype, kernel="fused", values=True)
    return result.outputs


def assert_same_bits(found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert (found.view(f"u{found.itemsize}") == expected.view(f"u{found.itemsize}")).all()
