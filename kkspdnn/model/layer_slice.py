"""Layer slices: consecutive layers of a network as a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from numpy.typing import DTypeLike

from kkspdnn.errors import InputError
from kkspdnn.model.layers import Layer, LazyLayers
from kkspdnn.model.network import Network


class _LazySlice(LazyLayers):
    """A range of lazy layers. Each layer is made on access, as in the sequence that is sliced."""

    def __init__(self, layers: LazyLayers, positions: range) -> None:
        self._layers, self._positions = layers, positions
        self.inputs = layers[positions[0]].inputs
        self.outputs = layers[positions[-1]].outputs
        self.edges = layers.edges * len(positions) // len(layers)
        self.dtype = layers.dtype

    def __len__(self) -> int:
        return len(self._positions)

    def make(self, position: int) -> Layer:
        return self._layers[self._positions[position]]

    def astype(self, dtype: DTypeLike) -> _LazySlice:
        return _LazySlice(self._layers.astype(dtype), self._positions)


def slice_network(network: Network, positions: range) -> Network:
    """The layers at `positions` (consecutive, from 0) as a network. Lazy layers stay lazy."""
    if not positions:
        width = network.outputs
        if positions.start < len(network.layers):
            width = network.layers[positions.start].inputs
        return replace(network, layers=(), inputs=width)
    layers: Sequence[Layer]
    if isinstance(network.layers, LazyLayers):
        layers = _LazySlice(network.layers, positions)
    else:
        layers = network.layers[positions.start : positions.stop]
    return replace(network, layers=layers, inputs=layers[0].inputs)


@contextmanager
def renumber_layer_errors(begin: int) -> Iterator[None]:
    """Number layers in error messages as in the whole network, not as in a layer slice.

    begin: the position in the whole network, from 0, of the first layer of the slice
    """
    try:
        yield
    except InputError as error:
        if error.layer is None:
            raise
        raise InputError(error.message, layer=error.layer + begin) from error
