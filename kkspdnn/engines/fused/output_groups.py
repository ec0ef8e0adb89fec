"""Groups of output neurons with the same inputs, which `fused_groups` computes together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kkspdnn.model.layers import Layer

GROUP_SIZE = 8
"""Output neurons of a group, the accumulators of `fused_groups`."""

MAX_REPEATED = 2.0
"""Groups overlap if the number of neurons with the same inputs is not a multiple of the group size.
At most this ratio of computed to existing neurons is accepted."""


@dataclass(frozen=True, eq=False)
class OutputGroups:
    """The groups of a layer.

    first: int32, the first output neuron of each group, in the order of the tile
    size: int32, the number of inputs of each group
    edges: int64 (sum of size, GROUP_SIZE), the numbers of the edges: row by row the inputs of the
    groups, and in each row the edges from this input to the neurons of the group
    """

    first: NDArray[np.int32]
    size: NDArray[np.int32]
    edges: NDArray[np.int64]


def find_groups(
    layer: Layer,
    start: NDArray[np.int64],
    edges: NDArray[np.int64],
    max_repeated: float = MAX_REPEATED,
) -> OutputGroups | None:
    """Return groups of `GROUP_SIZE` neighbouring output neurons with the same inputs in the same
    order, which contain all output neurons; None if there are none.

    start, edges: CSR offsets of the outputs in the order of the tile, and the numbers of their
    edges
    max_repeated: maximum ratio of computed to existing output neurons
    """
    sizes = np.diff(start)
    begins = np.flatnonzero(~same_as_previous(layer.index[edges], start, sizes))
    lengths = np.diff(np.append(begins, layer.outputs))
    if not lengths.size or lengths.min() < GROUP_SIZE:
        return None
    counts = -(-lengths // GROUP_SIZE)
    if counts.sum() * GROUP_SIZE > max_repeated * layer.outputs:
        return None
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    # The last group of neurons with the same inputs ends with the last of them.
    offset = np.minimum(number * GROUP_SIZE, np.repeat(lengths, counts) - GROUP_SIZE)
    first = np.repeat(begins, counts) + offset
    size = sizes[first]
    group = np.repeat(np.arange(first.size), size)
    row = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    neurons = first[group][:, None] + np.arange(GROUP_SIZE)
    return OutputGroups(
        first.astype(np.int32), size.astype(np.int32), edges[start[neurons] + row[:, None]]
    )


def same_as_previous(
    index: NDArray[np.unsignedinteger], start: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return whether each output neuron has the inputs of the one before it.

    index: the inputs of all edges
    """
    same = np.zeros(sizes.size, np.bool_)
    same[1:] = sizes[1:] == sizes[:-1]
    # The edge of the previous neuron at the same position is `sizes` edges before.
    owner = np.repeat(np.arange(sizes.size), sizes)
    compared = np.flatnonzero(same[owner])
    differs = index[compared] != index[compared - sizes[owner[compared]]]
    same[owner[compared[differs]]] = False
    return same
