"""SuiteSparse:GraphBLAS through python-graphblas.

The operations follow T. Davis, M. Aznaveh and S. Kolodziej, "Write Quick, Run Fast", HPEC 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.peer import (
    YMAX,
    EdgeCounting,
    RunResult,
    matrix_layers,
    missing_package,
    package_version,
)
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network


class GraphBlas:
    """Each layer: mxm over plus_times, bias, selection of the values above 0, upper limit."""

    name = "graphblas"
    label = "SuiteSparse:GraphBLAS"
    serial = False
    gpu = False
    edge_counting: EdgeCounting = "products"
    bytes_per_edge: float | None = None  # unknown: the library chooses its accumulators
    env: Mapping[str, str] = {}

    def available(self) -> str | None:
        return missing_package("graphblas", "python-graphblas")

    def version(self) -> str:
        return package_version("suitesparse-graphblas")

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        import graphblas as gb

        gb.ss.config["nthreads"] = threads
        self._layers = [(_matrix(layer.weights), layer.bias) for layer in matrix_layers(network)]
        self._first = _matrix(inputs.to_csr(np.float32))
        return 0.0

    def run(self) -> RunResult:
        from graphblas import binary, monoid, select, semiring

        y = self._first
        for weights, bias in self._layers:
            y = y.mxm(weights, semiring.plus_times).new()
            y << y.apply(binary.plus, right=bias)
            y << select.valuegt(y, 0)
            y << y.apply(binary.min, right=YMAX)
        rows, _ = y.reduce_rowwise(monoid.max).new().to_coo(values=False)
        return RunResult(np.sort(rows).astype(np.int64) + 1)


def _matrix(csr: Any) -> Any:
    from graphblas import Matrix

    return Matrix.from_csr(
        csr.indptr.astype(np.uint64), csr.indices.astype(np.uint64), csr.data, ncols=csr.shape[1]
    )
