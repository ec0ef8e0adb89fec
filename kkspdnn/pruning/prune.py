"""Magnitude pruning of a network, in one step or gradually with retraining."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from kkspdnn.choices import METHODS, Method
from kkspdnn.errors import InputError, check_choice, short_repr
from kkspdnn.model.checks import check_flags, check_whole
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import Floats
from kkspdnn.model.network import Network, check_network
from kkspdnn.progress import Progress, open_progress
from kkspdnn.pruning.masks import (
    Mask,
    balanced_blocks,
    balanced_mask,
    balancing_permutation,
    block_mask,
    unstructured_mask,
)

Retrain = Callable[[Network], Network]
"""A function from a pruned network to one with the same edges and other values."""

LayerMask = Callable[[Floats, float], Mask]
"""A function from the weights of a layer and a sparsity to the mask of the weights to keep."""


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
    progress: Progress = None,
) -> Network:
    """
    Remove the weights of the smallest magnitude of each layer. Biases and activations are kept.

    method: balanced (the same number of weights in each of `blocks` blocks of the inputs of each
    output neuron, so that all neurons of a layer have the same fan-in), unstructured (the largest
    weights of the matrix) or block (entire blocks of `block_shape`, inputs x outputs); see
    kkspdnn.pruning.masks
    sparsity: the fraction of weights to remove, from 0 to below 1, or one number for each layer; a
    layer with 0 is not pruned
    permute: assign inputs to the balanced blocks by the magnitudes of their weights before the
    first step (see balancing_permutation), not by position; the network's neurons keep their order
    steps: the number of pruning steps. Step t prunes to sparsity x (1 - (1 - t / steps)^3), the
    schedule of Zhu and Gupta, "To prune, or not to prune", 2017
    retrain: called with the network after each step, including the last one
    progress: True for a progress bar on a terminal or in a notebook; or a function that is called
    with the name of the current step and its completed fraction, 0 to 1

    InputError for options out of range, for a block with fewer nonzero weights than it must keep,
    and for a retrained network with other layers or edges.
    """
    check_network(network)
    check_choice("method", method, METHODS)
    sparsities = _sparsities(sparsity, len(network.layers))
    _check_options(blocks, block_shape, steps, retrain)
    check_flags(permute=permute)
    if permute and method != "balanced":
        raise InputError(f"permute is for balanced blocks: leave it out with method {method}")

    def layer_mask(layer: Layer, target: float) -> LayerMask:
        if method == "block":
            return partial(block_mask, shape=block_shape)
        if method == "unstructured":
            return unstructured_mask
        # All steps have the blocks of the last one: weights that a step removes are not missing
        # in the blocks of the next step.
        count = balanced_blocks(layer.inputs, target, blocks)
        permutation = None
        if permute and target:
            permutation = balancing_permutation(layer.weights().toarray(), count)
        return partial(balanced_mask, blocks=count, permutation=permutation)

    with open_progress(progress) as on_step:
        on_step("pruning", 0.0)
        masks = [
            layer_mask(layer, target)
            for layer, target in zip(network.layers, sparsities, strict=True)
        ]
        for step in range(1, steps + 1):
            fraction = 1 - (1 - step / steps) ** 3
            targets = [fraction * target for target in sparsities]

            def on_layer(number: int, before: int = step - 1) -> None:
                on_step("pruning", (before + number / len(sparsities)) / steps)

            network = _prune_layers(network, targets, masks, on_layer)
            if retrain is not None:
                on_step(f"retraining after step {step} of {steps}", step / steps)
                trained = retrain(network)
                _check_same_edges(network, trained, sparsities)
                network = trained
    return network


def _check_options(blocks: object, block_shape: object, steps: object, retrain: object) -> None:
    """Raise InputError for options of another type, or numbers below 1."""
    if not isinstance(block_shape, Sequence) or len(block_shape) != 2:
        raise InputError(
            f"block_shape={short_repr(block_shape)}: give the inputs and outputs of a block, such "
            "as (8, 8)"
        )
    named = ("blocks", blocks), ("steps", steps), *(("block_shape", each) for each in block_shape)
    for name, number in named:
        check_whole(name, number)
    if retrain is not None and not callable(retrain):
        raise InputError(f"retrain={short_repr(retrain)}: give a function of the pruned network")


def _prune_layers(
    network: Network,
    sparsities: Sequence[float],
    masks: Sequence[LayerMask],
    on_layer: Callable[[int], None],
) -> Network:
    """Prune each layer to its sparsity, unless that is 0, in one step.

    masks: choose the weights of each layer that are kept
    on_layer: called with the number of finished layers
    """
    layers = list(network.layers)
    for position, target in enumerate(sparsities):
        if target:
            weights = layers[position].weights().toarray()
            try:
                kept = masks[position](weights, target)
            except InputError as error:
                raise InputError(str(error), layer=position + 1) from error
            layers[position] = _masked(layers[position], weights, kept)
        on_layer(position + 1)
    return replace(network, layers=layers)


def _sparsities(sparsity: object, layers: int) -> list[float]:
    """One sparsity for each layer. InputError for another number of them or values out of range."""
    numbers = int | float | np.integer | np.floating
    if isinstance(sparsity, numbers):
        sparsities = [float(sparsity)] * layers
    elif isinstance(sparsity, Sequence | np.ndarray) and not isinstance(sparsity, str):
        sparsities = list(sparsity)
    else:
        raise InputError(f"sparsity {short_repr(sparsity)}: give one number, or one for each layer")
    if len(sparsities) != layers:
        raise InputError(
            f"{len(sparsities)} sparsities for {layers} layers; give one number, or one for each "
            "layer"
        )
    for number in sparsities:
        if not isinstance(number, numbers) or not 0 <= number < 1:
            raise InputError(
                f"sparsity {short_repr(number)}: give the fraction of weights to remove, 0 to "
                "below 1"
            )
    return sparsities


def _masked(layer: Layer, weights: Floats, kept: Mask) -> Layer:
    """`layer` with those of its weights for which `kept` is true."""
    masked = np.where(kept, weights, weights.dtype.type(0))
    return Layer.from_sparse(masked, layer.bias, activation=layer.activation, bias_to=layer.bias_to)


def _check_same_edges(pruned: Network, trained: Network, sparsities: Sequence[float]) -> None:
    """Raise InputError unless the retrained network has the layers and edges of the pruned one."""
    check_network(trained)
    if len(trained.layers) != len(pruned.layers):
        raise InputError(
            f"retrain returned {len(trained.layers)} layers for {len(pruned.layers)}; "
            "return the same network with other values"
        )
    for number, before in enumerate(pruned.layers, start=1):
        after = trained.layers[number - 1]
        same = (before.inputs, before.outputs) == (after.inputs, after.outputs)
        if same and sparsities[number - 1]:
            same = np.array_equal(before.start, after.start)
            same = same and np.array_equal(before.index, after.index)
        if not same:
            raise InputError(
                f"retrain returned other edges: {after.edges} of {after.inputs} x "
                f"{after.outputs}, not {before.edges} of {before.inputs} x {before.outputs}; "
                "change no weight to 0 or from 0",
                layer=number,
            )
