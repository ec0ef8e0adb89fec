"""Chains of linear, affine and clamp steps become layers with the same outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kkspdnn as kk
from kkspdnn.errors import InputError
from kkspdnn.io.layer_chain import Affine, Clamp, Linear, Step, batch_norm, chain_network


def linear(
    inputs: int, outputs: int, seed: int = 0, dtype: Any = np.float32, label: str = "linear"
) -> Linear:
    random = np.random.default_rng(seed)
    weights = random.standard_normal((inputs, outputs)).astype(dtype)
    return Linear(weights, random.standard_normal(outputs).astype(dtype), label)


def affine(neurons: int, seed: int = 0) -> Affine:
    random = np.random.default_rng(seed)
    return Affine(random.uniform(-2, 2, neurons), random.uniform(-1, 1, neurons), "affine")


def compute(steps: list[Step], rows: Any) -> Any:
    """The outputs of the steps in float64."""
    for step in steps:
        if isinstance(step, Linear):
            rows = rows @ step.weights.astype(np.float64)
            rows = rows if step.bias is None else rows + step.bias
        elif isinstance(step, Affine):
            rows = rows * step.scale + step.shift
        else:
            lower = -np.inf if step.lower is None else step.lower
            rows = np.clip(rows, lower, np.inf if step.upper is None else step.upper)
    return rows


RELU = Clamp(0.0, None, "relu")


@given(
    kinds=st.lists(st.sampled_from(["linear", "affine", "number", "relu"]), max_size=8),
    limit=st.sampled_from([None, 1.5]),
    seed=st.integers(0, 1000),
)
def test_the_network_computes_the_steps(kinds: list[str], limit: float | None, seed: int) -> None:
    steps: list[Step] = [affine(5, seed)] if seed % 2 else []
    steps.append(linear(5, 4, seed, np.float64))
    for number, kind in enumerate(kinds):
        if kind == "linear":
            steps.append(linear(4, 4, seed + number, np.float64))
        elif kind == "affine":
            steps.append(affine(4, seed + number))
        elif kind == "number":
            steps.append(Affine(np.array(0.5), np.array(0.25), "number"))
        else:
            steps.append(Clamp(0.0, limit, "relu"))
    net = chain_network(steps, name="net")
    assert net.name == "net"
    assert net.dtype == np.float64
    rows = np.random.default_rng(seed).standard_normal((6, 5))
    expected = compute(steps, rows)
    outputs = kk.reference(net, rows).toarray()
    assert outputs.shape == expected.shape
    assert np.abs(outputs - expected).max() <= 1e-12 * max(1, np.abs(expected).max())


def test_layers_that_are_not_folded_keep_their_bits() -> None:
    step = linear(6, 4)
    (layer,) = chain_network([step], name="net").layers
    assert (layer.weights().toarray() == step.weights).all()
    assert (layer.bias == step.bias).all()
    assert layer.activation == "linear"
    assert layer.bias_to == "all"


def test_folded_weights_are_rounded_once() -> None:
    first, second, scaled = linear(6, 4), linear(4, 3, 1), affine(4)
    net = chain_network([first, scaled, affine(4, 1), RELU, scaled, second], name="net")
    both = affine(4, 1).scale * scaled.scale
    exact = first.weights.astype(np.float64) * scaled.scale * affine(4, 1).scale
    assert net.dtype == np.float32
    assert np.abs(exact - first.weights * both).max() < 1e-14
    assert (net.layers[0].weights().toarray() == exact.astype(np.float32)).all()
    exact = second.weights.astype(np.float64) * scaled.scale[:, None]
    assert (net.layers[1].weights().toarray() == exact.astype(np.float32)).all()
    shift = second.bias + scaled.shift @ second.weights.astype(np.float64)
    assert (net.layers[1].bias == shift.astype(np.float32)).all()


@pytest.mark.parametrize(
    ("steps", "edges"),
    [
        ([linear(6, 4), affine(4)], [24]),
        ([affine(6), linear(6, 4)], [24]),
        ([linear(6, 4), RELU, affine(4)], [24, 4]),
        ([linear(6, 4), RELU, affine(4), RELU, linear(4, 2)], [24, 4, 8]),
        ([affine(6), RELU, linear(6, 4)], [6, 24]),
    ],
)
def test_an_affine_step_between_activations_is_a_layer(steps: list[Step], edges: list[int]) -> None:
    assert [layer.edges for layer in chain_network(steps, name="net").layers] == edges


@pytest.mark.parametrize(
    ("clamps", "ymax"),
    [
        ([(0.0, 6.0)], 6.0),
        ([(0.0, None), (None, 6.0)], 6.0),
        ([(0.0, 6.0), (-1.0, None)], 6.0),
        ([(0.0, 6.0), (0.0, 8.0)], 6.0),
        ([(0.0, None)], None),
    ],
)
def test_clamps_of_one_layer_are_combined(clamps: list[Any], ymax: float | None) -> None:
    steps = [linear(6, 4), *(Clamp(*limits, "clamp") for limits in clamps)]
    net = chain_network(steps, name="net")
    assert net.ymax == ymax
    assert net.layers[0].activation == "relu"


def test_a_weight_that_underflows_is_dropped() -> None:
    tiny = Affine(np.full(4, 1e-50), np.zeros(4), "affine")
    assert chain_network([linear(6, 4), tiny], name="net").edges == 0


REFUSED: list[tuple[list[Step], str]] = [
    ([], "the model has no Linear layer"),
    ([affine(4)], "the model has no Linear layer"),
    ([RELU, linear(6, 4)], "relu: an activation before the first Linear layer"),
    (
        [Affine(np.array(2.0), np.array(0.0), "number"), RELU, linear(6, 4)],
        "number: an activation before the first Linear layer",
    ),
    ([linear(6, 4), Clamp(-1.0, 1.0, "tanh")], "tanh: clamps to a lower limit of -1.0"),
    ([linear(6, 4), Clamp(None, 6.0, "clip")], "clip: clamps to a lower limit of None"),
    ([linear(6, 4), Clamp(0.0, 0.0, "clip")], "clip: clamps to an upper limit of 0.0"),
    ([linear(6, 4), Clamp(0.0, np.nan, "clip")], "clip: clamps to an upper limit of nan"),
    (
        [linear(6, 4), RELU, linear(4, 4), Clamp(0.0, 6.0, "relu6")],
        "relu6: an activation with the upper limit 6, but relu has no upper limit",
    ),
    ([linear(6, 4), affine(3)], "affine: has 3 numbers for 4 neurons"),
    ([affine(3), linear(6, 4)], "affine: has 3 numbers for 6 neurons"),
    ([linear(6, 4), RELU, affine(3)], "affine: has 3 numbers for 4 neurons"),
    ([affine(3), affine(4), linear(6, 4)], "affine: has 4 numbers for 3 neurons"),
    ([linear(6, 4), linear(3, 4)], "layer 1 has 4 outputs but layer 2 has 3 inputs"),
    ([linear(6, 4), linear(4, 4, 0, np.float64)], "layer 1 is float32 but layer 2 is float64"),
    (
        [linear(6, 4), Affine(np.full(4, 1e60), np.zeros(4), "affine")],
        "linear: weight: .* is too large for float32",
    ),
    (
        [linear(6, 4, 0, np.float64), *[Affine(np.full(4, 1e200), np.zeros(4), "affine")] * 2],
        "linear: weights: row 0, column 0 is -?inf",
    ),
]


@pytest.mark.parametrize(("steps", "message"), REFUSED, ids=[each[1] for each in REFUSED])
def test_other_chains_are_refused(steps: list[Step], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}") as caught:
        chain_network(steps, name="net")
    assert "\n" not in str(caught.value)


def test_batch_normalization() -> None:
    random = np.random.default_rng(0)
    mean, weight, bias = random.standard_normal((3, 5)).astype(np.float32)
    variance = random.random(5).astype(np.float32)
    rows = random.standard_normal((3, 5))
    step = batch_norm(mean, variance, 0.125, weight, bias, "norm")
    expected = (rows - mean) / np.sqrt(variance + 0.125) * weight + bias
    assert np.abs(rows * step.scale + step.shift - expected).max() < 1e-6
    plain = batch_norm(mean, variance, 0.125, None, None, "norm")
    expected = (rows - mean) / np.sqrt(variance + 0.125)
    assert np.abs(rows * plain.scale + plain.shift - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("variance", "weight", "message"),
    [
        ([1, -1], None, "norm: neuron 1 has mean 0.0 and variance -1.0, which give no finite"),
        ([0, 1], None, "norm: neuron 0 has mean 0.0 and variance 0.0"),
        ([1, np.nan], None, "norm: neuron 1 has mean 0.0 and variance nan"),
        ([1, 1], [np.inf, 1], "norm: neuron 0"),
        ([1, 1, 1], None, r"norm: variance of shape \(3,\) for a mean of shape \(2,\)"),
        ([1, 1], [1, 1, 1], r"norm: weight of shape \(3,\)"),
    ],
)
def test_batch_normalizations_without_a_finite_scale(
    variance: Any, weight: Any, message: str
) -> None:
    weights = None if weight is None else np.array(weight, np.float64)
    with pytest.raises(InputError, match=message):
        batch_norm(np.zeros(2), np.array(variance, np.float64), 0.0, weights, None, "norm")
