"""The bounds that retire rows are those of the fused engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kkspdnn.choices import KERNELS, Epilogue, Exits, Kernel, SpaceName
from kkspdnn.device.space import open_space
from kkspdnn.engines import make_engine
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.io.shipped_images import images
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet


def bounds(
    kernel: Kernel,
    net: Network,
    dtype: str,
    space: SpaceName = "serial",
    exits: Exits = "all",
    epilogue: Epilogue = "fused",
) -> tuple[Exits, list[tuple[Any, Any]]]:
    """Return the rows that exit early, and the bits of the bounds."""
    number = np.dtype(dtype)
    engine = make_engine(kernel, open_space(space), number, net.ymax, exits, epilogue)
    layers = LayerStore(net, engine, number)
    engine.compute_exit_bounds(layers, images(1024, 1))
    bits = [
        tuple(number.type(value).tobytes() for value in (each.max_zero, each.min_saturated))
        for each in engine.exit_bounds
    ]
    return engine.exits, bits


@pytest.mark.parametrize("space", ["serial", "openmp"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("neurons", "layers"), [(64, 40), (1024, 30)])
def test_a_radixnet(neurons: int, layers: int, dtype: str, space: SpaceName) -> None:
    net = radixnet(neurons, layers)
    exits, found = bounds("spgemm", net, dtype, space)
    assert exits == "all"
    assert (exits, found) == bounds("fused", net, dtype, space)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_challenge(challenge_network: Network, dtype: str) -> None:
    exits, found = bounds("spgemm", challenge_network, dtype)
    assert exits == "all"
    assert (exits, found) == bounds("fused", challenge_network, dtype)
    assert bounds("spgemm", challenge_network, dtype, epilogue="separate") == (exits, found)


@pytest.mark.parametrize("exits", ["all", "dead", "none"])
def test_layers_of_different_weights(exits: Exits) -> None:
    rng = np.random.default_rng(1)
    weights = (rng.integers(0, 3, (5, 40, 40)) / 64).astype(np.float32)
    net = network([Layer.from_sparse(each, -0.125) for each in weights], 2.0)
    found = [bounds(kernel, net, "float32", exits=exits) for kernel in KERNELS]
    if exits != "none":
        assert found[0] == found[1]
    assert found[0][0] == found[1][0] == exits


@pytest.mark.parametrize("exits", ["all", "dead", "none"])
def test_no_row_of_signed_layers_saturates(exits: Exits) -> None:
    """A row of zeros stays one."""
    net = network([Layer.from_sparse(-np.eye(4, dtype=np.float32), 0.0, activation="linear")] * 3)
    for kernel in KERNELS:
        _, found = bounds(kernel, net, "float32", exits=exits)
        assert all(saturated == np.float32(np.inf).tobytes() for _, saturated in found[:-1])
