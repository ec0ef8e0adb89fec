"""The implementations that are timed on a CPU: dense, CSR, block-sparse and kkspdnn.

Activations are (neurons, rows) for the sparse libraries, whose kernels want the sparse factor
first, and (rows, neurons) for the dense ones. Input rows are in memory as each takes them, and
every run ends with the last layer's values.
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
from bench.peer import missing
from bench.peers.mkl_peers import dot_product
from kkspdnn.choices import METHODS, SpaceName
from kkspdnn.records.pruning_study import Pattern

Run = Callable[[], tuple[float, Any]]
"""One run: its seconds, and the outputs (rows, classes)."""

Weights = Sequence[tuple[Any, Any, str]]
"""Of each layer the matrix, the biases and the activation, as a library takes them."""


@dataclass(frozen=True, eq=False)
class Contender:
    """
    An implementation, in a process of its own.

    patterns: the networks that it runs; prepare: makes a run of a network for input rows (rows,
    neurons) with so many threads; missing: what this machine lacks for it, or None
    environment: variables that must be set before its process starts
    """

    patterns: tuple[Pattern, ...]
    prepare: Callable[[kk.Network, Any, int], Run]
    missing: Callable[[], str | None] = lambda: None
    environment: Mapping[str, str] = field(default_factory=dict)


def on_cpu() -> dict[str, Contender]:
    """By their names, the dense ones first."""
    return {
        "NumPy": Contender(("dense",), _numpy),
        "PyTorch": Contender(("dense",), _torch, partial(missing, "torch", "PyTorch")),
        "SciPy CSR": Contender(METHODS, partial(_scipy, form="csr")),
        "MKL CSR": Contender(METHODS, _mkl, partial(missing, "sparse_dot_mkl", "sparse_dot_mkl")),
        "SciPy BSR": Contender(("block",), partial(_scipy, form="bsr")),
        "kkspdnn": ours("openmp"),
    }


def ours(space: SpaceName, missing: Callable[[], str | None] = lambda: None) -> Contender:
    """kkspdnn, from dense rows in the host's memory to dense rows there."""

    def prepare(network: kk.Network, x: Any, threads: int) -> Run:
        of_cpu = threads if space == "openmp" else None
        predict = kk.Predictor(network, space=space, threads=of_cpu)
        return _timed(lambda: predict(x))

    return Contender(METHODS, prepare, missing)


def weights_of(network: kk.Network, dense: bool, made: Callable[[Any], Any]) -> Weights:
    """The layers for `through`, their matrices by `made`: of a NumPy array, or of a SciPy CSR
    array that is transposed."""
    if dense:
        return [(made(e.weights().toarray()), made(e.bias), e.activation) for e in network.layers]
    return [(made(e.weights().T), e.bias[:, None], e.activation) for e in network.layers]


def through(
    layers: Weights, y: Any, multiply: Callable[[Any, Any], Any], maximum: Callable[..., Any]
) -> Any:
    """Product, bias and ReLU, layer after layer; multiply: a new array, of weights and y."""
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
    layers = weights_of(network, True, np.ascontiguousarray)
    return _timed(lambda: through(layers, x, lambda weights, y: y @ weights, np.maximum))


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


def _scipy(network: kk.Network, x: Any, _threads: int, form: str) -> Run:
    def made(weights: Any) -> Any:
        tall, wide = BLOCK_SHAPE
        # The last layer, with 10 outputs, is dense and not in whole blocks.
        if form == "bsr" and weights.shape[0] % wide == 0:
            return sp.bsr_array(weights, blocksize=(wide, tall))
        return sp.csr_array(weights)

    return _sparse(network, x, made, lambda weights, y: weights @ y)


def _mkl(network: kk.Network, x: Any, _threads: int) -> Run:
    # It knows SciPy's matrices, not its arrays.
    return _sparse(network, x, sp.csr_matrix, dot_product)


def _sparse(
    network: kk.Network,
    x: Any,
    made: Callable[[Any], Any],
    multiply: Callable[[Any, Any], Any],
) -> Run:
    layers, columns = weights_of(network, False, made), np.ascontiguousarray(x.T)
    return _timed(lambda: through(layers, columns, multiply, np.maximum).T)
