"""Which weights of a matrix stay: those of the largest magnitude, in one of three patterns.

Weights are W of shape (inputs, outputs), as everywhere in kkspdnn; a "row" of Yao et al., who
write W the other way round, is a column here: the edges of one output neuron.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.matrices import Floats

Mask = NDArray[np.bool_]
Order = NDArray[np.int64]


def dealt_order(weights: Floats, blocks: int) -> Order:
    """
    The inputs in an order in which every block has its share of the strong ones: by the sum of
    their weights' magnitudes, the largest first, they are dealt to the blocks in turn, there and
    back again; the first blocks get one more where that does not divide.

    Neighbouring inputs are alike (the pixels of an image's dark border are one block); an order of
    the inputs leaves more of the large weights, as for N:M sparsity in Pool and Yu, "Channel
    Permutations for N:M Sparsity", NeurIPS 2021, who search for the best one.
    """
    strongest = np.argsort(-np.abs(weights).sum(axis=1, dtype=np.float64), kind="stable")
    whole = strongest.size - strongest.size % blocks
    turns, rest = strongest[:whole].reshape(-1, blocks), strongest[whole:]
    turns[1::2] = turns[1::2, ::-1].copy()
    return np.concatenate([each for n in range(blocks) for each in (turns[:, n], rest[n : n + 1])])


def balanced_mask(
    weights: Floats, sparsity: float, blocks: int, order: Order | None = None
) -> Mask:
    """
    The same number of weights in each block of each output neuron (Yao et al., "Balanced Sparsity
    for Efficient DNN Inference on GPU", AAAI 2019).

    The inputs are cut into `blocks` neighbouring blocks, the first ones one longer where that does
    not divide. An output neuron is to keep n = (1 - sparsity) x inputs weights, at least 1: each
    block keeps n / blocks, rounded, but no more than the smallest block has; where n is less than
    `blocks` there are only n of them.
    order: of the inputs, in which they are neighbours; None: their own
    InputError where a block has fewer weights that are not 0.
    """
    inputs = weights.shape[0]
    if order is None:
        order = np.arange(inputs)
    wanted = max(1, round((1 - sparsity) * inputs))
    count = min(blocks, wanted)
    kept = min(max(1, round((1 - sparsity) * inputs / count)), inputs // count)
    mask = np.zeros(weights.shape, np.bool_)
    for number, rows in enumerate(np.array_split(order, count), start=1):
        block = np.abs(weights[rows])
        # Sorted stably: of equal weights the first inputs stay.
        largest = np.argsort(-block, axis=0, kind="stable")[:kept]
        found = np.count_nonzero(np.take_along_axis(block, largest, axis=0), axis=0)
        short = np.flatnonzero(found < kept)
        if short.size:
            raise InputError(
                f"output {short[0]}, block {number} of {count}: {found[short[0]]} of {len(rows)} "
                f"weights are not 0, but {kept} of each block must stay; use a higher sparsity or "
                "unstructured"
            )
        mask[rows[largest], np.arange(weights.shape[1])] = True
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
