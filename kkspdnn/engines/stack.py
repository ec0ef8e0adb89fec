"""Layers as the fused workunits take them: those of one form lie together, so that one launch can
go through several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kkspdnn.engines.base import Growth
from kkspdnn.network import Layer
from workunits import fused


@dataclass(frozen=True, eq=False)
class FusedLayer:
    """A layer in the arrays of a stack of layers.

    weights: arguments of the workunit by name, of the whole stack; position: the layer's number in
    it; following: how many layers, this one too, are in the stack from here on
    weight: what all weights of the layer are, or None where they differ
    """

    inputs: int
    outputs: int
    edges: int
    growth: Growth
    workunit: Any
    weights: dict[str, Any]
    weight: Any = None
    position: int = 0
    following: int = 1

    @property
    def form(self) -> tuple[Any, Any]:
        """Layers of one form share one compiled workunit."""
        return self.workunit, self.weights["index"].dtype

    @property
    def fan_in(self) -> int | None:
        """The edges of every output neuron where all have the same number, else None."""
        found: int | None = self.weights.get("fan_in")
        return found

    def counts_exactly(self) -> bool:
        """Whether the layer may be computed by counting the inputs that are 1: its weight times a
        count is, for every count, what adding it up one by one gives in the same type."""
        if self.weight is None or self.fan_in is None or self.fan_in > 255:
            return False
        sums = np.add.accumulate(np.full(self.fan_in, self.weight))
        counts = np.arange(1, self.fan_in + 1).astype(sums.dtype)
        return bool((sums == self.weight * counts).all())


def prepared(layer: Layer) -> FusedLayer:
    """A layer alone, a stack of one. Equal weights are stored once."""
    value = layer.value
    same = bool(value.size) and bool((value == value[0]).all())
    if same:
        value = value[:1].copy()
    fan_in = layer.fan_in
    weights: dict[str, Any]
    if fan_in:
        weights = {
            "index": layer.index.reshape(layer.outputs, fan_in),
            "value": value.reshape(1, 1) if same else value.reshape(layer.outputs, fan_in),
            "fan_in": fan_in,
        }
    else:
        weights = {"start": layer.start, "index": layer.index, "value": value}
    weights |= {"bias": layer.bias, "vary": 0 if same else 1}
    return FusedLayer(
        layer.inputs,
        layer.outputs,
        layer.edges,
        Growth.of(layer),
        fused.fused_fan_in if fan_in else fused.fused_csr,
        weights,
        value[0] if same else None,
    )


def stacked(layers: Sequence[FusedLayer], most: int) -> list[FusedLayer]:
    """The same layers, up to `most` neighbours at a time in the same arrays where they can be."""
    made: list[FusedLayer] = []
    group: list[FusedLayer] = []
    for layer in layers:
        if group and (len(group) == most or not _alike(group[-1], layer)):
            made += _stack(group)
            group = []
        group.append(layer)
    return made + _stack(group)


def _alike(one: FusedLayer, other: FusedLayer) -> bool:
    return (
        one.inputs == one.outputs == other.inputs == other.outputs
        and one.form == other.form
        and one.fan_in == other.fan_in
        and one.weight == other.weight
    )


def _stack(group: list[FusedLayer]) -> list[FusedLayer]:
    if len(group) < 2:
        return group
    weights = dict(group[0].weights)
    joined = ["index", "bias"] if group[0].weight is not None else ["index", "bias", "value"]
    for name in joined:
        weights[name] = np.concatenate([layer.weights[name] for layer in group])
    if "start" in weights:
        edges = np.cumsum([0] + [layer.edges for layer in group])
        parts = [
            layer.weights["start"][:-1] + begin for layer, begin in zip(group, edges, strict=False)
        ]
        weights["start"] = np.concatenate([*parts, edges[-1:]]).astype(np.int64)
    return [
        replace(layer, weights=weights, position=i, following=len(group) - i)
        for i, layer in enumerate(group)
    ]
