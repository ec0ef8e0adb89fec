"""Layers of more than 65,536 neurons, which have 32-bit indices, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.errors import InputError
from kkspdnn.model.checks import MAX_NEURONS
from kkspdnn.model.layers import Layer

SHAPES = [(70_000, 5), (5, 70_000), (65_537, 65_537), (65_536, 3), (1, 1), (3, 1)]


def some_layer(rng: Any, inputs: int, outputs: int, bias_to: Any) -> tuple[Layer, Any, Any]:
    """Return a layer, its weights and biases: small multiples of 1/16, so all sums are exact."""
    edges = 8 * max(inputs, outputs)
    cells = np.unique(rng.integers(0, inputs * outputs, edges))
    values = rng.integers(1, 16, cells.size).astype(np.float32) / 16
    values *= rng.choice([-1, 1], cells.size)
    weights = sp.coo_array(
        (values, (cells // outputs, cells % outputs)), shape=(inputs, outputs)
    ).tocsr()
    bias = (rng.integers(-16, 17, outputs) / 16).astype(np.float32)
    return Layer.from_sparse(weights, bias, bias_to=bias_to), weights, bias


def some_rows(rng: Any, inputs: int) -> Any:
    return (rng.integers(0, 17, (19, inputs)) * (rng.random((19, inputs)) < 0.3) / 16).astype("f4")


@pytest.mark.slow
@pytest.mark.parametrize("bias_to", ["all", "nonzero"])
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
def test_dense_and_sparse_rows(space: str, inputs: int, outputs: int, bias_to: Any) -> None:
    rng = np.random.default_rng(inputs)
    layer, weights, bias = some_layer(rng, inputs, outputs, bias_to)
    net = kk.network([layer], None)
    rows = some_rows(rng, inputs)
    sums = rows @ weights
    expected = np.maximum(sums + bias, 0)
    if bias_to == "nonzero":
        expected[sums == 0] = 0
    predict = kk.Predictor(net, space=space)
    for given in (rows, sp.csr_array(rows)):
        assert (kk.infer(net, given, space=space, values=True).outputs == expected).all()
        assert (predict(given) == expected).all()
    if bias_to == "nonzero":
        found = kk.infer(net, rows, space=space, kernel="spgemm", values=True)
        assert (found.outputs == expected).all()


@pytest.mark.slow
def test_a_wide_first_layer_counts_bits(space: str) -> None:
    """Equal weights and bits as inputs; the next layers are narrow, with 16-bit indices."""
    rng = np.random.default_rng(3)
    index = rng.permuted(np.arange(70_000).reshape(500, 140), axis=1)[:, :32]
    narrow = rng.permuted(np.tile(np.arange(500), (500, 1)), axis=1)[:, :32]
    layers = [
        Layer.from_fan_in(each, np.float32(1 / 16), -0.25, inputs)
        for each, inputs in ((index, 70_000), (narrow, 500), (narrow[::-1], 500))
    ]
    net = kk.network(layers)
    pixels = rng.random((150, 70_000)) < 0.5
    pixels[::3] = False
    inputs = kk.Inputs(rows=150, neurons=70_000, source="memory", bits=np.packbits(pixels, axis=1))
    expected = kk.reference(net, inputs, dtype=np.float32).toarray()
    assert np.unique(expected).size > 100
    for exits in ("none", "all"):
        result = kk.infer(net, inputs, space=space, exits=exits, values=True)
        assert result.record.order.bits_counted
        assert (result.outputs == expected).all()
        assert (kk.Predictor(net, space=space, exits=exits)(inputs) == expected).all()


@pytest.mark.parametrize("cell", [(2**32 + 5, 0), (0, 2**32 + 5), (MAX_NEURONS, 0)])
def test_layers_of_too_many_neurons_are_refused(cell: tuple[int, int]) -> None:
    """Their indices would overflow."""
    shape = cell[0] + 1, cell[1] + 1
    weights = sp.coo_array(([1.0], ([cell[0]], [cell[1]])), shape=shape)
    size = f"{shape[0]} x {shape[1]} neurons: a layer has at most 1073741824"
    with pytest.raises(InputError, match=f"layer 1: weights of {size}"):
        Layer.from_sparse(weights, 0.0)
    with pytest.raises(InputError, match="network of 4294967296 neurons: a layer has at most"):
        kk.network([], inputs=2**32)
