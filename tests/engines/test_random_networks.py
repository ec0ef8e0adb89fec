"""Both kernels on random networks, against the reference and a dense model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kkspdnn.errors import InputError
from kkspdnn.inference import Result, infer
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import ACTIVATIONS, BIAS_TO, Layer
from kkspdnn.model.network import Network, network
from kkspdnn.serial_reference import categories, reference
from kkspdnn.verify import error_bound

BACK_ENDS = [(kernel, space) for kernel in ("fused", "spgemm") for space in ("serial", "openmp")]


@dataclass(frozen=True)
class Case:
    """A network and its inputs, as dense float64 arrays and as objects of kkspdnn."""

    weights: list[Any]
    biases: list[Any]
    rows: Any
    ymax: float | None
    network: Network
    inputs: Inputs


def choose(rng: Any, shape: tuple[int, ...], density: float, exact: bool) -> Any:
    if exact:
        values = rng.choice([-1.0, -0.5, 0.5, 1.0], shape)
    else:
        values = rng.standard_normal(shape)
    return values * (rng.random(shape) < density)


@st.composite
def cases(draw: Any, dtype: str, exact: bool) -> Case:
    """Different widths, empty rows and columns, mixed signs, biases of both signs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depth = draw(st.integers(0, 5))
    widths = draw(st.lists(st.sampled_from([1, 2, 7, 16, 33, 70]), min_size=6, max_size=6))
    density = draw(st.sampled_from([0.03, 0.15, 0.5]))
    fixed = draw(st.booleans())
    weights, biases = [], []
    for inputs, outputs in zip(widths[:depth], widths[1:], strict=False):
        w = choose(rng, (inputs, outputs), density, exact)
        if fixed:  # the same fan-in for every neuron: another workunit
            fan_in = int(rng.integers(1, min(inputs, 5) + 1))
            w = choose(rng, (inputs, outputs), 1.0, exact)
            if draw(st.booleans()):  # equal weights: a third one
                w[:] = choose(rng, (1, 1), 1.0, exact)
            w[np.argsort(rng.random(w.shape), axis=0) >= fan_in] = 0
        else:
            w[rng.random(inputs) < 0.2] = 0
            w[:, rng.random(outputs) < 0.2] = 0
        weights.append(w)
        biases.append(choose(rng, (outputs,), 0.8, exact) / 2)
    kind = draw(st.sampled_from(["bits", "dense", "sparse", "negative", "zero"]))
    count = draw(st.sampled_from([0, 1, 3, 64, 65, 150]))
    rows = rng.random((count, widths[0])) < (0.05 if kind == "sparse" else 0.6)
    rows = rows * 1.0
    if kind in ("dense", "negative"):
        rows *= rng.integers(1, 5, rows.shape) / 2 if exact else rng.random(rows.shape)
    if kind == "negative":
        rows *= rng.choice([-1, 1], rows.shape)
    if kind == "zero":
        rows[:] = 0
    rows[rng.random(count) < 0.2] = 0
    ymax = draw(st.sampled_from([None, 1.0, 4.0]))
    # The model uses the numbers after rounding to the dtype.
    weights = [w.astype(dtype).astype(np.float64) for w in weights]
    biases = [b.astype(dtype).astype(np.float64) for b in biases]
    rows = rows.astype(dtype).astype(np.float64)
    if kind == "bits":
        bits = np.packbits(rows.astype(np.uint8), axis=1)
        given_inputs = Inputs(count, widths[0], "test", bits=bits)
    else:
        form = draw(st.sampled_from([np.asarray, sp.csr_array]))
        given_inputs = Inputs.from_any(form(rows.astype(dtype)))
    layers = [
        Layer.from_sparse(
            sp.csr_array(w.astype(dtype)),
            b.astype(dtype),
            activation=draw(st.sampled_from(ACTIVATIONS)),
            bias_to=draw(st.sampled_from(BIAS_TO)),
        )
        for w, b in zip(weights, biases, strict=True)
    ]
    net = network(layers, ymax, inputs=widths[0])
    return Case(weights, biases, rows, ymax, net, given_inputs)


def model(case: Case) -> Any:
    """Compute the layers with dense float64 arrays."""
    y = case.rows
    for number, (w, b) in enumerate(zip(case.weights, case.biases, strict=True), start=1):
        layer = case.network.layers[number - 1]
        # Partial sums are multiples of 2^-(number + 1), and exact if they have 24 bits.
        assume((np.abs(y) @ np.abs(w)).max(initial=0) * 2 ** (number + 2) < 2**24)
        z = y @ w
        gets_bias = (z != 0) | (layer.bias_to == "all")
        z[gets_bias] += np.broadcast_to(b, z.shape)[gets_bias]
        y = z if layer.activation == "linear" else np.maximum(z, 0)
        if case.ymax is not None and layer.activation == "relu":
            y = np.minimum(y, case.ymax)
    return y


def refused(kernel: str, case: Case, space: str) -> bool:
    """Return whether SpGEMM does not support the network, and check its error."""
    if kernel == "fused" or all(layer.keeps_zeros for layer in case.network.layers):
        return False
    with pytest.raises(InputError, match=r"layer \d: its bias makes activations of zeros"):
        infer(case.network, case.inputs, space=space, kernel="spgemm")
    return True


def dense(result: Result, rows: int) -> Any:
    assert result.values is not None
    assert result.values.shape[0] == result.categories.size
    full = np.zeros((rows, result.values.shape[1]))
    full[result.categories - 1] = result.values.toarray()
    return full


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=50)
@given(data=st.data())
def test_exact_networks_are_exact(dtype: str, data: Any) -> None:
    case = data.draw(cases(dtype, exact=True))
    expected = model(case)
    plain = reference(case.network, case.inputs, dtype=dtype)
    assert (plain.toarray() == expected).all()
    nonzero = np.flatnonzero(expected.any(axis=1)) + 1
    for kernel, space in BACK_ENDS:
        if refused(kernel, case, space):
            continue
        result = infer(
            case.network, case.inputs, space=space, kernel=kernel, dtype=dtype, values=True
        )
        assert result.categories.tolist() == nonzero.tolist()
        assert result.categories.dtype == np.int64
        assert result.values is not None
        assert result.values.dtype == dtype
        assert (dense(result, case.inputs.rows) == expected).all()
        assert result.record.categories == nonzero.size
        assert result.record.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@settings(max_examples=40)
@given(data=st.data())
def test_any_network_is_within_the_error_bound(dtype: str, data: Any) -> None:
    case = data.draw(cases(dtype, exact=False))
    expected = reference(case.network, case.inputs, dtype=dtype)
    bound = error_bound(case.network, float(np.abs(case.rows).max(initial=0)))
    for kernel, space in BACK_ENDS:
        if refused(kernel, case, space):
            continue
        result = infer(
            case.network,
            case.inputs,
            space=space,
            kernel=kernel,
            dtype=dtype,
            values=True,
            verify="full",
        )
        difference = np.abs(dense(result, case.inputs.rows) - expected.toarray())
        assert difference.max(initial=0) <= bound
        assert result.categories.tolist() == categories(expected).tolist()
        assert result.record.verified.passed


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight", [0.1, 1 / 3, 0.7])
def test_equal_activations_with_opposed_weights_cancel_as_in_the_reference(
    kernel: str, space: str, dtype: str, weight: float
) -> None:
    """Only a sum of exactly 0 gets no bias, so products must be rounded as in the reference."""
    weights = np.array([[weight], [-weight]], dtype)
    net = network([Layer.from_sparse(weights, 5.0)])
    rows = np.full((3, 2), 0.3, dtype)
    result = infer(net, rows, kernel=kernel, space=space, values=True, verify="full")
    assert result.categories.tolist() == []
    assert result.record.verified.passed


@pytest.mark.parametrize("depth", [12, 13, 14, 15, 16, 24])
def test_activations_that_fade_away_underflow_as_in_the_reference(depth: int) -> None:
    """Equal weights, no bias: each layer divides values by 512, down to the smallest subnormal."""
    layer = Layer.from_sparse(np.full((4, 4), 2.0**-11, np.float32), 0.0)
    net = network([layer] * depth, None)
    rows = np.array([[1, 0, 0, 0], [1, 0.3, 0, 0], [1e-7, 0, 0, 1e-9], [3, 3, 3, 3]], np.float32)
    expected = reference(net, Inputs.from_any(rows), dtype=net.dtype)
    found = infer(net, rows, values=True)
    assert found.categories.tolist() == categories(expected).tolist()
    assert found.values is not None
    assert (found.values.toarray() == expected.toarray()[found.categories - 1]).all()
