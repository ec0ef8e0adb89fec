"""The implementations that are timed on a CPU: dense and sparse libraries, and kkspdnn.

Activations are (neurons, rows) for the sparse libraries, whose products need the sparse factor on
the left, and (rows, neurons) for the dense ones. Before a run, the input rows are in memory in the
layout of the library. A run ends with the values of the last layer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

import kkspdnn as kk
from bench.balanced.accuracy import BLOCK_SHAPE
from bench.balanced.candidate import Candidate
from bench.balanced.deepsparse_candidate import deepsparse_candidates
from bench.balanced.layers import convert_layers, run_layers
from bench.balanced.onnx_candidates import onnx_candidates
from bench.balanced.runs import Run, timed
from bench.peer import missing_package
from bench.peers.mkl_peers import dot_product
from bench.processes import ALL_THREADS
from kkspdnn.choices import METHODS, SpaceName


def cpu_candidates() -> dict[str, Candidate]:
    """Return the candidates by their names, dense libraries first."""
    return {
        "NumPy": Candidate(("dense",), _numpy),
        "PyTorch": Candidate(("dense",), _torch, partial(missing_package, "torch", "PyTorch")),
        **onnx_candidates(),
        "SciPy CSR": Candidate(METHODS, partial(_scipy, sparse_format="csr")),
        "MKL CSR": Candidate(
            METHODS, _mkl, partial(missing_package, "sparse_dot_mkl", "sparse_dot_mkl")
        ),
        "SciPy BSR": Candidate(("block",), partial(_scipy, sparse_format="bsr")),
        **deepsparse_candidates(),
        "kkspdnn": kkspdnn_candidate("openmp"),
    }


def kkspdnn_candidate(
    space: SpaceName, missing: Callable[[], str | None] = lambda: None
) -> Candidate:
    """Return kkspdnn as a candidate; dense input rows and outputs are in host memory."""

    def prepare(network: kk.Network, x: Any, threads: int) -> Run:
        cpu_threads = threads if space == "openmp" else None
        predict = kk.Predictor(network, space=space, threads=cpu_threads, tune=False)
        return timed(lambda: predict(x))

    return Candidate(METHODS, prepare, missing, ALL_THREADS)


def _numpy(network: kk.Network, x: Any, _threads: int) -> Run:
    layers = convert_layers(network, True, np.ascontiguousarray)
    return timed(lambda: run_layers(layers, x, lambda weights, y: y @ weights, np.maximum))


def _torch(network: kk.Network, x: Any, _threads: int) -> Run:
    import torch

    modules: list[Any] = []
    for layer in network.layers:
        linear = torch.nn.Linear(layer.inputs, layer.outputs)
        linear.weight.data = torch.from_numpy(np.ascontiguousarray(layer.weights().toarray().T))
        linear.bias.data = torch.from_numpy(layer.bias)
        modules += [linear] + ([torch.nn.ReLU()] if layer.activation == "relu" else [])
    model, rows = torch.nn.Sequential(*modules), torch.from_numpy(x)

    def compute() -> Any:
        with torch.inference_mode():
            return model(rows).numpy()

    return timed(compute)


def _scipy(network: kk.Network, x: Any, _threads: int, sparse_format: str) -> Run:
    def convert(weights: Any) -> Any:
        inputs, outputs = BLOCK_SHAPE
        # The last layer is dense; its 10 outputs are not a multiple of the block width.
        if sparse_format == "bsr" and weights.shape[0] % outputs == 0:
            return sp.bsr_array(weights, blocksize=(outputs, inputs))
        return sp.csr_array(weights)

    return _sparse(network, x, convert, lambda weights, y: weights @ y)


def _mkl(network: kk.Network, x: Any, _threads: int) -> Run:
    # sparse_dot_mkl accepts SciPy's matrices, not SciPy's arrays.
    return _sparse(network, x, sp.csr_matrix, dot_product)


def _sparse(
    network: kk.Network,
    x: Any,
    convert: Callable[[Any], Any],
    multiply: Callable[[Any, Any], Any],
) -> Run:
    layers, columns = convert_layers(network, False, convert), np.ascontiguousarray(x.T)
    return timed(lambda: run_layers(layers, columns, multiply, np.maximum).T)
