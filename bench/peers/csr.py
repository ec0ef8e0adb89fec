"""SpGEMM after SpGEMM, CSR activations: what SciPy, MKL and cuSPARSE have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.peer import YMAX, Answer, Work, matrix_layers
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network


class CsrPeer(ABC):
    """Y' = min(max(Y W + b, 0), ymax) on the stored values of a CSR product."""

    serial = False
    gpu = False
    work: Work = "products"
    # a product loads index and value of W's entry, and reads and writes the sum of its column
    bytes_per_edge: float | None = 16.0
    environment: Mapping[str, str] = {}

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        self._layers = [(self.matrix(e.weights), e.bias) for e in matrix_layers(network)]
        self._first = self.matrix(inputs.to_csr(np.float32))
        return 0.0

    def run(self) -> Answer:
        y = self._first
        for weights, bias in self._layers:
            y = self.multiply(y, weights)
            y.data += bias
            y.data.clip(0, YMAX, out=y.data)
            y.eliminate_zeros()
        rows = self.nonzero_rows(y)
        return Answer(rows.astype(np.int64) + 1)

    @abstractmethod
    def matrix(self, csr: Any) -> Any:
        """A SciPy CSR array in the library's form, which has SciPy's interface."""

    @abstractmethod
    def multiply(self, y: Any, weights: Any) -> Any:
        """A new matrix, their product."""

    def nonzero_rows(self, y: Any) -> Any:
        """The numbers of the rows with stored values, as a NumPy array."""
        return np.flatnonzero(np.diff(y.indptr))
