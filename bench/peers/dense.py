"""CSR weights times dense activations: what SciPy, MKL and PyTorch have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.peer import YMAX, Answer, matrix_layers
from bench.peers.dropping import DroppingPeer
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network


class DensePeer(DroppingPeer, ABC):
    """A' = min(max(W^T A + b, 0), ymax), one column of A for each input row."""

    bytes_per_edge: float | None = None
    chunk = 2048
    """Input rows that go through all layers together: they fit into a usual L3 cache."""

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        self._layers = [
            (self.matrix(each.weights.T.tocsr()), each.bias) for each in matrix_layers(network)
        ]
        dense = inputs.to_dense(np.float32)
        self._chunks = [
            self.array(np.ascontiguousarray(dense[begin : begin + self.chunk].T))
            for begin in range(0, inputs.rows, self.chunk)
        ]
        return 0.0

    def run(self) -> Answer:
        found = []
        for number, chunk in enumerate(self._chunks):
            ids = np.arange(chunk.shape[1], dtype=np.int64) + number * self.chunk
            a = chunk
            for weights, bias in self._layers:
                a = self.layer(a, weights, bias)
                if self.drop:
                    living = self.living(a)
                    if self.leave(living):
                        a, ids = self.columns(a, living), ids[living]
                    if ids.size == 0:
                        break
            found.append(ids[self.living(a)] if ids.size else ids)
        return Answer(np.concatenate(found) + 1)

    @abstractmethod
    def matrix(self, csr: Any) -> Any:
        """W^T, a SciPy CSR array, in the library's form."""

    @abstractmethod
    def multiply(self, weights: Any, a: Any) -> Any:
        """A new dense array, W^T A."""

    def array(self, dense: NDArray[np.float32]) -> Any:
        """A dense array in the library's form."""
        return dense

    def layer(self, a: Any, weights: Any, bias: np.float32) -> Any:
        """Product, bias and ReLU."""
        z = self.multiply(weights, a)
        z += bias
        np.clip(z, 0, YMAX, out=z)
        return z

    def living(self, a: Any) -> NDArray[np.bool_]:
        """Which columns have a nonzero value."""
        return np.asarray(a.any(axis=0))

    def columns(self, a: Any, chosen: NDArray[np.bool_]) -> Any:
        """These columns as a new array."""
        return np.ascontiguousarray(a[:, chosen])
