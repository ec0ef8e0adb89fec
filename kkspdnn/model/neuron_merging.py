"""
Equal neurons, computed once: outputs of a layer that are the same for every input row are folded
into one, and the next layer adds up their outgoing weights.

Two outputs are equal where they have the same bias and, for each class of equal inputs, the same
sum of weights; outputs without edges are 0 whatever their bias where it goes to nonzero sums. So
folding cascades from layer to layer, from the first layer on, whose inputs are data and no two of
them equal. Nothing is taken on trust: edges are compared byte for byte (a Python dict compares keys
whose hashes agree), and where float64 could round a sum of weights, outputs count as equal only if
their weights are the same from class to class, one by one.

What rounding may change. Merged weights are rounded and sums taken in another order, so values
differ from those of the unfolded network by rounding only, within `kkspdnn.verify.error_bound`.
Where no sum or product of either computation rounds, they are equal bit for bit. A sum is exactly
0, and so gets no bias, in both alike where an output's weights and its inputs have one sign and no
product underflows, as in the challenge's networks (every weight 1/16): it is then 0 only if every
input is. Otherwise the bound does not hold for a sum that is exactly 0 in one of them only: terms
that cancel vanish here with their weight, and may leave a rounding error, which then gets the bias,
unfolded; or the other way round.

So a category may differ only where every value of the row is within the bound of 0, or after such
a sum. That does happen where exact sums are 0 by construction: in a RadiX-Net of 64 neurons five
biases are -1, and after 4 layers a few rows are 0 here and 3e-7 unfolded.
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
from kkspdnn.model.matrices import Floats
from kkspdnn.model.network import BiasTo, Layer, Network, index_dtype

_EDGE_BYTES, _OUTPUT_BYTES = 96, 256
"""What folding a layer takes at most, as measured: edges are sorted, outputs are keys of a dict."""


@dataclass(frozen=True, eq=False)
class MergedNetwork:
    """
    A network with its equal neurons folded into classes.

    network: the folded one, its inputs those of the given one and its layers held in memory
    outputs: int64, for each output neuron of the given network its class, an output of `network`
    neurons: of all layers of the given network, without the input rows
    """

    network: Network
    outputs: NDArray[np.int64]
    neurons: int

    @property
    def neurons_after(self) -> int:
        """Neurons of all layers of the folded network."""
        return sum(layer.outputs for layer in self.network.layers)

    def expand(self, values: sp.csr_array) -> sp.csr_array:
        """Values of the folded network's outputs, CSR (rows, classes), as (rows, outputs)."""
        expanded = sp.csr_array(values[:, self.outputs])
        expanded.sort_indices()
        return expanded


def merge_neurons(
    network: Network,
    report: Callable[[float], None] = lambda done: None,
    budget: Budget | None = None,
) -> MergedNetwork:
    """
    Fold the equal neurons of every layer; layers are made one at a time and not held.

    report: called after each layer with the part that is done, 0 to 1; budget: of memory, None: all
    that is free. InputError where a merged
    weight overflows the network's dtype or the folded layers do not fit into memory.
    """
    inputs, classes = network.inputs, np.arange(network.inputs)
    memory = Budget() if budget is None else budget
    layers: list[Layer] = []
    neurons, depth = 0, len(network.layers)
    for number in range(1, depth + 1):
        given = network.layers[number - 1]
        needed = _EDGE_BYTES * given.edges + _OUTPUT_BYTES * given.outputs
        memory.require(needed, f"--fold: the neurons of layer {number}")
        try:
            layer, classes = merge_layer(given, classes, inputs)
        except InputError as error:
            raise InputError(f"layer {number}: {error}") from error
        layers.append(layer)
        inputs = layer.outputs
        neurons += given.outputs
        report(number / depth)
    return MergedNetwork(replace(network, layers=layers), classes, neurons)


def merge_layer(
    layer: Layer, classes: NDArray[np.int64], inputs: int
) -> tuple[Layer, NDArray[np.int64]]:
    """
    The folded layer, and int64[outputs] for each output of `layer` its class there.

    classes: int64[layer.inputs], for each input its class, of `inputs`. Classes are numbered in the
    order of their first neurons. InputError where a merged weight overflows the layer's dtype.
    """
    columns = _Columns(layer.start, layer.index, layer.value, layer.bias)
    # Outputs that are equal already need not be merged one by one.
    first, found = _equal(columns, layer.bias_to)
    columns = columns.take(first)
    if inputs < layer.inputs:
        columns, compared = _merge(columns, classes, inputs)
        first, again = _equal(compared, layer.bias_to)
        columns, found = columns.take(first), again[found]
    with np.errstate(over="ignore"):
        value: Floats = columns.value.astype(layer.dtype)
    if not np.isfinite(value).all():
        raise InputError(
            f"the weights of equal inputs add up to more than {layer.dtype} holds; "
            "leave out --fold or use float64"
        )
    folded = replace(
        layer,
        inputs=inputs,
        outputs=int(first.size),
        start=columns.start,
        index=columns.index.astype(index_dtype(inputs)),
        value=value,
        bias=columns.bias,
    )
    return folded, found


@dataclass(frozen=True, eq=False)
class _Columns:
    """Edges by output neuron, as in Layer; `index` may say one input more than once."""

    start: NDArray[np.int64]
    index: NDArray[Any]
    value: Floats
    bias: Floats

    def take(self, outputs: NDArray[np.int64]) -> _Columns:
        """Some of the outputs, by number."""
        counts = np.diff(self.start)[outputs]
        start = _offsets(counts)
        edges = np.arange(start[-1]) + np.repeat(self.start[outputs] - start[:-1], counts)
        return _Columns(start, self.index[edges], self.value[edges], self.bias[outputs])


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))


def _equal(columns: _Columns, bias_to: BiasTo) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first output of each class, ascending, and for each output its class."""
    index, value = columns.index, columns.value
    packed = np.empty(index.size, [("index", index.dtype), ("value", value.dtype)])
    packed["index"], packed["value"] = index, value
    edges, size = packed.tobytes(), packed.itemsize
    bounds = (size * columns.start).tolist()
    # As dict keys 0.0 and -0.0 are one.
    gets_bias = (np.diff(columns.start) > 0) | (bias_to == "all")
    biases = np.where(gets_bias, columns.bias, 0).tolist()
    seen: dict[tuple[bytes, float], int] = {}
    found = np.array(
        [
            seen.setdefault((edges[begin:end], bias), len(seen))
            for begin, end, bias in zip(bounds, bounds[1:], biases, strict=False)
        ]
    )
    return np.unique(found, return_index=True)[1], found


def _merge(columns: _Columns, classes: NDArray[np.int64], inputs: int) -> tuple[_Columns, _Columns]:
    """
    Edges from classes of inputs, weights summed in float64 without those of 0; and what tells
    outputs apart: the same where no sum can have been rounded, else the edges before summing.
    """
    outputs = columns.bias.size
    output = np.repeat(np.arange(outputs), np.diff(columns.start))
    key = output * inputs + classes[columns.index]
    value = columns.value.astype(np.float64)
    exact = _adds_exactly(value, int(np.diff(columns.start).max()))
    # Where the sums cannot tell, equal weights from one class must stand in one order.
    order = np.argsort(key, kind="stable") if exact else np.lexsort((value, key))
    key, value = key[order], value[order]
    begins = np.flatnonzero(np.diff(key, prepend=-1))
    with np.errstate(over="ignore"):
        sums = np.add.reduceat(value, begins) if begins.size else value
    kept = sums != 0
    source = key[begins][kept]
    counts = np.bincount(source // inputs, minlength=outputs)
    merged = _Columns(_offsets(counts), source % inputs, sums[kept], columns.bias)
    return merged, merged if exact else replace(columns, index=key % inputs, value=value)


def _adds_exactly(value: NDArray[np.float64], terms: int) -> bool:
    """
    Whether float64 holds every sum of up to `terms` of these numbers, none of which is 0.

    All are whole multiples of their least bit; so are the sums, and those to 2^53 of it are exact.
    """
    if value.size == 0:
        return True
    mantissa, exponent = np.frexp(value)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    least = np.ldexp((whole & -whole).astype(np.float64), exponent - 53).min()
    with np.errstate(over="ignore"):
        return bool(terms * (np.abs(value).max() / least) <= 2.0**53)
