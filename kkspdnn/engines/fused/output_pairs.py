"""Pairs of output neurons and blocks of inputs, which `fused_pairs` computes together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kkspdnn.engines.fused.aligned_rows import starts

_MAX_UNIT_OUTPUTS, _MIN_UNITS = 128, 16
"""Output neurons of a unit: so many that a block of inputs is used often before the next one,
unless there would be too few units to distribute."""

_BLOCK_INPUTS = 256
"""Inputs of a block: 64 KB in a tile of four registers of AVX-512, 16 KB in one of one register.
Blocks of half the size are not faster, because their lists of edges are short."""

_MIN_EDGES = 8
"""With fewer edges from a block of inputs to an output neuron, starting their lists would take too
large a share of the time."""

_MAX_SHARED = 0.25
"""If a larger fraction of the output neurons have the inputs of their predecessor, the activations
are in the L1 cache in any case, unless an output neuron has more inputs than a block."""


@dataclass(frozen=True, eq=False)
class OutputPairs:
    """The pairs of a layer, see `fused_pairs`.

    neuron: int32 (pairs, 2), the output neurons of each pair, as indices in the tile
    size: int32, the rows of edges of each pair
    start: int64, the first row of edges of each pair
    edge: int64 (rows of edges, 2), the numbers of the edges; -1: padding
    unit_outputs: output neurons of a unit
    input_blocks: number of blocks of inputs
    """

    neuron: NDArray[np.int32]
    size: NDArray[np.int32]
    start: NDArray[np.int64]
    edge: NDArray[np.int64]
    unit_outputs: int
    input_blocks: int


def find_pairs(
    inputs: int,
    start: NDArray[np.int64],
    source: NDArray[np.unsignedinteger],
    same_as_previous: NDArray[np.bool_],
) -> OutputPairs | None:
    """Return the pairs of a layer, or None if they would not be faster.

    In each unit and for each block of inputs, output neurons with about as many edges are paired.

    start: CSR offsets of the output neurons in the order of the tile
    source: the input neuron of each edge in this order
    same_as_previous: whether an output neuron has the inputs of the one before it
    """
    outputs, edges = start.size - 1, source.size
    input_blocks = -(-inputs // _BLOCK_INPUTS)
    shared = same_as_previous.mean() > _MAX_SHARED and edges < _BLOCK_INPUTS * outputs
    if edges < _MIN_EDGES * outputs * input_blocks or shared:
        return None
    unit_outputs = min(_MAX_UNIT_OUTPUTS, 2 * -(-outputs // (2 * _MIN_UNITS)))
    # Edges of an output neuron are in the order of their inputs, so those of a block are adjacent.
    owner = np.repeat(np.arange(outputs), np.diff(start))
    lists = owner * input_blocks + source // _BLOCK_INPUTS
    counts = np.bincount(lists, minlength=outputs * input_blocks)
    first = starts(counts)
    neurons: list[NDArray[np.int64]] = []
    for begin in range(0, outputs, unit_outputs):
        unit = np.arange(begin, min(begin + unit_outputs, outputs))
        by_block = counts.reshape(outputs, input_blocks)[unit].T
        ordered = unit[np.argsort(by_block, axis=1, kind="stable")]
        if unit.size % 2:
            ordered = np.concatenate([ordered, ordered[:, -1:]], axis=1)
        neurons.append(ordered.reshape(-1, 2))
    block = np.concatenate(
        [np.repeat(np.arange(input_blocks), each.shape[0] // input_blocks) for each in neurons]
    )
    neuron = np.concatenate(neurons)
    list_of = neuron * input_blocks + block[:, None]
    size = counts[list_of].max(axis=1)
    begins = starts(size)
    row = np.arange(size.sum()) - np.repeat(begins, size)
    edge = np.repeat(first[list_of], size, axis=0) + row[:, None]
    edge[row[:, None] >= np.repeat(counts[list_of], size, axis=0)] = -1
    return OutputPairs(
        neuron.astype(np.int32), size.astype(np.int32), begins, edge, unit_outputs, input_blocks
    )
