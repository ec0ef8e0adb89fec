"""Some neighbouring layers of a network as a network of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from numpy.typing import DTypeLike

from kkspdnn.errors import InputError
from kkspdnn.model.network import Layer, LazyLayers, Network


class _Some(LazyLayers):
    """Layers of others, made when they are asked for."""

    def __init__(self, layers: LazyLayers, span: range) -> None:
        self._layers, self._span = layers, span
        self.inputs = layers[span[0]].inputs
        self.outputs = layers[span[-1]].outputs
        self.edges = layers.edges * len(span) // len(layers)
        self.dtype = layers.dtype

    def __len__(self) -> int:
        return len(self._span)

    def make(self, position: int) -> Layer:
        return self._layers[self._span[position]]

    def astype(self, dtype: DTypeLike) -> _Some:
        return _Some(self._layers.astype(dtype), self._span)


def slice_network(network: Network, span: range) -> Network:
    """The layers `span` of a network; lazy ones stay lazy."""
    if not span:
        width = network.outputs
        if span.start < len(network.layers):
            width = network.layers[span.start].inputs
        return replace(network, layers=(), inputs=width)
    layers: Sequence[Layer]
    if isinstance(network.layers, LazyLayers):
        layers = _Some(network.layers, span)
    else:
        layers = network.layers[span.start : span.stop]
    return replace(network, layers=layers, inputs=layers[0].inputs)


@contextmanager
def renumber_layer_errors(begin: int) -> Iterator[None]:
    """Raise what is wrong with a layer of a span with its number in the whole network."""
    try:
        yield
    except InputError as error:
        text = re.sub(r"^layer (\d+)", lambda found: f"layer {int(found[1]) + begin}", str(error))
        raise InputError(text) from error
