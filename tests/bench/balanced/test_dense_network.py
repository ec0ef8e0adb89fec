"""Networks as dense matrices, read without kkspdnn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from bench.balanced.dense_network import float64_outputs, read_dense_layers
from bench.balanced.layers import convert_layers

ROOT = Path(__file__).parents[3]


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


def test_the_layers_are_those_that_kkspdnn_reads(tmp_path: Path) -> None:
    network = small_network()
    kk.save_npz_network(network, tmp_path)
    layers = read_dense_layers(tmp_path)
    expected = convert_layers(network, True, np.asarray)
    assert [each[2] for each in layers] == ["relu", "linear"]
    for layer, other in zip(layers, expected, strict=True):
        assert layer[0].dtype == np.float32
        assert np.array_equal(layer[0], other[0])
        assert np.array_equal(layer[1], other[1])


def test_expected_outputs_are_those_of_kkspdnn() -> None:
    network = small_network()
    x = np.random.default_rng(1).random((7, 5), np.float32)
    outputs = float64_outputs(convert_layers(network, True, np.asarray), x)
    assert outputs.dtype == np.float64
    assert outputs == pytest.approx(kk.infer(network, x, values=True).outputs, abs=1e-6)
    assert outputs.min() < 0


def test_a_worker_in_another_environment_needs_numpy_only() -> None:
    script = """
import sys
import bench.balanced.deepsparse_worker
packages = {name.partition(".")[0] for name in sys.modules}
print(sorted(packages & {"kkspdnn", "scipy", "onnx", "deepsparse", "numpy"}))
"""
    printed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "['numpy']"
