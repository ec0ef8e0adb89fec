"""Masks of the weights to keep: those of the largest magnitude, in one of three patterns.

Weights are W of shape (inputs, outputs), as everywhere in kkspdnn. A "row" of Yao et al., who store
the transpose, is a column here: the edges of one output neuron.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.matrices import Floats

Mask = NDArray[np.bool_]
"""True for each weight to keep, of the shape of the weights."""

Permutation = NDArray[np.int64]
"""A permutation of the inputs: the input at each position."""


def balancing_permutation(weights: Floats, blocks: int) -> Permutation:
    """
    A permutation of the inputs that distributes those with large weights evenly over the blocks.

    Inputs are sorted by the sum of the magnitudes of their weights, the largest first, and assigned
    to the blocks in turn, forwards and backwards alternately. The first blocks get one input more
    if `blocks` does not divide the number of inputs.

    Neighbouring inputs are similar: for example, the pixels of an image's dark border lie in one
    block. With permuted inputs, balanced blocks keep more of the large weights, as in Pool and Yu,
    "Channel Permutations for N:M Sparsity", NeurIPS 2021, who search for the best permutation.
    """
    by_strength = np.argsort(-np.abs(weights).sum(axis=1, dtype=np.float64), kind="stable")
    divisible = by_strength.size - by_strength.size % blocks
    rounds, rest = by_strength[:divisible].reshape(-1, blocks), by_strength[divisible:]
    rounds[1::2] = rounds[1::2, ::-1].copy()
    return np.concatenate(
        [inputs for n in range(blocks) for inputs in (rounds[:, n], rest[n : n + 1])]
    )


def balanced_blocks(inputs: int, sparsity: float, blocks: int) -> int:
    """Return the number of blocks of a balanced mask: `blocks`, or one for each weight that an
    output neuron keeps if these are fewer."""
    return min(blocks, _kept_weights(inputs, sparsity))


def _kept_weights(inputs: int, sparsity: float) -> int:
    """Return the number of weights that an output neuron should keep."""
    return max(1, round((1 - sparsity) * inputs))


def balanced_mask(
    weights: Floats, sparsity: float, blocks: int, permutation: Permutation | None = None
) -> Mask:
    """
    Keep the same number of weights in each block of the inputs of each output neuron.

    blocks: of consecutive inputs; the first ones are one longer if `blocks` does not divide the
    number of inputs
    permutation: the order of the inputs in which blocks are consecutive; None: no permutation

    An output neuron should keep n = (1 - sparsity) x inputs weights, at least 1. Each block keeps n
    / blocks weights, rounded, at most the size of the smallest block. If n is less than `blocks`,
    there are n blocks, see `balanced_blocks`.

    Source: Yao et al., "Balanced Sparsity for Efficient DNN Inference on GPU", AAAI 2019.
    InputError if a block has fewer nonzero weights than it must keep.
    """
    inputs = weights.shape[0]
    if permutation is None:
        permutation = np.arange(inputs)
    count = balanced_blocks(inputs, sparsity, blocks)
    kept = min(max(1, round((1 - sparsity) * inputs / count)), inputs // count)
    mask = np.zeros(weights.shape, np.bool_)
    for number, rows in enumerate(np.array_split(permutation, count), start=1):
        block = np.abs(weights[rows])
        # A stable sort, so that the first of equal weights are kept.
        largest = np.argsort(-block, axis=0, kind="stable")[:kept]
        nonzero = np.count_nonzero(np.take_along_axis(block, largest, axis=0), axis=0)
        too_few = np.flatnonzero(nonzero < kept)
        if too_few.size:
            raise InputError(
                f"output {too_few[0]}, block {number} of {count}: {nonzero[too_few[0]]} of "
                f"{len(rows)} weights are not 0, but {kept} of each block must stay; use a higher "
                "sparsity or unstructured"
            )
        mask[rows[largest], np.arange(weights.shape[1])] = True
    return mask


def unstructured_mask(weights: Floats, sparsity: float) -> Mask:
    """Keep the largest (1 - sparsity) of the weights of the matrix, rounded, at least 1."""
    kept = max(1, round((1 - sparsity) * weights.size))
    mask = np.zeros(weights.size, np.bool_)
    mask[np.argsort(-np.abs(weights), axis=None, kind="stable")[:kept]] = True
    return mask.reshape(weights.shape)


def block_mask(weights: Floats, sparsity: float, shape: tuple[int, int]) -> Mask:
    """
    Keep the (1 - sparsity) of the blocks, rounded, at least 1, with the largest mean magnitude.

    shape: of a block, (inputs, outputs); the last blocks are smaller if it does not divide the
    matrix
    """
    inputs, outputs = weights.shape
    height, width = (min(size, limit) for size, limit in zip(shape, weights.shape, strict=True))
    begins = np.arange(0, inputs, height), np.arange(0, outputs, width)
    sums = np.add.reduceat(np.add.reduceat(np.abs(weights), begins[0], axis=0), begins[1], axis=1)
    heights = np.diff(begins[0], append=inputs)
    widths = np.diff(begins[1], append=outputs)
    kept_blocks = unstructured_mask(sums / np.outer(heights, widths), sparsity)
    return np.repeat(np.repeat(kept_blocks, heights, axis=0), widths, axis=1)
