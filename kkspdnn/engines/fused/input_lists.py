"""Packing of layers for `fused_inputs`: lists of edges by input neuron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kkspdnn.engines.activation import output_arguments
from kkspdnn.model.layers import Layer, index_dtype

_GROUP = 4
"""Edges that the workunit adds at a time."""

_MIN_WIDTH, _WIDTH_MULTIPLE = 64, 16
"""Output neurons of a block: at least so many, so that an input has several edges to a block, and
a multiple of a cache line, which two threads would write to."""


@dataclass(frozen=True, eq=False)
class InputLists:
    """A layer by input neuron, in blocks of output neurons.

    width: output neurons of a block; blocks: their number
    arguments: those of the workunit that do not depend on the tiles
    """

    inputs: int
    outputs: int
    width: int
    blocks: int
    arguments: dict[str, Any]


def block_width(outputs: int, threads: int) -> int:
    """Return the number of output neurons of a block: a block for each thread, unless blocks would
    be too small."""
    multiples = -(-outputs // (threads * _WIDTH_MULTIPLE))
    return max(_MIN_WIDTH, multiples * _WIDTH_MULTIPLE)


def list_bytes(layers: Sequence[Layer], threads: int) -> int:
    """Return an upper limit of the bytes of the packed layers."""
    total = 0
    for layer in layers:
        lists = -(-layer.outputs // block_width(layer.outputs, threads)) * layer.inputs
        edges = layer.edges + (_GROUP - 1) * lists
        total += edges * (index_dtype(layer.outputs).itemsize + layer.dtype.itemsize) + 8 * lists
    return total


def pack_by_input(layer: Layer, threads: int, ymax: Any) -> InputLists:
    """Pack a layer, which has the dtype of the run.

    threads: that share the output neurons
    ymax: upper limit of the ReLU in this dtype, may be infinite
    """
    width = block_width(layer.outputs, threads)
    weights = layer.weights()
    weights.sort_indices()
    blocks = -(-layer.outputs // width)
    owner = np.repeat(np.arange(layer.inputs), np.diff(weights.indptr))
    lists = weights.indices // width * layer.inputs + owner
    order = np.argsort(lists, kind="stable")
    counts = np.bincount(lists, minlength=blocks * layer.inputs)
    padded = -(-counts // _GROUP) * _GROUP
    start = np.concatenate([[0], np.cumsum(padded)]).astype(np.int64)
    first = np.cumsum(counts) - counts
    target = np.arange(layer.edges) + np.repeat(start[:-1] - first, counts)
    index = np.full(start[-1], width, index_dtype(width + 1))
    value = np.zeros(start[-1], layer.dtype)
    index[target] = weights.indices[order] % width
    value[target] = weights.data[order]
    arguments = {
        "start": start,
        "index": index,
        "value": value,
        **output_arguments(layer, ymax),
        "inputs": layer.inputs,
        "outputs": layer.outputs,
        "width": width,
    }
    return InputLists(layer.inputs, layer.outputs, width, blocks, arguments)
