"""Packed layers of the fused engine: permutations of neurons, equal weights, blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.choices import GROUP_OUTPUTS
from kkspdnn.engines.fused.layer import FusedLayer, group_layers
from kkspdnn.engines.fused.output_groups import GROUP_SIZE
from kkspdnn.engines.fused.packing import Packing, pack_layer
from kkspdnn.model.layers import Layer
from kkspdnn.model.radixnet import radixnet
from kkspdnn.workunits import fused, pairs


def dense(layer: FusedLayer) -> Any:
    """W of a packed layer, with the neurons in the order of the network."""
    w = layer.weights
    if layer.workunit is pairs.fused_pairs:
        return dense_pairs(layer)
    weights = np.zeros((layer.inputs, layer.outputs), w["bias"].dtype)
    for n in range(layer.units):
        if "start" in w:
            row = slice(w["start"][n], w["start"][n] + w["size"][n])
            index, value = w["index"][row], w["value"][row]
        else:
            index = w["index"][n][: layer.fan_in]
            value = w["value"][n][: layer.fan_in] if "value" in w else layer.weight
        if "groups" in w:
            outputs = w["first_output"][n] + np.arange(GROUP_SIZE)
            # Groups overlap only if they compute the same.
            earlier = weights[index][:, outputs]
            assert ((earlier == 0) | (earlier == value)).all()
            weights[index[:, None], outputs] = value
        else:
            weights[index, n] = value
    return weights[layer.input_permutation][:, layer.output_permutation]


def dense_pairs(layer: FusedLayer) -> Any:
    """W of a layer in pairs, likewise."""
    w = layer.weights
    weights = np.zeros((layer.inputs, layer.outputs), w["bias"].dtype)
    for (first, second), start, size in zip(w["neuron"], w["start"], w["size"], strict=True):
        for column, n in ((0, first), (1, second))[: 1 + int(first != second)]:
            index, value = (w[name][start : start + size, column] for name in ("index", "value"))
            exists = value != 0
            assert (weights[index[exists], n] == 0).all()
            weights[index[exists], n] = value[exists]
    return weights[layer.input_permutation][:, layer.output_permutation]


PACKINGS = [
    Packing(row_edges, groups, pair_outputs=row_edges == 1)
    for row_edges in (1, 8)
    for groups in GROUP_OUTPUTS
]


@given(
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.sampled_from([None, 0.5, 0.3]),
    st.integers(1, 20),
    st.sampled_from(PACKINGS),
)
def test_a_packed_layer_has_the_same_weights_and_biases(
    seed: int, fixed: bool, weight: float | None, equal: int, packing: Packing
) -> None:
    """Each input row of W is the same for `equal` neighbouring outputs, except for the weights."""
    rng = np.random.default_rng(seed)
    widths = rng.integers(1, 60, 4)
    packed: list[FusedLayer] = []
    for inputs, outputs in zip(widths[:-1], widths[1:], strict=True):
        w = rng.standard_normal((inputs, outputs)).astype(np.float32)
        if weight is not None:
            w[:] = weight
        if fixed:
            w[np.argsort(rng.random(w.shape), axis=0) >= min(inputs, 3)] = 0
        else:
            w[rng.random(w.shape) < 0.7] = 0
        w *= (w != 0)[:, np.arange(outputs) // equal * equal]
        bias = rng.standard_normal(outputs).astype(np.float32)
        layer = Layer.from_sparse(w, bias)
        last = packed[-1] if packed else None
        packed.append(pack_layer(layer, last, 32.0, packing))
        assert (dense(packed[-1]) == w).all()
        assert sorted(packed[-1].input_permutation) == list(range(inputs))
        assert last is None or packed[-1].input_permutation is last.output_permutation
        assert (packed[-1].weights["bias"][packed[-1].output_permutation] == bias).all()


def test_neurons_with_the_same_inputs_are_neighbours() -> None:
    net = radixnet(1024, 8)
    layer: FusedLayer | None = None
    for each in net.layers:
        layer = pack_layer(each, layer, 32.0)
        blocks = layer.weights["index"].reshape(64, 16, 32)
        assert (blocks == blocks[:, :1]).all()


def test_the_inputs_of_a_first_layer_use_all_sets_of_the_cache() -> None:
    """In the order of the network all 32 are 64 apart. A set of the L1 cache has 8 lines."""
    layer = radixnet(1024, 1).layers[0]
    sets = pack_layer(layer, None, 32.0).weights["index"] % 64
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
def test_inputs_are_summed_first_if_all_weights_are_one_power_of_two(
    weight: float | None, workunit: Any
) -> None:
    rng = np.random.default_rng(0)
    index = np.sort(np.argsort(rng.random((20, 30)), axis=1)[:, :4], axis=1)
    value = rng.standard_normal((20, 4)) if weight is None else weight
    whole = Layer.from_sparse(np.ones((30, 30)), -0.1)
    layer = pack_layer(
        Layer.from_fan_in(index, value, -0.1, 30), pack_layer(whole, None, 32.0), 32.0
    )
    assert layer.workunit is workunit
    assert ("value" in layer.weights) == (workunit is fused.fused_fan_in)


@pytest.mark.parametrize(("bias", "ymax"), [(0.0, 32.0), (2.0**-70, 32.0), (-1.0, 2.0**-70)])
def test_inputs_that_may_be_subnormal_are_multiplied_one_by_one(bias: float, ymax: float) -> None:
    """Their products may underflow although that of their sum does not."""
    weights = np.full((8, 8), 2.0**-10, np.float32)
    first = pack_layer(Layer.from_sparse(weights, bias), None, ymax)
    assert pack_layer(Layer.from_sparse(weights, 0.0), first, ymax).workunit is fused.fused_fan_in
    # The input rows may be subnormal as well.
    assert first.workunit is fused.fused_fan_in


def test_layers_of_different_rules_are_not_grouped() -> None:
    plain = Layer.from_sparse(np.ones((4, 4), np.float32), -1.0)
    linear = replace(plain, activation="linear")
    biased = replace(plain, bias_to="all")
    layers = [pack_layer(each, None, 32.0) for each in (plain, plain, linear, biased, plain)]
    assert [layer.group_remaining for layer in group_layers(layers, 16)] == [2, 1, 1, 1, 1]


def test_layers_of_the_same_form_are_grouped() -> None:
    net = radixnet(1024, 20)
    packed: list[FusedLayer] = []
    for each in net.layers:
        packed.append(pack_layer(each, packed[-1] if packed else None, 32.0))
    grouped = group_layers(packed, 16)
    assert [layer.group_index for layer in grouped] == [0, *range(16), *range(3)]
    assert [layer.group_remaining for layer in grouped] == [1, *range(16, 0, -1), *range(3, 0, -1)]
    for one, member in zip(packed, grouped, strict=True):
        rows = slice(member.group_index * 1024, (member.group_index + 1) * 1024)
        assert (member.weights["index"][rows] == one.weights["index"]).all()
        assert (member.weights["bias"][rows] == one.weights["bias"]).all()
