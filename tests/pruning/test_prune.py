"""Pruning of networks: layers, schedules, retraining, and invalid arguments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import kkspdnn as kk
from kkspdnn.choices import METHODS
from kkspdnn.errors import InputError
from kkspdnn.pruning.masks import balancing_permutation


def dense(*widths: int, seed: int = 0) -> kk.Network:
    rng = np.random.default_rng(seed)
    layers = [
        kk.Layer.from_sparse(
            rng.standard_normal((inputs, outputs)).astype(np.float32),
            rng.standard_normal(outputs),
            activation="linear" if number == len(widths) - 2 else "relu",
            bias_to="all",
        )
        for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False))
    ]
    return kk.network(layers, None)


@pytest.mark.parametrize("method", METHODS)
def test_kept_weights_are_not_changed(method: Any) -> None:
    net = dense(64, 48, 10)
    pruned = kk.prune(net, method=method, sparsity=0.75, blocks=8, block_shape=(4, 4))
    for before, after in zip(net.layers, pruned.layers, strict=True):
        weights, pruned_weights = before.weights().toarray(), after.weights().toarray()
        kept = pruned_weights != 0
        assert (pruned_weights[kept] == weights[kept]).all()
        assert (before.bias == after.bias).all()
        assert (before.activation, before.bias_to) == (after.activation, after.bias_to)
        assert abs(kept.mean() - 0.25) < 0.1
        assert (after.fan_in is not None) == (method == "balanced")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [1, 3, 64, 200])
def test_a_pruned_network_computes_the_products_of_its_matrices(method: Any, rows: int) -> None:
    pruned = kk.prune(dense(64, 48, 10), method=method, sparsity=0.8, blocks=8)
    x = np.random.default_rng(1).standard_normal((rows, 64)).astype(np.float32)
    y = x.astype(np.float64)
    for layer in pruned.layers:
        y = y @ layer.weights().toarray().astype(np.float64) + layer.bias
        y = y if layer.activation == "linear" else np.maximum(y, 0)
    result = kk.infer(pruned, x, values=True, verify="full")
    assert result.record.verified.passed
    assert np.abs(result.outputs - y).max() < 1e-4 * np.abs(y).max()


def test_outputs_need_values() -> None:
    result = kk.infer(dense(4, 2), np.ones((1, 4)))
    with pytest.raises(InputError, match="values=True"):
        _ = result.outputs


def test_a_sparsity_for_each_layer() -> None:
    net = dense(32, 32, 4)
    pruned = kk.prune(net, sparsity=(0.5, 0.0), blocks=4)
    assert pruned.layers[0].edges == 512
    assert pruned.layers[1] is net.layers[1]


def test_each_step_prunes_more_and_retrains() -> None:
    net, edges = dense(64, 64, 8), list[int]()

    def retrain(pruned: kk.Network) -> kk.Network:
        edges.append(pruned.layers[0].edges)
        layers = [replace(layer, value=layer.value * np.float32(2)) for layer in pruned.layers]
        return replace(pruned, layers=layers)

    pruned = kk.prune(net, sparsity=0.875, blocks=8, steps=2, retrain=retrain)
    # 1 - (1 - 1/2)^3 = 7/8 of the sparsity is 0.766: 15 of 64 weights, so 2 in each of 8 blocks.
    assert edges == [64 * 16, 64 * 8]
    weights = pruned.layers[0].weights().toarray()
    kept = weights != 0
    assert (weights[kept] == 4 * net.layers[0].weights().toarray()[kept]).all()


@pytest.mark.parametrize("permute", [False, True])
@pytest.mark.parametrize("steps", [2, 3, 4])
@pytest.mark.parametrize("sizes", [(784, 256, 10), (256, 128, 10), (64, 32, 10)])
def test_steps_have_the_blocks_of_the_last_one(
    sizes: tuple[int, ...], steps: int, permute: bool
) -> None:
    """A neuron may keep fewer weights than there are blocks, in the last steps only."""
    net = dense(*sizes)
    pruned = kk.prune(net, steps=steps, permute=permute, retrain=lambda made: made)
    at_once = kk.prune(net, permute=permute)
    for layer, expected in zip(pruned.layers, at_once.layers, strict=True):
        assert layer.fan_in == expected.fan_in


def test_permuted_blocks_are_those_of_the_first_step() -> None:
    """Any other blocks would have too few weights in later steps."""
    net = dense(64, 48, 8)
    w = net.layers[0].weights().toarray()
    w[:32] *= np.float32(1e-3)
    net = replace(net, layers=(kk.Layer.from_sparse(w, 0.0), *net.layers[1:]))
    options: dict[str, Any] = {"sparsity": (0.875, 0.0), "blocks": 4, "steps": 3}
    pruned = kk.prune(net, permute=True, retrain=lambda made: made, **options).layers[0]
    kept = pruned.weights().toarray() != 0
    assert pruned.fan_in == 8
    for rows in np.array_split(balancing_permutation(w, 4), 4):
        assert (kept[rows].sum(axis=0) == 2).all()
    # Half of the blocks of consecutive inputs have small weights only.
    consecutive = kk.prune(net, **options).layers[0]
    assert np.abs(pruned.value).sum() > 1.5 * np.abs(consecutive.value).sum()


def drops_a_weight(pruned: kk.Network) -> kk.Network:
    w = pruned.layers[0].weights().toarray()
    w[tuple(np.argwhere(w)[0])] = 0
    return replace(pruned, layers=(kk.Layer.from_sparse(w, 0.0), *pruned.layers[1:]))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"method": "magic"}, "method 'magic' is unknown: choose one of balanced"),
    ({"sparsity": 1.0}, "sparsity 1.0: give the fraction of weights to remove, 0 to below 1"),
    ({"sparsity": -0.1}, "sparsity -0.1"),
    ({"sparsity": float("nan")}, "sparsity nan"),
    ({"sparsity": (0.5,)}, "1 sparsities for 2 layers"),
    ({"sparsity": "0.9"}, "sparsity '0.9': give one number, or one for each layer"),
    ({"blocks": 0}, "blocks=0: give a whole number from 1"),
    ({"blocks": 2.5}, "blocks=2.5: give a whole number from 1"),
    ({"block_shape": (0, 8)}, "block_shape=0: give a whole number from 1"),
    ({"block_shape": 8}, "block_shape=8: give the inputs and outputs of a block"),
    ({"steps": 0}, "steps=0: give a whole number from 1"),
    ({"retrain": 3}, "retrain=3: give a function of the pruned network"),
    ({"permute": 1}, "permute=1: give True or False"),
    ({"permute": True, "method": "block"}, "permute is for balanced blocks: leave it out with"),
    ({"retrain": drops_a_weight}, "layer 1: retrain returned other edges: 159 of 32 x 32"),
    ({"retrain": lambda net: replace(net, layers=net.layers[:1])}, "retrain returned 1 layers"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[each[1] for each in REFUSED])
def test_invalid_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kk.prune(dense(32, 32, 4), **{"blocks": 5, "sparsity": 0.85} | options)


def test_a_block_of_zeros_is_refused_with_its_layer() -> None:
    net = dense(32, 32, 4)
    w = net.layers[1].weights().toarray()
    w[8:16, 3] = 0
    net = replace(net, layers=(net.layers[0], kk.Layer.from_sparse(w, 0.0)))
    with pytest.raises(
        InputError, match="layer 2: output 3, block 2 of 4: 0 of 8 weights are not 0"
    ):
        kk.prune(net, sparsity=0.5, blocks=4)
