"""The implementations that are timed on a CPU: dense, CSR and block-sparse libraries, and kkspdnn.

Activations are (neurons, rows) for the sparse libraries, whose products need the sparse factor on
the left, and (rows, neurons) for the dense ones. Before a run, the input rows are in memory in the
layout of the library. A run ends with the values of the last layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp

import kkspdnn as kk
from bench.balanced.accuracy import BLOCK_SHAPE
from bench.peer import missing_package
from bench.peers.mkl_peers import dot_product
from bench.processes import ALL_THREADS
from kkspdnn.choices import METHODS, SpaceName
from kkspdnn.records.pruning_study import Pattern

Run = Callable[[], tuple[float, Any]]
"""Makes one run; returns its seconds and the outputs (rows, classes)."""

Weights = Sequence[tuple[Any, Any, str]]
"""Matrix, biases and activation of each layer, in the types of a library."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """An implementation, which runs in a process of its own.

    patterns: pruning patterns whose networks it runs
    prepare: returns the run of a network for input rows (rows, neurons) and a number of threads
    missing: returns what this machine lacks for it, or None
    env: environment variables that must be set before its process starts
    """

    patterns: tuple[Pattern, ...]
    prepare: Callable[[kk.Network, Any, int], Run]
    missing: Callable[[], str | None] = lambda: None
    env: Mapping[str, str] = field(default_factory=dict)


def cpu_candidates() -> dict[str, Candidate]:
    """Return the candidates by their names, dense libraries first."""
    return {
        "NumPy": Candidate(("dense",), _numpy),
        "PyTorch": Candidate(("dense",), _torch, partial(missing_package, "torch", "PyTorch")),
        "SciPy CSR": Candidate(METHODS, partial(_scipy, sparse_format="csr")),
        "MKL CSR": Candidate(
            METHODS, _mkl, partial(missing_package, "sparse_dot_mkl", "sparse_dot_mkl")
        ),
        "SciPy BSR": Candidate(("block",), partial(_scipy, sparse_format="bsr")),
        "kkspdnn": kkspdnn_candidate("openmp"),
    }


def kkspdnn_candidate(
    space: SpaceName, missing: Callable[[], str | None] = lambda: None
) -> Candidate:
    """Return kkspdnn as a candidate; dense input rows and outputs are in host memory."""

    def prepare(network: kk.Network, x: Any, threads: int) -> Run:
        cpu_threads = threads if space == "openmp" else None
        predict = kk.Predictor(network, space=space, threads=cpu_threads, tune=False)
        return _timed(lambda: predict(x))

    return Candidate(METHODS, prepare, missing, ALL_THREADS)


def convert_layers(network: kk.Network, dense: bool, convert: Callable[[Any], Any]) -> Weights:
    """Convert the layers for `run_layers`.

    convert: receives a dense NumPy array of weights or biases, or a transposed SciPy CSR array
    """
    if dense:
        return [
            (convert(layer.weights().toarray()), convert(layer.bias), layer.activation)
            for layer in network.layers
        ]
    return [
        (convert(layer.weights().T), layer.bias[:, None], layer.activation)
        for layer in network.layers
    ]


def run_layers(
    layers: Weights, y: Any, multiply: Callable[[Any, Any], Any], maximum: Callable[..., Any]
) -> Any:
    """Apply product, bias and ReLU of each layer to y.

    multiply: returns the product of weights and y as a new array; maximum: as `numpy.maximum`
    """
    for weights, bias, activation in layers:
        y = multiply(weights, y)
        y += bias
        if activation == "relu":
            maximum(y, 0, out=y)
    return y


def _timed(compute: Callable[[], Any]) -> Run:
    def run() -> tuple[float, Any]:
        began = perf_counter()
        y = compute()
        return perf_counter() - began, y

    return run


def _numpy(network: kk.Network, x: Any, _threads: int) -> Run:
    layers = convert_layers(network, True, np.ascontiguousarray)
    return _timed(lambda: run_layers(layers, x, lambda weights, y: y @ weights, np.maximum))


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

    return _timed(compute)


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
    return _timed(lambda: run_layers(layers, columns, multiply, np.maximum).T)
