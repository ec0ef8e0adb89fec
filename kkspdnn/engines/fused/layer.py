"""Layers as the fused workunits take them: output neurons with the same inputs are neighbours, and
layers of one form lie together, so that one launch can go through several."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.engines.activation import activation
from kkspdnn.engines.overflow_guard import LayerBound
from kkspdnn.model.layers import Activation, BiasTo, Indices, Layer, index_dtype
from kkspdnn.model.matrices import Floats
from kkspdnn.workunits import fused

MOST_DEPTH = 16
"""Layers in one launch, and layers whose weights lie together; also the most between two looks.

A launch takes the host about 20 microseconds (measured, Serial space), a look two launches and a
wait. On a GPU with 60,000 rows of 1,024 neurons, 16 layers take 4 ms at least where the L1 caches
give 30 TB/s, 4 bytes an edge: launches are 2 % of that. They can show where few rows are left: a
layer of 2,000 rows takes 9 microseconds at least, so that the host must not wait after each."""

_WEIGHTS_TO_SUM = tuple(2.0**power for power in range(-24, 25))
"""Equal weights that may be multiplied with the sum of the inputs: a power of two changes no
rounding, as long as no product leaves the range of normal numbers."""

_LEAST_BIAS = 2.0**-64
"""Adding a bias of at least this to a float32 gives 0 or at least 2^-89: where the two nearly
cancel the difference is exact, a multiple of the last place of either. With any of these weights
that stays a normal number. Adding it to 0 gives the bias, and no activation brings values nearer to
0 without making them 0. Where values of both signs cancel, their sum is a multiple of 2^-112, and
of 2^-136 with any of these weights: exact, be it normal or not."""


@dataclass(frozen=True, eq=False)
class FusedLayer:
    """A layer in the arrays of a stack of layers.

    weights: arguments of the workunit by name, of the whole stack; position: the layer's number in
    it; following: how many layers, this one too, are in the stack from here on
    sources, places: uint16 or uint32, where each input and each output neuron is in a tile
    weight: what all weights of the layer are, or None where they differ
    likeness: see `likeness`
    normal: whether its outputs are 0 or far from 0 for the least normal number
    rule: its activation and which sums get the bias; scalars: the same as the workunits take it
    """

    inputs: int
    outputs: int
    edges: int
    growth: LayerBound
    workunit: Any
    weights: dict[str, Any]
    sources: Indices
    places: Indices
    weight: Any
    likeness: Any
    normal: bool
    rule: tuple[Activation, BiasTo]
    scalars: dict[str, Any]
    position: int = 0
    following: int = 1

    @property
    def form(self) -> tuple[Any, Any]:
        """Layers of one form share one compiled workunit."""
        return self.workunit, self.weights["index"].dtype

    @property
    def size(self) -> int:
        """Bytes of the arrays."""
        return sum(int(each.nbytes) for each in self.weights.values() if hasattr(each, "nbytes"))

    @property
    def fan_in(self) -> int | None:
        """The edges of every output neuron where all have the same number, else None."""
        found: int | None = self.weights.get("fan_in")
        return found

    def follows_counts(self, first: FusedLayer) -> bool:
        """Whether this layer may be computed in the same launch as the first one, from counts."""
        return (
            self.workunit is fused.fused_equal
            and self.outputs == first.outputs
            and self.rule == first.rule
        )

    def to_device(self, copy: ToDevice) -> FusedLayer:
        """The layer with each array of its weights copied by `copy`."""
        weights = {
            name: copy(value) if getattr(value, "ndim", 0) else value
            for name, value in self.weights.items()
        }
        return replace(self, weights=weights)

    @cached_property
    def counts_exactly(self) -> bool:
        """Whether the layer may be computed by counting the inputs that are 1: its weight times a
        count is, for every count, what adding it up one by one gives in the same type."""
        if self.weight is None or self.fan_in is None or self.fan_in > 255:
            return False
        with np.errstate(over="ignore"):
            sums = np.add.accumulate(np.full(self.fan_in, self.weight))
            counts = np.arange(1, self.fan_in + 1).astype(sums.dtype)
            exact = sums == self.weight * counts
        return bool(exact.all() and np.isfinite(sums[-1]))


def prepared(layer: Layer, before: FusedLayer | None, ymax: float) -> FusedLayer:
    """A layer alone, a stack of one, whose inputs lie where the layer before has its outputs; those
    of a first layer lie together where they go to the same outputs.

    ymax: the upper limit of the ReLU, may be infinite
    """
    order = _order(layer)
    places = np.empty(layer.outputs, index_dtype(layer.outputs))
    places[order] = np.arange(layer.outputs, dtype=places.dtype)
    sources = _sources(layer, order) if before is None else before.places
    index = sources[layer.index]
    value = layer.value
    weight = _only(value)
    fan_in = layer.fan_in
    weights: dict[str, Any] = {"bias": layer.bias[order]}
    growth = LayerBound.of(layer, ymax)
    dtype = layer.dtype
    scalars = activation(layer, dtype, dtype.type(ymax))
    # A number is unequal to NaN, whatever it is.
    scalars["unbiased"] = dtype.type(0 if layer.bias_to == "nonzero" else np.nan)
    workunit: Any = fused.fused_fan_in
    if fan_in:
        weights |= {"index": index.reshape(layer.outputs, fan_in)[order], "fan_in": fan_in}
        normal = before is not None and before.normal
        if normal and weight is not None and abs(weight) in _WEIGHTS_TO_SUM:
            workunit = fused.fused_equal
            weights["weight"] = weight
            growth = replace(growth, reach=max(growth.reach, float(fan_in)))
        else:
            weights["value"] = value.reshape(layer.outputs, fan_in)[order]
    else:
        workunit = fused.fused_csr
        start, edges = _edges(layer, order)
        weights |= {"start": start, "index": index[edges], "value": value[edges]}
    return FusedLayer(
        inputs=layer.inputs,
        outputs=layer.outputs,
        edges=layer.edges,
        growth=growth,
        workunit=workunit,
        weights=weights,
        sources=sources,
        places=places,
        weight=weight,
        likeness=_likeness(layer, fan_in, weight),
        normal=bool(min(np.abs(layer.bias).min(), scalars["ymax"]) >= _LEAST_BIAS),
        rule=(layer.activation, layer.bias_to),
        scalars=scalars,
    )


def likeness(layer: Layer) -> Any:
    """The same for layers that do the same to a row of equal values, whichever inputs their edges
    come from; None where outputs differ in edges, weights or bias."""
    return _likeness(layer, layer.fan_in, _only(layer.value))


def _likeness(layer: Layer, fan_in: int | None, weight: Any) -> Any:
    bias = _only(layer.bias)
    if weight is None or bias is None or not fan_in:
        return None
    return layer.inputs, layer.outputs, fan_in, weight, bias, layer.activation, layer.bias_to


def _only(numbers: Floats) -> Any:
    """What all of these numbers are, or None where they differ or there is none."""
    return numbers[0] if numbers.size and (numbers == numbers[0]).all() else None


def _order(layer: Layer) -> NDArray[np.int64]:
    """The output neurons sorted by the first of their inputs, then by the sum of their inputs'
    numbers: those with the same inputs, in a RadiX-Net 16, nearly always follow one another."""
    # With a zero behind for neurons at the end that have no inputs; what others get is no matter.
    index = np.append(layer.index, layer.index.dtype.type(0))
    total = np.add.reduceat(index, layer.start[:-1], dtype=np.uint32)
    first = index[layer.start[:-1]]
    return np.lexsort((total, first))


def _edges(layer: Layer, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the outputs in this order: where the edges of each start, and all edges' numbers."""
    counts = np.diff(layer.start)[order]
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    edges = np.repeat(layer.start[:-1][order] - start[:-1], counts) + np.arange(layer.edges)
    return start, edges


def _sources(layer: Layer, order: NDArray[np.int64]) -> Indices:
    """Places for input neurons in the order in which the outputs, in this order, ask for them.

    Where the inputs of an output are as far apart as in a RadiX-Net's first layer, a power of two,
    they fall into few sets of the L1 cache, and the next output does not find them there.
    """
    _, edges = _edges(layer, order)
    first = np.full(layer.inputs, layer.edges)
    # Backwards: of the edges from an input the first in order is the last to be written.
    first[layer.index[edges[::-1]]] = np.arange(layer.edges)[::-1]
    sources = np.empty(layer.inputs, index_dtype(layer.inputs))
    sources[np.argsort(first, kind="stable")] = np.arange(layer.inputs, dtype=sources.dtype)
    return sources


def stacked(
    layers: Iterable[FusedLayer],
    most: int,
    copy: ToDevice = np.ascontiguousarray,
) -> list[FusedLayer]:
    """The same layers, up to `most` neighbours at a time in the same arrays where they can be, and
    these copied by `copy`, to the memory that the workunits access."""
    made: list[FusedLayer] = []
    group: list[FusedLayer] = []
    for layer in layers:
        if group and (len(group) == most or not _alike(group[-1], layer)):
            made += _stack(group, copy)
            group = []
        group.append(layer)
    return made + _stack(group, copy)


def _alike(one: FusedLayer, other: FusedLayer) -> bool:
    return (
        one.inputs == one.outputs == other.inputs == other.outputs
        and one.form == other.form
        and one.fan_in == other.fan_in
        and one.weight == other.weight
        and one.rule == other.rule
    )


def _stack(group: list[FusedLayer], copy: ToDevice) -> list[FusedLayer]:
    if len(group) < 2:
        return [layer.to_device(copy) for layer in group]
    weights = dict(group[0].weights)
    for name in weights.keys() & {"index", "bias", "value"}:
        weights[name] = np.concatenate([layer.weights[name] for layer in group])
    if "start" in weights:
        edges = np.cumsum([0] + [layer.edges for layer in group])
        parts = [
            layer.weights["start"][:-1] + begin for layer, begin in zip(group, edges, strict=False)
        ]
        weights["start"] = np.concatenate([*parts, edges[-1:]]).astype(np.int64)
    stack = replace(group[0], weights=weights).to_device(copy)
    return [
        replace(layer, weights=stack.weights, position=i, following=len(group) - i)
        for i, layer in enumerate(group)
    ]
