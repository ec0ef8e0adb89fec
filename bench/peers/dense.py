"""Base class of peers that multiply CSR weights with dense activations (SpMM)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peer import YMAX, RunResult, matrix_layers
from bench.peers.zero_rows import ZeroRowPeer
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network


class DensePeer(ZeroRowPeer, ABC):
    """Each layer is A' = min(max(W^T A + b, 0), ymax); each column of A belongs to an input row."""

    bytes_per_edge: float | None = None
    chunk = 2048
    """Input rows that pass through all layers as one batch, small enough for a typical L3 cache."""

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        self._layers = [
            (self.matrix(layer.weights.T.tocsr()), layer.bias) for layer in matrix_layers(network)
        ]
        dense = inputs.to_dense(np.float32)
        self._chunks = [
            self.array(np.ascontiguousarray(dense[begin : begin + self.chunk].T))
            for begin in range(0, inputs.rows, self.chunk)
        ]
        return 0.0

    def run(self) -> RunResult:
        final_ids = []
        for number, chunk in enumerate(self._chunks):
            ids = np.arange(chunk.shape[1], dtype=np.int64) + number * self.chunk
            a = chunk
            for weights, bias in self._layers:
                a = self.layer(a, weights, bias)
                if self.drop:
                    active = self.active_columns(a)
                    if self.should_compact(active):
                        a, ids = self.select_columns(a, active), ids[active]
                    if ids.size == 0:
                        break
            final_ids.append(ids[self.active_columns(a)] if ids.size else ids)
        return RunResult(np.concatenate(final_ids) + 1)

    @abstractmethod
    def matrix(self, csr: Any) -> Any:
        """Convert W^T, a SciPy CSR array, to the library's type."""

    @abstractmethod
    def multiply(self, weights: Any, a: Any) -> Any:
        """Return W^T A as a new dense array."""

    def array(self, dense: NDArray[np.float32]) -> Any:
        """Convert a dense array to the library's type."""
        return dense

    def layer(self, a: Any, weights: Any, bias: np.float32) -> Any:
        """Return the activations after one layer: product, bias and ReLU."""
        z = self.multiply(weights, a)
        z += bias
        np.clip(z, 0, YMAX, out=z)
        return z

    def active_columns(self, a: Any) -> NDArray[np.bool_]:
        """Return which columns have a nonzero value."""
        return np.asarray(a.any(axis=0))

    def select_columns(self, a: Any, selected: NDArray[np.bool_]) -> Any:
        """Return the selected columns as a new array."""
        return np.ascontiguousarray(a[:, selected])
