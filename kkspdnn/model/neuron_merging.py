"""
Neuron merging: equal neurons of a layer are merged into one, so that they are computed once.

Two outputs of a layer are equal if they have the same bias and, for each class of equal inputs, the
same sum of weights. Outputs without edges are 0 for any bias if the bias is added to nonzero sums
only; then all of them are equal. Each class of equal outputs becomes one neuron, and the next layer
adds up the weights of their outgoing edges. Merging starts at the first layer, whose inputs are
data and all different, and cascades: merged inputs make more outputs equal.

Equality is exact. Edges are compared byte for byte (a Python dict compares keys whose hashes
agree). If float64 could round a sum of weights, outputs count as equal only if they have the same
multiset of weights for each class of inputs.

Rounding: merged weights are rounded and sums are computed in another order, so values differ from
those of the original network, within `kkspdnn.verify.error_bound`. If no sum or product of either
computation rounds, values are equal bit for bit.

Exact zeros: if the bias is added to nonzero sums only, a sum that is exactly 0 gets no bias. If the
weights of an output and its inputs all have one sign and no product underflows, as in the
challenge's networks (all weights are 1/16), a sum is 0 only if all its inputs are 0, in both
networks alike. Otherwise a sum may be exactly 0 in one network only, and the error bound does not
hold. For example, terms that cancel disappear in the merged network, but leave a rounding error in
the original network, where the bias is added to it.

A category may therefore differ only if all values of the row are within the bound of 0, or after
such a sum. This happens if exact sums are 0 by construction: in a RadiX-Net of 64 neurons five
biases add up to -1, and after 4 layers the values of a few rows are 0 in the merged network and
3e-7 in the original one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.model.layers import BiasTo, Layer, index_dtype
from kkspdnn.model.matrices import Floats
from kkspdnn.model.network import Network

_EDGE_BYTES, _OUTPUT_BYTES = 96, 256
"""Measured maximum memory to merge a layer: edges are sorted, and outputs are keys of a dict."""


@dataclass(frozen=True, eq=False)
class MergedNetwork:
    """
    A network with merged neurons, and how it relates to the original network.

    network: the merged network, with the original inputs and all layers in memory
    outputs: int64[outputs], the output of `network` that computes each original output
    neurons: the number of neurons of all layers of the original network, without the input rows
    """

    network: Network
    outputs: NDArray[np.int64]
    neurons: int

    @property
    def neurons_after(self) -> int:
        """The number of neurons of all layers of the merged network, without the input rows."""
        return sum(layer.outputs for layer in self.network.layers)

    def expand(self, values: sp.csr_array) -> sp.csr_array:
        """Outputs of the merged network, CSR, as outputs of the original network, CSR."""
        expanded = sp.csr_array(values[:, self.outputs])
        expanded.sort_indices()
        return expanded


def merge_neurons(
    network: Network,
    on_progress: Callable[[float], None] = lambda fraction: None,
    budget: Budget | None = None,
) -> MergedNetwork:
    """
    Merge the equal neurons of all layers. Lazy layers are made one at a time.

    on_progress: called after each layer with the completed fraction, 0 to 1
    budget: the memory budget; None: the free memory

    InputError if a merged weight overflows the network's dtype, or if there is too little memory.
    """
    inputs, classes = network.inputs, np.arange(network.inputs)
    memory = Budget() if budget is None else budget
    layers: list[Layer] = []
    neurons, depth = 0, len(network.layers)
    for number in range(1, depth + 1):
        original = network.layers[number - 1]
        needed = _EDGE_BYTES * original.edges + _OUTPUT_BYTES * original.outputs
        memory.require(needed, f"fold=True: the neurons of layer {number}")
        try:
            layer, classes = merge_layer(original, classes, inputs)
        except InputError as error:
            raise InputError(str(error), layer=number) from error
        layers.append(layer)
        inputs = layer.outputs
        neurons += original.outputs
        on_progress(number / depth)
    return MergedNetwork(replace(network, layers=layers), classes, neurons)


def merge_layer(
    layer: Layer, input_classes: NDArray[np.int64], inputs: int
) -> tuple[Layer, NDArray[np.int64]]:
    """
    Merge equal inputs and equal outputs of a layer.

    input_classes: int64[layer.inputs], the class of each input
    inputs: the number of classes of inputs

    Returns the merged layer, and int64[layer.outputs] with the class of each output. Classes are
    numbered in the order of their first neurons. InputError if a merged weight overflows the
    layer's dtype.
    """
    edges = _OutputEdges(layer.start, layer.index, layer.value, layer.bias)
    # Outputs that are equal before their inputs are merged need not be processed one by one.
    first, output_classes = _equal_outputs(edges, layer.bias_to)
    edges = edges.select_outputs(first)
    if inputs < layer.inputs:
        edges, keys = _merge_inputs(edges, input_classes, inputs)
        first, classes_of_first = _equal_outputs(keys, layer.bias_to)
        edges, output_classes = edges.select_outputs(first), classes_of_first[output_classes]
    with np.errstate(over="ignore"):
        value: Floats = edges.value.astype(layer.dtype)
    if not np.isfinite(value).all():
        raise InputError(
            f"the weights of equal inputs add up to more than {layer.dtype} holds; "
            "leave out fold=True or use float64"
        )
    merged = replace(
        layer,
        inputs=inputs,
        outputs=int(first.size),
        start=edges.start,
        index=edges.index.astype(index_dtype(inputs)),
        value=value,
        bias=edges.bias,
    )
    return merged, output_classes


@dataclass(frozen=True, eq=False)
class _OutputEdges:
    """Edges by output neuron, as in Layer, but an input may occur more than once in `index`."""

    start: NDArray[np.int64]
    index: NDArray[Any]
    value: Floats
    bias: Floats

    def select_outputs(self, outputs: NDArray[np.int64]) -> _OutputEdges:
        """The edges of the outputs with these numbers, in this order."""
        counts = np.diff(self.start)[outputs]
        start = _offsets(counts)
        edges = np.arange(start[-1]) + np.repeat(self.start[outputs] - start[:-1], counts)
        return _OutputEdges(start, self.index[edges], self.value[edges], self.bias[outputs])


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


def _equal_outputs(
    edges: _OutputEdges, bias_to: BiasTo
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first output of each class of equal outputs, ascending, and the class of each output."""
    index, value = edges.index, edges.value
    packed = np.empty(index.size, [("index", index.dtype), ("value", value.dtype)])
    packed["index"], packed["value"] = index, value
    content, size = packed.tobytes(), packed.itemsize
    bounds = (size * edges.start).tolist()
    # 0.0 and -0.0 are equal as keys of a dict.
    gets_bias = (np.diff(edges.start) > 0) | (bias_to == "all")
    biases = np.where(gets_bias, edges.bias, 0).tolist()
    class_of: dict[tuple[bytes, float], int] = {}
    classes = np.array(
        [
            class_of.setdefault((content[begin:end], bias), len(class_of))
            for begin, end, bias in zip(bounds, bounds[1:], biases, strict=False)
        ]
    )
    return np.unique(classes, return_index=True)[1], classes


def _merge_inputs(
    edges: _OutputEdges, input_classes: NDArray[np.int64], inputs: int
) -> tuple[_OutputEdges, _OutputEdges]:
    """
    Replace inputs by their classes and add up the weights in float64. Weights of 0 are dropped.

    Returns the merged edges, and the edges by which outputs are compared: the merged edges if no
    sum can have been rounded, else the edges before the summation.
    """
    outputs = edges.bias.size
    output = np.repeat(np.arange(outputs), np.diff(edges.start))
    key = output * inputs + input_classes[edges.index]
    value = edges.value.astype(np.float64)
    exact = _adds_exactly(value, int(np.diff(edges.start).max()))
    # If weights are compared one by one, those of a class must be in a fixed order.
    order = np.argsort(key, kind="stable") if exact else np.lexsort((value, key))
    key, value = key[order], value[order]
    begins = np.flatnonzero(np.diff(key, prepend=-1))
    with np.errstate(over="ignore"):
        sums = np.add.reduceat(value, begins) if begins.size else value
    nonzero = sums != 0
    merged_key = key[begins][nonzero]
    counts = np.bincount(merged_key // inputs, minlength=outputs)
    merged = _OutputEdges(_offsets(counts), merged_key % inputs, sums[nonzero], edges.bias)
    return merged, merged if exact else replace(edges, index=key % inputs, value=value)


def _adds_exactly(value: NDArray[np.float64], terms: int) -> bool:
    """
    Whether float64 holds every sum of up to `terms` of these numbers, none of which is 0.

    All numbers and sums are multiples of the lowest bit of any number. Multiples up to 2^53 are
    exact in float64.
    """
    if value.size == 0:
        return True
    mantissa, exponent = np.frexp(value)
    integer = np.ldexp(mantissa, 53).astype(np.int64)
    lowest = np.ldexp((integer & -integer).astype(np.float64), exponent - 53).min()
    with np.errstate(over="ignore"):
        return bool(terms * (np.abs(value).max() / lowest) <= 2.0**53)
