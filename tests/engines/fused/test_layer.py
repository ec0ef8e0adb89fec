"""Layers as the fused workunits take them: the order of the neurons, equal weights, stacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.engines.fused.layer import FusedLayer, prepared, stacked
from kkspdnn.model.layers import Layer
from kkspdnn.model.radixnet import radixnet
from kkspdnn.workunits import fused


def dense(layer: FusedLayer) -> Any:
    """W of a prepared layer, with the neurons back in the network's order."""
    w = layer.weights
    if "start" in w:
        counts = np.diff(w["start"])
    else:
        counts = np.full(layer.outputs, layer.fan_in)
    value = w["value"].ravel() if "value" in w else np.full(int(counts.sum()), layer.weight)
    found = np.zeros((layer.inputs, layer.outputs), value.dtype)
    found[w["index"].ravel(), np.repeat(np.arange(layer.outputs), counts)] = value
    return found[layer.sources][:, layer.places]


@given(st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([None, 0.5, 0.3]))
def test_neurons_in_another_order_are_the_same_layer(
    seed: int, fixed: bool, weight: float | None
) -> None:
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 40, 4)
    made: list[FusedLayer] = []
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        w = rng.standard_normal((inputs, outputs)).astype(np.float32)
        if weight is not None:
            w[:] = weight
        if fixed:
            w[np.argsort(rng.random(w.shape), axis=0) >= min(inputs, 3)] = 0
        else:
            w[rng.random(w.shape) < 0.7] = 0
        bias = rng.standard_normal(outputs).astype(np.float32)
        layer = Layer.from_sparse(w, bias)
        last = made[-1] if made else None
        made.append(prepared(layer, last, 32.0))
        assert (dense(made[-1]) == w).all()
        assert sorted(made[-1].sources) == list(range(inputs))
        assert last is None or made[-1].sources is last.places
        assert (made[-1].weights["bias"][made[-1].places] == bias).all()


def test_neurons_with_the_same_inputs_are_neighbours() -> None:
    net = radixnet(1024, 8)
    layer: FusedLayer | None = None
    for each in net.layers:
        layer = prepared(each, layer, 32.0)
        groups = layer.weights["index"].reshape(64, 16, 32)
        assert (groups == groups[:, :1]).all()


def test_inputs_of_a_first_layer_fall_into_all_sets_of_the_cache() -> None:
    """In the network's order all 32 are 64 apart: a set of 64-byte lines in L1 has 8 places."""
    layer = radixnet(1024, 1).layers[0]
    sets = prepared(layer, None, 32.0).weights["index"] % 64
    assert max(np.bincount(row).max() for row in sets) <= 4
    assert np.bincount(layer.index[: layer.fan_in] % 64).max() == 16


@pytest.mark.parametrize(
    ("weight", "workunit"),
    [
        (0.0625, fused.fused_equal),
        (-2.0, fused.fused_equal),
        (0.3, fused.fused_fan_in),
        (2.0**-40, fused.fused_fan_in),
        (None, fused.fused_fan_in),
    ],
)
def test_only_equal_powers_of_two_are_summed_first(weight: float | None, workunit: Any) -> None:
    rng = np.random.default_rng(0)
    index = np.sort(np.argsort(rng.random((20, 30)), axis=1)[:, :4], axis=1)
    value = rng.standard_normal((20, 4)) if weight is None else weight
    whole = Layer.from_sparse(np.ones((30, 30)), -0.1)
    layer = prepared(Layer.from_fan_in(index, value, -0.1, 30), prepared(whole, None, 32.0), 32.0)
    assert layer.workunit is workunit
    assert ("value" in layer.weights) == (workunit is fused.fused_fan_in)


@pytest.mark.parametrize(("bias", "ymax"), [(0.0, 32.0), (2.0**-70, 32.0), (-1.0, 2.0**-70)])
def test_inputs_that_may_be_tiny_are_multiplied_one_by_one(bias: float, ymax: float) -> None:
    """Their products may underflow where that of the sum does not."""
    weights = np.full((8, 8), 2.0**-10, np.float32)
    before = prepared(Layer.from_sparse(weights, bias), None, ymax)
    assert prepared(Layer.from_sparse(weights, 0.0), before, ymax).workunit is fused.fused_fan_in
    # Nor is anything known of the input rows.
    assert before.workunit is fused.fused_fan_in


def test_a_layer_of_another_rule_is_not_in_the_same_launch() -> None:
    plain = Layer.from_sparse(np.ones((4, 4), np.float32), -1.0)
    linear = replace(plain, activation="linear")
    everywhere = replace(plain, bias_to="all")
    layers = [prepared(each, None, 32.0) for each in (plain, plain, linear, everywhere, plain)]
    assert [layer.following for layer in stacked(layers, 16)] == [2, 1, 1, 1, 1]


def test_layers_of_one_form_lie_together() -> None:
    net = radixnet(1024, 20)
    alone: list[FusedLayer] = []
    for each in net.layers:
        alone.append(prepared(each, alone[-1] if alone else None, 32.0))
    together = stacked(alone, 16)
    assert [layer.position for layer in together] == [0, *range(16), *range(3)]
    assert [layer.following for layer in together] == [1, *range(16, 0, -1), *range(3, 0, -1)]
    for one, many in zip(alone, together, strict=True):
        rows = slice(many.position * 1024, (many.position + 1) * 1024)
        assert (many.weights["index"][rows] == one.weights["index"]).all()
        assert (many.weights["bias"][rows] == one.weights["bias"]).all()
