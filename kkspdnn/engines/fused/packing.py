"""Packing of layers: into the arguments of the fused workunits.

Output neurons with the same inputs become neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.choices import GroupOutputs
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.engines.activation import activation_arguments, unbiased_sum
from kkspdnn.engines.fused.aligned_rows import ROW_EDGES, pad_rows, padded_size, starts
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.output_groups import MAX_REPEATED, find_groups, same_as_previous
from kkspdnn.engines.fused.output_pairs import find_pairs
from kkspdnn.engines.overflow_guard import LayerBound
from kkspdnn.engines.uniform_layers import common_value, uniform_signature
from kkspdnn.model.layers import Indices, Layer, index_dtype
from kkspdnn.workunits import fused
from kkspdnn.workunits import groups as grouped
from kkspdnn.workunits import pairs as blocked

_SUMMED_WEIGHTS = tuple(2.0**power for power in range(-24, 25))
"""Common weights of a layer that may be multiplied with the sum of the inputs: a power of two does
not change the rounding unless a product leaves the range of normal numbers."""

_MIN_BIAS = 2.0**-64
"""The sum of a float32 and a bias of at least this is 0 or at least 2^-89: if the two nearly
cancel, the difference is exact, a multiple of the last place of one of them. Its product with one
of the weights above is a normal number. The sum of 0 and the bias is the bias, and no activation
function brings a value closer to 0 without making it 0. If values of both signs cancel, their sum
is a multiple of 2^-112, and its product with one of the weights a multiple of 2^-136: exact, be it
normal or not."""

_MAX_REPEATED_BESIDE_PAIRS = 1.25
"""`MAX_REPEATED` if the alternative to groups may be pairs."""


@dataclass(frozen=True)
class Packing:
    """How an execution space wants the edges of a layer.

    row_edges: rows of edges begin at a multiple of this number of edges
    group_outputs: see `LaunchParameters`
    pair_outputs: whether `fused_pairs` may compute layers
    """

    row_edges: int = 1
    group_outputs: GroupOutputs = "none"
    pair_outputs: bool = True

    @classmethod
    def of(cls, launch: LaunchParameters) -> Packing:
        return cls(ROW_EDGES if launch.gpu else 1, launch.group_outputs, not launch.gpu)


def pack_layer(
    layer: Layer, previous: FusedLayer | None, ymax: float, packing: Packing = Packing()
) -> FusedLayer:
    """Return a layer as arguments of a workunit, in a group of its own.

    previous: the packed layer before this one, whose output permutation is the input permutation of
    this one; None for the first layer, whose inputs are permuted so that the inputs of an output
    are close to each other
    ymax: upper limit of the ReLU, may be infinite
    packing: of the execution space; the default is that of a CPU
    """
    order = _output_order(layer)
    output_permutation = np.empty(layer.outputs, index_dtype(layer.outputs))
    output_permutation[order] = np.arange(layer.outputs, dtype=output_permutation.dtype)
    if previous is None:
        input_permutation = _input_permutation(layer, order)
    else:
        input_permutation = previous.output_permutation
    weight = common_value(layer.value)
    bound = LayerBound.of(layer, ymax)
    dtype = layer.dtype
    scalars = activation_arguments(layer, dtype, dtype.type(ymax))
    scalars["unbiased"] = unbiased_sum(layer)
    normal = previous is not None and previous.no_subnormals
    summed = normal and weight is not None and abs(weight) in _SUMMED_WEIGHTS
    # With bits as inputs, a first layer of one weight counts them, which is faster.
    groups = packing.group_outputs == "all" and previous is not None
    groups |= packing.group_outputs != "none" and weight is None
    pairs = packing.pair_outputs and weight is None
    workunit, weights = _pack_edges(layer, order, input_permutation, packing, groups, pairs, summed)
    if workunit is fused.fused_equal:
        assert layer.fan_in is not None
        bound = replace(bound, gain=max(bound.gain, float(layer.fan_in)))
        weights["weight"] = weight
    weights["bias"] = layer.bias[order]
    return FusedLayer(
        inputs=layer.inputs,
        outputs=layer.outputs,
        edges=layer.edges,
        bound=bound,
        workunit=workunit,
        weights=weights,
        input_permutation=input_permutation,
        output_permutation=output_permutation,
        weight=weight,
        uniform_signature=uniform_signature(layer, weight),
        no_subnormals=bool(min(np.abs(layer.bias).min(), scalars["ymax"]) >= _MIN_BIAS),
        rule=(layer.activation, layer.bias_to),
        scalars=scalars,
    )


def _pack_edges(
    layer: Layer,
    order: NDArray[np.int64],
    input_permutation: Indices,
    packing: Packing,
    groups: bool,
    pairs: bool,
    summed: bool,
) -> tuple[Any, dict[str, Any]]:
    """Return the workunit of a layer, and its arguments that describe the edges.

    order: the output neurons in the order of a tile
    groups: whether output neurons with the same inputs may be computed in groups
    pairs: whether output neurons may be computed in pairs
    summed: whether the inputs may be summed before they are multiplied by the common weight
    """
    index, value, fan_in = input_permutation[layer.index], layer.value, layer.fan_in
    if groups:
        max_repeated = _MAX_REPEATED_BESIDE_PAIRS if pairs else MAX_REPEATED
        found = find_groups(layer, *_reorder_edges(layer, order), max_repeated)
        if found is not None:
            size = padded_size(found.size, packing.row_edges)
            return grouped.fused_groups, {
                "start": starts(size),
                "size": found.size,
                "first_output": found.first,
                "index": pad_rows(index[found.edges[:, 0]], found.size, size),
                "value": pad_rows(value[found.edges], found.size, size),
                "groups": int(found.first.size),
            }
    if pairs:
        packed = _pack_pairs(layer, order, index)
        if packed is not None:
            return blocked.fused_pairs, packed
    if not fan_in:
        start, edges = _reorder_edges(layer, order)
        exact = np.diff(start)
        size = padded_size(exact, packing.row_edges)
        return fused.fused_csr, {
            "start": starts(size),
            "size": exact.astype(np.int32),
            "index": pad_rows(index[edges], exact, size),
            "value": pad_rows(value[edges], exact, size),
        }
    (columns,) = padded_size(np.array([fan_in]), packing.row_edges)
    padding = (0, 0), (0, columns - fan_in)
    weights = {
        "index": np.pad(index.reshape(layer.outputs, fan_in)[order], padding),
        "fan_in": fan_in,
    }
    if summed:
        return fused.fused_equal, weights
    values = np.pad(value.reshape(layer.outputs, fan_in)[order], padding)
    return fused.fused_fan_in, weights | {"value": values}


def _pack_pairs(layer: Layer, order: NDArray[np.int64], index: Indices) -> dict[str, Any] | None:
    """Return the arguments of `fused_pairs` that describe the edges; None if it is not faster.

    index: the index in a tile of the input of each edge
    """
    start, edges = _reorder_edges(layer, order)
    source = layer.index[edges]
    same = same_as_previous(source, start, np.diff(start))
    found = find_pairs(layer.inputs, start, source, same)
    if found is None:
        return None
    padding = found.edge < 0
    number = edges[found.edge]
    return {
        "start": found.start,
        "size": found.size,
        "neuron": found.neuron,
        "index": np.where(padding, index.dtype.type(0), index[number]),
        "value": np.where(padding, layer.dtype.type(0), layer.value[number]),
        "units": -(-layer.outputs // found.unit_outputs),
        "unit_outputs": found.unit_outputs,
        "input_blocks": found.input_blocks,
    }


def _output_order(layer: Layer) -> NDArray[np.int64]:
    """Return the output neurons in the order of a tile: sorted by the first input, then by the sum
    of the input numbers. Neurons with the same inputs, 16 in a RadiX-Net, are then nearly always
    neighbours."""
    # The zero is for neurons at the end without inputs. Other neurons without inputs get any sum.
    index = np.append(layer.index, layer.index.dtype.type(0))
    total = np.add.reduceat(index, layer.start[:-1], dtype=np.uint32)
    first = index[layer.start[:-1]]
    return np.lexsort((total, first))


def _reorder_edges(
    layer: Layer, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the CSR offsets of the outputs in this order, and the numbers of their edges."""
    counts = np.diff(layer.start)[order]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    edges = np.repeat(layer.start[:-1][order] - start[:-1], counts) + np.arange(layer.edges)
    return start, edges


def _input_permutation(layer: Layer, order: NDArray[np.int64]) -> Indices:
    """Return the index in a tile of each input of a first layer: in the order of their first use by
    the outputs, which are in this order.

    The inputs of an output of a RadiX-Net's first layer are a power of two apart. Without a
    permutation they share a few sets of the L1 cache, which do not keep them until the next output.
    """
    _, edges = _reorder_edges(layer, order)
    first = np.full(layer.inputs, layer.edges)
    # In reverse, so that the first edge of an input is written last.
    first[layer.index[edges[::-1]]] = np.arange(layer.edges)[::-1]
    permutation = np.empty(layer.inputs, index_dtype(layer.inputs))
    permutation[np.argsort(first, kind="stable")] = np.arange(layer.inputs, dtype=permutation.dtype)
    return permutation
