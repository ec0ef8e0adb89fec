"""The fused engine with the generated code for GPUs, run on the host.

Its values are those of the code for CPUs, bit for bit, for every shape of tiles and teams.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.choices import EXITS, Exits
from kkspdnn.device.space import Space
from kkspdnn.inference import infer
from kkspdnn.io.shipped_images import images
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet
from tests.cuda_on_host import CudaOnHost

MakeSpace = Callable[..., Space]


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> CudaOnHost:
    return CudaOnHost(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def make_space(code: CudaOnHost, monkeypatch: pytest.MonkeyPatch) -> MakeSpace:
    """Returns a space that `infer` opens as cuda."""

    def make(**changes: Any) -> Space:
        space = code.space(**changes)
        monkeypatch.setattr("kkspdnn.inference.run.open_space", lambda *_: space)
        return space

    return make


def ragged(dtype: str) -> Network:
    """Return a network with different fan-ins and weights, and layers of different widths."""
    rng = np.random.default_rng(7)
    widths = [40, 56, 56, 56, 24]
    layers = [
        Layer.from_sparse(
            sp.random_array((a, b), density=0.4, rng=rng, dtype=dtype), np.full(b, -0.01, dtype)
        )
        for a, b in zip(widths, widths[1:], strict=False)
    ]
    return network(layers, ymax=None)


def shared_inputs(dtype: str) -> Network:
    """Return a network whose output neurons share their inputs, with different weights."""
    rng = np.random.default_rng(8)
    layers = []
    for inputs, outputs, equal in ((40, 48, 8), (48, 48, 12), (48, 48, 12), (48, 20, 20)):
        w = rng.standard_normal((inputs, outputs)).astype(dtype)
        w *= (rng.random(w.shape) < 0.4)[:, np.arange(outputs) // equal * equal]
        layers.append(Layer.from_sparse(w, rng.normal(size=outputs).astype(dtype)))
    return network(layers, ymax=None)


def fixed_fan_in(dtype: str) -> Network:
    rng = np.random.default_rng(9)
    layers = []
    for _ in range(4):
        index = np.sort(np.argsort(rng.random((40, 40)), axis=1)[:, :19], axis=1)
        value = rng.standard_normal(index.shape).astype(dtype)
        layers.append(Layer.from_fan_in(index, value, rng.normal(size=40).astype(dtype), 40))
    return network(layers)


NETWORKS = {"ragged": ragged, "shared inputs": shared_inputs, "fixed fan-in": fixed_fan_in}

SHAPES = {
    "warp a neuron": {"vector_length": 32, "lanes_per_thread": 4, "team_size": 8},
    "quarter of a warp": {"vector_length": 8, "lanes_per_thread": 4, "team_size": 8},
    "eight lanes a thread": {"vector_length": 4, "lanes_per_thread": 8, "team_size": 8},
    "one lane a thread": {"vector_length": 32, "lanes_per_thread": 1, "team_size": 8},
}


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "name",
    [
        each if each == "fixed fan-in" else pytest.param(each, marks=pytest.mark.slow)
        for each in NETWORKS
    ],
)
def test_values(make_space: MakeSpace, name: str, shape: str, dtype: str) -> None:
    net = NETWORKS[name](dtype)
    rows = (np.arange(150 * 40).reshape(150, 40) % 7 < 2).astype(dtype)
    expected = infer(net, rows, space="serial", exits="none", dtype=dtype, values=True)
    for group_outputs in ("none", "all") if name == "shared inputs" else ("none",):
        make_space(**SHAPES[shape], group_outputs=group_outputs)
        result = infer(net, rows, space="cuda", exits="none", dtype=dtype, values=True)
        assert result.categories.tolist() == expected.categories.tolist()
        assert (result.values != expected.values).nnz == 0


@pytest.mark.slow
@pytest.mark.parametrize("exits", EXITS)
@pytest.mark.parametrize("group_outputs", ["none", "all"])
def test_a_challenge_network(make_space: MakeSpace, exits: Exits, group_outputs: str) -> None:
    """With counts, early exit and several layers a launch."""
    net, rows = radixnet(64, 24), images(64, 700)
    expected = infer(net, rows, space="serial", exits="none", values=True)
    make_space(vector_length=8, group_outputs=group_outputs)
    result = infer(net, rows, space="cuda", exits=exits, values=True, verify="full")
    assert result.record.verified.passed
    assert result.categories.tolist() == expected.categories.tolist()
    assert (result.values != expected.values).nnz == 0
