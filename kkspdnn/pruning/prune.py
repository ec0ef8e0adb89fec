"""Pruning a network, at once or in steps with retraining between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from kkspdnn.choices import METHODS, Method
from kkspdnn.errors import InputError, check_choice, short_repr
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.matrices import Floats
from kkspdnn.model.network import Layer, Network, check_network
from kkspdnn.pruning.masks import (
    Mask,
    Order,
    balanced_mask,
    block_mask,
    dealt_order,
    unstructured_mask,
)

Retrain = Callable[[Network], Network]
"""Takes a pruned network and gives it back with other values on the same edges."""


@ieee_arithmetic()
def prune(
    network: Network,
    *,
    method: Method = "balanced",
    sparsity: float | Sequence[float] = 0.9,
    blocks: int = 32,
    permute: bool = False,
    block_shape: tuple[int, int] = (8, 8),
    steps: int = 1,
    retrain: Retrain | None = None,
) -> Network:
    """
    The network without its smallest weights, layer by layer; biases and activations stay.

    method: balanced (the same number in each of `blocks` blocks of an output neuron's inputs, so
    that all neurons have one fan-in), unstructured (anywhere) or block (whole blocks of
    `block_shape`, inputs x outputs); see kkspdnn.pruning.masks for sizes that do not divide
    permute: balanced blocks are not of neighbouring inputs, but of inputs dealt to them by the
    sizes of their weights (see dealt_order), before the first step; neurons keep their places
    sparsity: the part of the weights that goes, from 0 to below 1, or one number for each layer; a
    layer with 0 stays as it is
    steps: how often to prune, more and more, to 1 - (1 - t / steps)^3 of the sparsity in step t
    (Zhu and Gupta, "To prune, or not to prune", 2017)
    retrain: called with the network after each step, the last one too

    InputError, naming the layer, for options out of range, for a block that has too few weights to
    keep, and for a retrained network with other layers or edges.
    """
    check_network(network)
    check_choice("method", method, METHODS)
    wanted = _sparsities(sparsity, len(network.layers))
    if min([blocks, steps, *block_shape]) < 1:
        raise InputError(
            f"blocks {blocks}, block shape {block_shape[0]}x{block_shape[1]}, steps {steps}: "
            "all must be at least 1"
        )
    if permute and method != "balanced":
        raise InputError(f"permute is for balanced blocks: leave it out with method {method}")
    orders = [
        dealt_order(layer.weights().toarray(), blocks) if permute and part else None
        for layer, part in zip(network.layers, wanted, strict=True)
    ]

    def mask(weights: Floats, part: float, order: Order | None) -> Mask:
        if method == "balanced":
            return balanced_mask(weights, part, blocks, order)
        if method == "block":
            return block_mask(weights, part, block_shape)
        return unstructured_mask(weights, part)

    for step in range(1, steps + 1):
        done = 1 - (1 - step / steps) ** 3
        layers = list(network.layers)
        for place, (part, order) in enumerate(zip(wanted, orders, strict=True)):
            if not part:
                continue
            dense = layers[place].weights().toarray()
            try:
                kept = mask(dense, part * done, order)
            except InputError as error:
                raise InputError(f"layer {place + 1}: {error}") from error
            layers[place] = _pruned(layers[place], dense, kept)
        network = replace(network, layers=layers)
        if retrain is not None:
            network = _same_edges(network, retrain(network), wanted)
    return network


def _sparsities(given: object, layers: int) -> list[float]:
    numbers = int | float | np.integer | np.floating
    if isinstance(given, numbers):
        wanted = [float(given)] * layers
    elif isinstance(given, Sequence | np.ndarray):
        wanted = list(given)
    else:
        raise InputError(f"sparsity {short_repr(given)}: give one number, or one for each layer")
    if len(wanted) != layers:
        raise InputError(f"{len(wanted)} sparsities for {layers} layers; give one, or one for each")
    for each in wanted:
        if not isinstance(each, numbers) or not 0 <= each < 1:
            raise InputError(
                f"sparsity {short_repr(each)}: the part of the weights that goes, 0 to below 1"
            )
    return wanted


def _pruned(layer: Layer, dense: Floats, kept: Mask) -> Layer:
    left = np.where(kept, dense, dense.dtype.type(0))
    return Layer.from_sparse(left, layer.bias, activation=layer.activation, bias_to=layer.bias_to)


def _same_edges(pruned: Network, trained: Network, wanted: Sequence[float]) -> Network:
    """The retrained network, once it is sure that it has the pruned one's layers and edges."""
    check_network(trained)
    if len(trained.layers) != len(pruned.layers):
        raise InputError(
            f"retrain gave {len(trained.layers)} layers back for {len(pruned.layers)}; "
            "give the same network with other values"
        )
    for number, before in enumerate(pruned.layers, start=1):
        after = trained.layers[number - 1]
        same = (before.inputs, before.outputs) == (after.inputs, after.outputs)
        if same and wanted[number - 1]:
            same = np.array_equal(before.start, after.start)
            same = same and np.array_equal(before.index, after.index)
        if not same:
            raise InputError(
                f"layer {number}: retrain gave other edges back: {after.edges} of "
                f"{after.inputs} x {after.outputs}, not {before.edges} of {before.inputs} x "
                f"{before.outputs}; keep those that are not 0, and no others"
            )
    return trained
