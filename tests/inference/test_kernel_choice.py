"""The choice of the kernel by the density of the activations."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.inference import kernel_choice
from kkspdnn.inference.kernel_choice import (
    CROSSOVER,
    KernelChoice,
    activation_density,
    choose_kernel,
)
from kkspdnn.io.json_schema import decode


def sparse_problem(fan_in: int = 4, nonzeros: int = 4) -> tuple[kk.Network, kk.Inputs]:
    """Return a random network of 600 neurons, and 500 rows with few nonzero values."""
    rng = np.random.default_rng(3)
    layers = []
    for _ in range(6):
        index = rng.integers(0, 600, (600, fan_in))
        index = (index[:, :1] + np.cumsum(index % 100 + 1, axis=1)) % 600
        layers.append(kk.Layer.from_fan_in(index, np.float32(0.5), -0.3, 600))
    rows = sp.random_array((500, 600), density=nonzeros / 600, rng=rng, dtype=np.float32)
    return kk.network(layers, 32.0), kk.Inputs.from_any(rows)


def layer(weights: Any, bias: Any = 0.0, **rules: Any) -> kk.Layer:
    return kk.Layer.from_sparse(np.asarray(weights, np.float32), bias, **rules)


def density(net: kk.Network, rows: Any) -> float | None:
    return activation_density(net, kk.Inputs.from_any(np.asarray(rows, np.float32)))


def test_spgemm_for_sparse_activations() -> None:
    net, rows = sparse_problem()
    found = kk.infer(net, rows, space="serial", kernel="auto", values=True, verify="full")
    record = found.record
    assert (record.kernel, record.epilogue, record.kernel_auto) == ("spgemm", "fused", True)
    assert record.activation_density is not None
    assert 0 < record.activation_density < CROSSOVER
    assert record.launch is None
    assert record.verified.passed
    fused = kk.infer(net, rows, space="serial", values=True)
    assert (found.outputs == fused.outputs).all()


def test_fused_for_the_images_of_the_challenge() -> None:
    net, rows = kk.radixnet(1024, 6), kk.images(1024, 300)
    record = kk.infer(net, rows, space="serial", kernel="auto").record
    assert (record.kernel, record.epilogue, record.kernel_auto) == ("fused", None, True)
    assert record.activation_density is not None
    assert record.activation_density > CROSSOVER
    assert record.launch is not None


def test_fused_for_a_network_with_ordinary_biases() -> None:
    """SpGEMM does not store the activations that a bias makes of zeros."""
    net, rows = sparse_problem()
    last = layer(np.eye(600), 0.1, bias_to="all")
    net = kk.network([*net.layers, last], 32.0)
    record = kk.infer(net, rows, space="serial", kernel="auto").record
    assert (record.kernel, record.kernel_auto, record.activation_density) == ("fused", True, None)


def test_fused_on_a_gpu() -> None:
    net, rows = sparse_problem()
    request: Any = SimpleNamespace(kernel="auto", inputs=rows)
    space: Any = SimpleNamespace(gpu=True)
    assert choose_kernel(request, space, net) == KernelChoice("fused", automatic=True)


@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_a_kernel_that_is_given_is_taken(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(kernel_choice, "activation_density")
    net, rows = sparse_problem()
    record = kk.infer(net, rows, space="serial", kernel=kernel).record
    assert (record.kernel, record.kernel_auto, record.activation_density) == (kernel, False, None)


def test_the_choice_is_in_the_json_record() -> None:
    net, rows = sparse_problem()
    record = kk.infer(net, rows, space="serial", kernel="auto").record
    assert decode(kk.Record, json.loads(record.to_json()), "record.json") == record


def test_the_density_is_of_active_rows_and_weighted_by_edges() -> None:
    # Input 0 has three edges, input 1 has one.
    fan = [[1, 1, 1], [1, 0, 0]]
    assert density(kk.network([layer(fan)]), [[1, 0], [0, 0]]) == 3 / 4
    assert density(kk.network([layer(fan)]), [[0, 1], [0, 0]]) == 1 / 4
    assert density(kk.network([layer(fan)]), [[0, 1], [1, 0]]) == 4 / 8
    # The second row goes to zero in the first layer.
    two = kk.network([layer(fan), layer(np.eye(3))])
    assert density(two, [[0, 1], [0, -1]]) == (1 + 1 + 1) / (4 + 4 + 3)


def test_the_first_four_layers_count() -> None:
    net = kk.network([layer(np.eye(4))] * 4 + [layer(np.ones((4, 4)))] * 2)
    assert density(net, [[1, 0, 0, 0]]) == 1 / 4


def test_a_large_layer_is_computed_for_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The active rows of the sample are evenly spaced."""
    net = kk.network([layer(np.eye(4))])
    rows = np.zeros((9, 4))
    rows[2], rows[4], rows[6] = [1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]
    assert density(net, rows) == 7 / 12
    for edges, expected in ((12, 7 / 12), (8, 6 / 8), (4, 2 / 4), (1, 2 / 4)):
        monkeypatch.setattr(kernel_choice, "_LAYER_EDGES", edges)
        assert density(net, rows) == expected


@pytest.mark.parametrize("rows", [np.zeros((3, 4)), np.zeros((0, 4))])
def test_no_density_without_active_rows(rows: Any) -> None:
    net = kk.network([layer(np.eye(4))] * 2)
    assert density(net, rows) is None
    record = kk.infer(net, rows, space="serial", kernel="auto").record
    assert (record.kernel, record.activation_density) == ("fused", None)


def test_no_density_without_layers_or_edges() -> None:
    assert density(kk.network([], inputs=4), np.ones((3, 4))) is None
    assert density(kk.network([layer(np.zeros((4, 4)))]), np.ones((3, 4))) is None


def test_the_run_reports_an_overflow() -> None:
    """The rows of the sample have other numbers."""
    net = kk.network([layer(np.full((4, 4), 1e30))] * 2, None)
    with pytest.raises(kk.InputError, match="layer 2: the activations .*overflow float32"):
        kk.infer(net, np.full((2000, 4), 1e5, np.float32), space="serial", kernel="auto")


def test_an_epilogue_needs_the_spgemm_kernel() -> None:
    net, rows = sparse_problem()
    with pytest.raises(kk.InputError, match="epilogue 'separate' is for kernel spgemm"):
        kk.infer(net, rows, space="serial", kernel="auto", epilogue="separate")
