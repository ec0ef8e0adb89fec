"""Packed layers of the fused engine.

Output neurons with the same inputs become neighbours, and the weights of consecutive layers of the
same form are concatenated, so that one launch can compute several layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.engines.activation import activation_arguments
from kkspdnn.engines.overflow_guard import LayerBound
from kkspdnn.model.layers import Activation, BiasTo, Indices, Layer, index_dtype
from kkspdnn.model.matrices import Floats
from kkspdnn.pk.prepared_launch import PreparedLaunch
from kkspdnn.workunits import fused

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

LAUNCH_ARGUMENTS = "a", "depth", "buffer", "widest", "blocks", "width", "lanes"
"""The arguments of a launch that are not properties of its first layer."""


@dataclass(frozen=True, eq=False)
class FusedLayer:
    """A packed layer.

    weights: arguments of the workunit by name, of all layers of the group
    input_permutation, output_permutation: uint16 or uint32, index of each neuron in a tile
    weight: the common weight of all edges; None: the weights differ
    uniform_signature: see `uniform_signature`
    no_subnormals: whether the activations are 0 or far above the smallest normal number
    rule: activation and bias_to of the layer; scalars: the same as arguments of the workunit
    group_index: index of this layer in its group
    group_remaining: number of layers from this one to the end of its group
    """

    inputs: int
    outputs: int
    edges: int
    bound: LayerBound
    workunit: Any
    weights: dict[str, Any]
    input_permutation: Indices
    output_permutation: Indices
    weight: Any
    uniform_signature: Any
    no_subnormals: bool
    rule: tuple[Activation, BiasTo]
    scalars: dict[str, Any]
    group_index: int = 0
    group_remaining: int = 1

    @property
    def form(self) -> tuple[Any, Any]:
        """The workunit and the dtype of indices: layers of the same form use the same kernel."""
        return self.workunit, self.weights["index"].dtype

    @property
    def packed_bytes(self) -> int:
        """The bytes of the arrays."""
        return sum(int(each.nbytes) for each in self.weights.values() if hasattr(each, "nbytes"))

    @property
    def fan_in(self) -> int | None:
        """The number of edges of each output neuron; None if the numbers differ."""
        fan_in: int | None = self.weights.get("fan_in")
        return fan_in

    def can_follow_counts(self, first: FusedLayer) -> bool:
        """Whether one launch can compute `first`, the first layer, from counts and then this layer,
        the second."""
        return (
            self.workunit is fused.fused_equal
            and self.outputs == first.outputs
            and self.rule == first.rule
        )

    def to_device(self, copy: ToDevice) -> FusedLayer:
        """Return the layer with the arrays of `weights` copied by `copy`."""
        weights = {
            name: copy(value) if getattr(value, "ndim", 0) else value
            for name, value in self.weights.items()
        }
        return replace(self, weights=weights)

    @cached_property
    def launch(self) -> PreparedLaunch:
        """The launch of the workunit with the arguments that all launches of this layer share."""
        arguments = {
            **self.weights,
            **self.scalars,
            "zero": self.scalars["low"].dtype.type(0),
            "layer": self.group_index,
            "outputs": self.outputs,
        }
        return PreparedLaunch("fused", self.workunit, arguments, LAUNCH_ARGUMENTS)

    @cached_property
    def counts_exactly(self) -> bool:
        """Whether the layer can be computed by counting the inputs that are 1: for each possible
        count, its product with the weight equals the sum of that number of weights in the dtype."""
        if self.weight is None or self.fan_in is None or self.fan_in > 255:
            return False
        with np.errstate(over="ignore"):
            sums = np.add.accumulate(np.full(self.fan_in, self.weight))
            counts = np.arange(1, self.fan_in + 1).astype(sums.dtype)
            exact = sums == self.weight * counts
        return bool(exact.all() and np.isfinite(sums[-1]))


def pack_layer(layer: Layer, previous: FusedLayer | None, ymax: float) -> FusedLayer:
    """Pack a layer as a group of one.

    previous: the packed layer before this one, whose output permutation is the input permutation of
    this one; None for the first layer, whose inputs are permuted so that the inputs of an output
    are close to each other
    ymax: upper limit of the ReLU, may be infinite
    """
    order = _output_order(layer)
    output_permutation = np.empty(layer.outputs, index_dtype(layer.outputs))
    output_permutation[order] = np.arange(layer.outputs, dtype=output_permutation.dtype)
    if previous is None:
        input_permutation = _input_permutation(layer, order)
    else:
        input_permutation = previous.output_permutation
    index = input_permutation[layer.index]
    value = layer.value
    weight = _common_value(value)
    fan_in = layer.fan_in
    weights: dict[str, Any] = {"bias": layer.bias[order]}
    bound = LayerBound.of(layer, ymax)
    dtype = layer.dtype
    scalars = activation_arguments(layer, dtype, dtype.type(ymax))
    # All numbers differ from NaN.
    scalars["unbiased"] = dtype.type(0 if layer.bias_to == "nonzero" else np.nan)
    workunit: Any = fused.fused_fan_in
    if fan_in:
        weights |= {"index": index.reshape(layer.outputs, fan_in)[order], "fan_in": fan_in}
        normal = previous is not None and previous.no_subnormals
        if normal and weight is not None and abs(weight) in _SUMMED_WEIGHTS:
            workunit = fused.fused_equal
            weights["weight"] = weight
            bound = replace(bound, gain=max(bound.gain, float(fan_in)))
        else:
            weights["value"] = value.reshape(layer.outputs, fan_in)[order]
    else:
        workunit = fused.fused_csr
        start, edges = _reorder_edges(layer, order)
        weights |= {"start": start, "index": index[edges], "value": value[edges]}
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
        uniform_signature=_signature(layer, fan_in, weight),
        no_subnormals=bool(min(np.abs(layer.bias).min(), scalars["ymax"]) >= _MIN_BIAS),
        rule=(layer.activation, layer.bias_to),
        scalars=scalars,
    )


def uniform_signature(layer: Layer) -> Any:
    """Return a signature of the outputs of a layer for rows of one value: they are equal for layers
    with the same signature. None if the fan-ins, weights or biases of the outputs differ."""
    return _signature(layer, layer.fan_in, _common_value(layer.value))


def _signature(layer: Layer, fan_in: int | None, weight: Any) -> Any:
    bias = _common_value(layer.bias)
    if weight is None or bias is None or not fan_in:
        return None
    return layer.inputs, layer.outputs, fan_in, weight, bias, layer.activation, layer.bias_to


def _common_value(numbers: Floats) -> Any:
    """Return the value of all numbers; None if they differ or there are none."""
    return numbers[0] if numbers.size and (numbers == numbers[0]).all() else None


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


def group_layers(
    layers: Iterable[FusedLayer],
    max_layers: int,
    copy: ToDevice = np.ascontiguousarray,
) -> list[FusedLayer]:
    """Concatenate the weights of up to `max_layers` consecutive layers if one launch can compute
    them, and copy all weights by `copy`."""
    grouped: list[FusedLayer] = []
    group: list[FusedLayer] = []
    for layer in layers:
        if group and (len(group) == max_layers or not _can_share_launch(group[-1], layer)):
            grouped += _concatenate_weights(group, copy)
            group = []
        group.append(layer)
    return grouped + _concatenate_weights(group, copy)


def _can_share_launch(one: FusedLayer, other: FusedLayer) -> bool:
    return (
        one.inputs == one.outputs == other.inputs == other.outputs
        and one.form == other.form
        and one.fan_in == other.fan_in
        and one.weight == other.weight
        and one.rule == other.rule
    )


def _concatenate_weights(group: list[FusedLayer], copy: ToDevice) -> list[FusedLayer]:
    if len(group) < 2:
        return [layer.to_device(copy) for layer in group]
    weights = dict(group[0].weights)
    for name in weights.keys() & {"index", "bias", "value"}:
        weights[name] = np.concatenate([layer.weights[name] for layer in group])
    if "start" in weights:
        edges = np.cumsum([0] + [layer.edges for layer in group])
        starts = [
            layer.weights["start"][:-1] + begin for layer, begin in zip(group, edges, strict=False)
        ]
        weights["start"] = np.concatenate([*starts, edges[-1:]]).astype(np.int64)
    shared = replace(group[0], weights=weights).to_device(copy)
    return [
        replace(layer, weights=shared.weights, group_index=i, group_remaining=len(group) - i)
        for i, layer in enumerate(group)
    ]
