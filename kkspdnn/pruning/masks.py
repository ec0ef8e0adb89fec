"""Which weights of a matrix stay: those of the largest magnitude, in one of three patterns.

Weights are W of shape (inputs, outputs), as everywhere in kkspdnn; a "row" of Yao et al., who
write W the other way round, is a column here: the edges of one output neuron.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.matrices import Floats

Method = Literal["balanced", "unstructured", "block"]
METHODS: tuple[Method, ...] = get_args(Method)

Mask = NDArray[np.bool_]


def balanced_mask(weights: Floats, sparsity: float, blocks: int) -> Mask:
    """
    The same number of weights in each block of each output neuron (Yao et al., "Balanced Sparsity
    for Efficient DNN Inference on GPU", AAAI 2019).

    The inputs are cut into `blocks` neighbouring blocks, the first ones one longer where that does
    not divide. An output neuron is to keep n = (1 - sparsity) x inputs weights, at least 1: each
    block keeps n / blocks, rounded, but no more than the smallest block has; where n is less than
    `blocks` there are only n of them.
    InputError where a block has fewer weights that are not 0.
    """
    inputs = weights.shape[0]
    wanted = max(1, round((1 - sparsity) * inputs))
    count = min(blocks, wanted)
    kept = min(max(1, round((1 - sparsity) * inputs / count)), inputs // count)
    mask = np.zeros(weights.shape, np.bool_)
    first = 0
    for block in np.array_split(np.abs(weights), count):
        # Sorted stably: of equal weights the first inputs stay.
        order = np.argsort(-block, axis=0, kind="stable")[:kept]
        found = np.count_nonzero(np.take_along_axis(block, order, axis=0), axis=0)
        short = np.flatnonzero(found < kept)
        if short.size:
            last = first + block.shape[0] - 1
            raise InputError(
                f"output {short[0]}, inputs {first} to {last}: {found[short[0]]} weights are not "
                f"0, but {kept} of each block must stay; use a higher sparsity or unstructured"
            )
        np.put_along_axis(mask[first : first + block.shape[0]], order, True, axis=0)
        first += block.shape[0]
    return mask


def unstructured_mask(weights: Floats, sparsity: float) -> Mask:
    """The largest weights of the whole matrix, (1 - sparsity) of them, rounded, at least 1."""
    kept = max(1, round((1 - sparsity) * weights.size))
    mask = np.zeros(weights.size, np.bool_)
    mask[np.argsort(-np.abs(weights), axis=None, kind="stable")[:kept]] = True
    return mask.reshape(weights.shape)


def block_mask(weights: Floats, sparsity: float, shape: tuple[int, int]) -> Mask:
    """
    Whole blocks of `shape`, (inputs, outputs), with the largest mean magnitude: (1 - sparsity) of
    them, rounded, at least 1. Where that does not divide, the last blocks are smaller.
    """
    inputs, outputs = weights.shape
    tall, wide = (min(one, most) for one, most in zip(shape, weights.shape, strict=True))
    begins = np.arange(0, inputs, tall), np.arange(0, outputs, wide)
    sums = np.add.reduceat(np.add.reduceat(np.abs(weights), begins[0], axis=0), begins[1], axis=1)
    heights = np.diff(begins[0], append=inputs)
    widths = np.diff(begins[1], append=outputs)
    stay = unstructured_mask(sums / np.outer(heights, widths), sparsity)
    return np.repeat(np.repeat(stay, heights, axis=0), widths, axis=1)
