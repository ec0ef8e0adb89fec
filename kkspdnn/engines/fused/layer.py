"""Packed layers of the fused engine.

The weights of consecutive layers of the same form are concatenated, so that one launch can compute
several layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.engines.fused.aligned_rows import starts
from kkspdnn.engines.overflow_guard import LayerBound
from kkspdnn.model.layers import Activation, BiasTo, Indices
from kkspdnn.pk.prepared_launch import PreparedLaunch
from kkspdnn.workunits import fused

LAUNCH_ARGUMENTS = (
    *("a", "ranges", "layer", "depth", "buffer", "widest"),
    *("blocks", "width", "parts", "lanes"),
)
"""The arguments of a launch that its group of layers does not determine."""


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
    group_launch: the `launch` of the group; None if the layer is its only one
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
    group_launch: PreparedLaunch | None = None

    @property
    def form(self) -> tuple[Any, Any]:
        """The workunit and the dtype of indices: layers of the same form use the same kernel."""
        return self.workunit, self.weights["index"].dtype

    @property
    def packed_bytes(self) -> int:
        """The bytes of the arrays."""
        return sum(int(each.nbytes) for each in self.weights.values() if hasattr(each, "nbytes"))

    @property
    def grouped(self) -> bool:
        """Whether a launch distributes groups or units of output neurons."""
        return "groups" in self.weights or "units" in self.weights

    @cached_property
    def units(self) -> int:
        """The number of output neurons, or of their groups or units, that a launch distributes."""
        return int(self.weights.get("groups") or self.weights.get("units") or self.outputs)

    @property
    def fan_in(self) -> int | None:
        """The number of edges of each output neuron; None if the numbers differ, or if output
        neurons are in groups."""
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
        return replace(self, weights=weights, group_launch=None)

    @cached_property
    def launch(self) -> PreparedLaunch:
        """The launch of the workunit with the arguments that all launches of the group share."""
        if self.group_launch is not None:
            return self.group_launch
        zero = self.scalars["low"].dtype.type(0)
        arguments = {**self.weights, **self.scalars, "zero": zero, "outputs": self.outputs}
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
        and one.units == other.units
        and one.weight == other.weight
        and one.rule == other.rule
    )


def _concatenate_weights(group: list[FusedLayer], copy: ToDevice) -> list[FusedLayer]:
    if len(group) < 2:
        return [layer.to_device(copy) for layer in group]
    weights = dict(group[0].weights)
    for name in weights.keys() & {"index", "bias", "value", "size", "first_output", "neuron"}:
        weights[name] = np.concatenate([layer.weights[name] for layer in group])
    if "start" in weights:
        begins = starts(np.array([layer.weights["index"].shape[0] for layer in group]))
        weights["start"] = np.concatenate(
            [layer.weights["start"] + begin for layer, begin in zip(group, begins, strict=True)]
        )
    shared = replace(group[0], weights=weights).to_device(copy)
    return [
        replace(
            layer,
            weights=shared.weights,
            group_index=i,
            group_remaining=len(group) - i,
            group_launch=shared.launch,
        )
        for i, layer in enumerate(group)
    ]
