"""Base class of peers that keep dense activations in tiles `a[tile][neuron][lane]`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peer import RunResult, matrix_layers
from bench.peers.zero_rows import ZeroRowPeer
from kkspdnn.device.aligned import aligned_empty
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network

LANES = 64
_CHUNK = 32 * LANES
"""Input rows that pass through all layers as one batch, small enough for a typical L3 cache."""


class TilePeer(ZeroRowPeer, ABC):
    """One kernel call per layer and chunk of rows: gather, multiply, add, bias and ReLU."""

    # One activation per lane; index and weight are loaded once per tile.
    bytes_per_edge: float | None = 4 + 8 / LANES

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        biases = [layer.bias for layer in matrix_layers(network)]
        self._layers = []
        for layer, bias in zip(network.layers, biases, strict=True):
            shape = (layer.outputs, -1)
            index = layer.index.astype(np.int32).reshape(shape)
            full = np.full(layer.outputs, bias)
            self._layers.append(self.weights(index, layer.value.reshape(shape), full))
        neurons = network.inputs
        dense = inputs.to_dense(np.float32)
        self._rows = inputs.rows
        self._chunks = [
            _tiles(np.ascontiguousarray(dense[begin : begin + _CHUNK].T))
            for begin in range(0, inputs.rows, _CHUNK)
        ]
        assert all(layer.outputs == neurons for layer in network.layers)
        return self.compile(neurons, network.layers[0].fan_in or 0, threads)

    def run(self) -> RunResult:
        final_ids = []
        for number, chunk in enumerate(self._chunks):
            begin = number * _CHUNK
            ids = np.arange(begin, min(begin + _CHUNK, self._rows), dtype=np.int64)
            a = chunk
            buffers = [aligned_empty(a.shape, np.float32) for _ in range(2)]
            for position, weights in enumerate(self._layers):
                out = buffers[position % 2][: a.shape[0]]
                self.layer(a, weights, out)
                a = out
                if self.drop:
                    active = _active_rows(a, ids.size)
                    if self.should_compact(active):
                        a, ids = _select_rows(a, active), ids[active]
                    if ids.size == 0:
                        break
            final_ids.append(ids[_active_rows(a, ids.size)])
        return RunResult(np.concatenate(final_ids) + 1)

    def weights(
        self, index: NDArray[np.int32], value: NDArray[Any], bias: NDArray[np.float32]
    ) -> Any:
        """Convert a layer for the kernel: index and value [outputs, fan_in], bias [outputs]."""
        return index, value, bias

    @abstractmethod
    def compile(self, neurons: int, fan_in: int, threads: int) -> float:
        """Compile the kernel and return the seconds that took."""

    @abstractmethod
    def layer(self, a: NDArray[np.float32], weights: Any, out: NDArray[np.float32]) -> None:
        """Compute one layer from `a` to `out`, both [tiles, neurons, LANES]."""


def _tiles(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Copy [neurons, rows] to [tiles, neurons, LANES]; lanes beyond the rows are zero."""
    neurons, rows = columns.shape
    count = -(-rows // LANES)
    filled = np.zeros((neurons, count * LANES), np.float32)
    filled[:, :rows] = columns
    tiles: NDArray[np.float32] = aligned_empty((count, neurons, LANES), np.float32)
    tiles[:] = filled.reshape(neurons, count, LANES).transpose(1, 0, 2)
    return tiles


def _active_rows(a: NDArray[np.float32], rows: int) -> NDArray[np.bool_]:
    """Return which of the rows have a nonzero value."""
    return np.asarray(a.any(axis=1)).reshape(-1)[:rows]


def _select_rows(a: NDArray[np.float32], selected: NDArray[np.bool_]) -> NDArray[np.float32]:
    tile, lane = np.divmod(np.flatnonzero(selected), LANES)
    return _tiles(np.ascontiguousarray(a[tile, :, lane].T))
