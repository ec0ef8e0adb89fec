"""Overflow, the upper limit, and the number of computed edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kkspdnn.errors import InputError
from kkspdnn.inference import infer
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import network

BIG = 3e38


def layers_of(*matrices: Any, dtype: str = "float32", bias: float = 0.0) -> list[Layer]:
    return [Layer.from_sparse(np.array(m, dtype), bias) for m in matrices]


@pytest.mark.parametrize("verify", ["none", "full"])
def test_an_overflow_raises(kernel: Any, space: Any, verify: Any) -> None:
    net = network(layers_of([[1]], [[BIG]]), None)
    for rows in ([[1.0], [4.0]], [[4.0]] * 70):
        with pytest.raises(InputError, match="layer 2: the activations .*overflow float32"):
            infer(
                net,
                np.array(rows, np.float32),
                kernel=kernel,
                space=space,
                verify=verify,
            )


def test_a_negative_overflow_in_a_layer_without_relu_raises(kernel: Any, space: Any) -> None:
    layer = Layer.from_sparse(np.array([[-BIG]], np.float32), 0.0, activation="linear")
    for verify in ("none", "full"):
        with pytest.raises(InputError, match="layer 1: the activations .*overflow float32"):
            infer(
                network([layer], 32.0),
                np.array([[1.0], [4.0]], np.float32),
                kernel=kernel,
                space=space,
                verify=verify,
            )


def test_the_limit_applies_to_the_relu_only(kernel: Any, space: Any) -> None:
    layers = layers_of([[1, 1]]) + [
        Layer.from_sparse(np.array([[30], [10]], np.float32), 0.0, activation="linear")
    ]
    result = infer(
        network(layers, 2.0), np.ones((1, 1)) * 9, kernel=kernel, space=space, values=True
    )
    assert result.values is not None
    assert result.values.toarray().tolist() == [[80]]


def test_lanes_without_rows_do_not_raise(space: Any) -> None:
    """A lane without a row computes the biases of zeros, and here only these overflow."""
    first = Layer.from_sparse(np.array([[-1.0]], np.float32), 1e30, bias_to="all")
    second = Layer.from_sparse(np.array([[1e30]], np.float32), 0.0)
    rows = np.full((3, 1), 1e30, np.float32)
    result = infer(network([first, second], None), rows, space=space, verify="full")
    assert result.record.verified.passed


def test_an_overflow_raises_although_later_layers_hide_it(kernel: Any, space: Any) -> None:
    """Infinity times a negative weight is negative, and the ReLU makes it 0."""
    net = network(layers_of([[BIG, 0], [BIG, 1]], [[-1, 0], [0, 1]], [[1], [1]]), None)
    rows = np.ones((2, 2), np.float32)
    with pytest.raises(InputError, match="layer 1: the activations overflow float32"):
        infer(net, rows, kernel=kernel, space=space)
    right = infer(net, rows, kernel=kernel, space=space, dtype="float64", values=True)
    assert right.values is not None
    assert right.values.toarray().tolist() == [[1], [1]]


def test_infinity_minus_infinity_raises(kernel: Any, space: Any) -> None:
    """NaN is neither below 0 nor above ymax."""
    net = network(layers_of([[BIG], [BIG], [-BIG], [-BIG]]), 32.0)
    with pytest.raises(InputError, match="layer 1: the activations overflow float32"):
        infer(net, np.full((65, 4), 10, np.float32), kernel=kernel, space=space)


def test_a_large_sum_is_limited(kernel: Any, space: Any) -> None:
    net = network(layers_of([[BIG], [BIG]], [[1]]), 32.0)
    result = infer(
        net,
        np.full((2, 2), 10, np.float32),
        kernel=kernel,
        space=space,
        values=True,
        verify="full",
    )
    assert result.values is not None
    assert result.values.toarray().tolist() == [[32], [32]]
    assert result.record.verified.passed


def test_a_limit_above_float32_has_no_effect(kernel: Any, space: Any) -> None:
    net = network(layers_of([[2]]), 1e300)
    result = infer(net, np.array([[1e30]], np.float32), kernel=kernel, space=space, values=True)
    assert result.values is not None
    assert result.values.toarray()[0, 0] == np.float32(2e30)


def test_a_limit_that_is_0_in_float32_is_refused(kernel: Any) -> None:
    net = network(layers_of([[2]]), 1e-60)
    with pytest.raises(InputError, match="ymax 1e-60 is 0 in float32"):
        infer(net, np.ones((1, 1)), kernel=kernel)


def test_weights_that_overflow_float32_are_refused(kernel: Any) -> None:
    net = network(layers_of([[1.0]], [[1e39]], dtype="float64"))
    with pytest.raises(InputError, match="layer 2: weight: 1e\\+39 is too large for float32"):
        infer(net, np.ones((1, 1)), kernel=kernel, dtype="float32")


def test_inputs_that_overflow_float32_are_refused(kernel: Any) -> None:
    net = network(layers_of([[1.0]]))
    with pytest.raises(InputError, match="inputs: row 1: 1e\\+39 is too large for float32"):
        infer(net, np.array([[1.0], [1e39]]), kernel=kernel)


@pytest.mark.parametrize(("kernel", "computed_edges"), [("fused", 18), ("spgemm", 11)])
def test_computed_edges(kernel: Any, computed_edges: int) -> None:
    """Fused: all edges for all active rows. SpGEMM: the edges of nonzero inputs."""
    net = network(layers_of([[1, 1], [0, 1]], [[1, 0], [1, 1]]))
    # Row by row: 2 and 1 nonzeros meet 3 and 1 edges; then 2 and 1 nonzeros meet 3 and 2.
    # Layer 1: 3 + 0 + 1 = 4. Layer 2: rows [1, 2] and [0, 1] meet 3 and 2 edges: 5.
    rows = np.array([[1, 1], [0, 0], [0, 1]], np.float32)
    result = infer(net, rows, kernel=kernel, space="serial")
    if kernel == "spgemm":
        computed_edges = 4 + 5
    assert result.record.edges_multiplied == computed_edges
    assert result.record.edges == 6


def test_tiles_of_zeros_are_not_computed() -> None:
    net = network(layers_of([[1]], [[1]]))
    rows = np.zeros((640, 1), np.float32)
    rows[320:330] = 1
    result = infer(net, rows, kernel="fused", space="serial")
    assert result.categories.tolist() == list(range(321, 331))
    assert result.record.edges_multiplied == 2 * 10


def test_zero_rows_zero_layers_and_zero_inputs(kernel: Any, space: Any) -> None:
    net = network(layers_of([[1, 1]]))
    for rows in (np.zeros((0, 1)), np.zeros((70, 1))):
        result = infer(net, rows, kernel=kernel, space=space, values=True, verify="full")
        assert result.categories.tolist() == []
        assert result.values is not None
        assert result.values.shape == (0, 2)
        assert result.record.verified.passed
    empty = network([], inputs=3)
    rows = np.array([[0, 0, 0], [0, -1e300, 0]])
    result = infer(
        empty,
        rows,
        kernel=kernel,
        space=space,
        dtype="float64",
        values=True,
        verify="full",
    )
    assert result.categories.tolist() == [2]
    assert result.record.dtype == "float64"
    assert result.values is not None
    assert result.values.toarray().tolist() == [[0, -1e300, 0]]
    assert result.record.verified.passed


def test_after_a_layer_without_edges_all_rows_are_zero(kernel: Any, space: Any) -> None:
    net = network(layers_of([[0, 0]], bias=1.0) + layers_of([[1], [1]], bias=1.0))
    result = infer(net, Inputs.from_any(np.ones((3, 1))), kernel=kernel, space=space)
    assert result.categories.tolist() == []
