"""Base class of peers that keep activations in CSR and call SpGEMM for each layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.peer import YMAX, EdgeCounting, RunResult, matrix_layers
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network


class CsrPeer(ABC):
    """Each layer is Y' = min(max(Y W + b, 0), ymax), on the stored values of Y W in CSR."""

    serial = False
    gpu = False
    edge_counting: EdgeCounting = "products"
    # An edge loads the index and value of an entry of W, and reads and writes a column's sum.
    bytes_per_edge: float | None = 16.0
    env: Mapping[str, str] = {}

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        self._layers = [
            (self.matrix(layer.weights), layer.bias) for layer in matrix_layers(network)
        ]
        self._first = self.matrix(inputs.to_csr(np.float32))
        return 0.0

    def run(self) -> RunResult:
        y = self._first
        for weights, bias in self._layers:
            y = self.multiply(y, weights)
            y.data += bias
            y.data.clip(0, YMAX, out=y.data)
            y.eliminate_zeros()
        rows = self.nonzero_rows(y)
        return RunResult(rows.astype(np.int64) + 1)

    @abstractmethod
    def matrix(self, csr: Any) -> Any:
        """Convert a SciPy CSR array to the library's type, which must have the same interface."""

    @abstractmethod
    def multiply(self, y: Any, weights: Any) -> Any:
        """Return the product Y W as a new matrix."""

    def nonzero_rows(self, y: Any) -> Any:
        """Return the indices of the rows with stored values, as a NumPy array."""
        return np.flatnonzero(np.diff(y.indptr))
