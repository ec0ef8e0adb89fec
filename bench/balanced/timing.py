"""Times of the networks of `train` as dense, CSR, block-sparse and fan-in matrices.

Activations are (neurons, rows) for the sparse libraries, whose kernels want the sparse factor
first, and (rows, neurons) for the dense ones. Input rows are in memory as each takes them, and
every run ends with the last layer's values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp

import kkspdnn as kk
from bench.balanced.accuracy import BLOCK_SHAPE
from bench.balanced.digits import digits
from bench.balanced.training import sparsity
from bench.peers.mkl_peers import dot_product
from kkspdnn.pruning import METHODS
from kkspdnn.pruning.study import Pattern, Timing

SPARSITY = "0.9"
ROWS = (1, 64, 4096)

Run = Callable[[], tuple[float, Any]]
"""One run: its seconds, and the outputs (rows, classes)."""


@dataclass(frozen=True, eq=False)
class Contender:
    """An implementation on one network; prepare: makes a run for input rows (rows, neurons)."""

    name: str
    pattern: Pattern
    prepare: Callable[[kk.Network, Any], Run]


def measure(folder: Path, rounds: int, tell: Callable[[str], None]) -> list[Timing]:
    """Every contender in turn, `rounds` times, after one run that is not timed.

    InputError for a folder without the networks of `train`.
    """
    names: dict[Pattern, str] = {each: f"{each}-{SPARSITY}" for each in METHODS}
    names["dense"] = "dense"
    networks = {each: kk.read_npz_network(folder / name) for each, name in names.items()}
    pixels = digits()[1].pixels()
    found = []
    for rows in ROWS:
        x = pixels[:rows]
        exact = {pattern: _exact(network, x) for pattern, network in networks.items()}
        contenders = list(_contenders())
        runs = [each.prepare(networks[each.pattern], x) for each in contenders]
        errors = [
            float(np.abs(run()[1] - exact[each.pattern]).max())
            for run, each in zip(runs, contenders, strict=True)
        ]
        seconds: list[list[float]] = [[] for _ in runs]
        for _ in range(rounds):
            for times, run in zip(seconds, runs, strict=True):
                times.append(run()[0])
        for each, times, error in zip(contenders, seconds, errors, strict=True):
            part = sparsity(networks[each.pattern])
            found.append(Timing(each.name, each.pattern, part, rows, tuple(times), error))
            tell(
                f"{rows:5} rows, {each.name}, {each.pattern}: {1e3 * median(times):.3f} ms, "
                f"error {error:.2g}"
            )
    return found


def _contenders() -> Iterator[Contender]:
    yield Contender("NumPy", "dense", _numpy)
    yield Contender("PyTorch", "dense", _torch)
    for pattern in METHODS:
        yield Contender("SciPy CSR", pattern, lambda net, x: _timed(_by_scipy(net, x, "csr")))
        yield Contender("MKL CSR", pattern, lambda net, x: _timed(_by_mkl(net, x)))
    yield Contender("SciPy BSR", "block", lambda net, x: _timed(_by_scipy(net, x, "bsr")))
    for pattern in METHODS:
        yield Contender("kkspdnn", pattern, _ours)


def _exact(network: kk.Network, x: Any) -> Any:
    y = x.astype(np.float64)
    for layer in network.layers:
        y = y @ layer.weights().toarray().astype(np.float64) + layer.bias
        y = y if layer.activation == "linear" else np.maximum(y, 0)
    return y


def _timed(compute: Callable[[], Any]) -> Run:
    def run() -> tuple[float, Any]:
        began = perf_counter()
        y = compute()
        return perf_counter() - began, y

    return run


def _ours(network: kk.Network, x: Any) -> Run:
    inputs = kk.Inputs.from_any(x)

    def run() -> tuple[float, Any]:
        result = kk.infer(network, inputs, values=True)
        return result.record.inference_seconds, result.outputs

    return run


def _numpy(network: kk.Network, x: Any) -> Run:
    layers = [(each.weights().toarray(), each.bias, each.activation) for each in network.layers]

    def compute() -> Any:
        y = x
        for weights, bias, activation in layers:
            y = y @ weights
            y += bias
            if activation == "relu":
                np.maximum(y, 0, out=y)
        return y

    return _timed(compute)


def _torch(network: kk.Network, x: Any) -> Run:
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


def _by_scipy(network: kk.Network, x: Any, form: str) -> Callable[[], Any]:
    def made(weights: Any) -> Any:
        tall, wide = BLOCK_SHAPE
        # The last layer, with 10 outputs, is dense and not in whole blocks.
        if form == "bsr" and weights.shape[0] % wide == 0:
            return sp.bsr_array(weights, blocksize=(wide, tall))
        return sp.csr_array(weights)

    return _chain(network, x, made, lambda weights, y: weights @ y)


def _by_mkl(network: kk.Network, x: Any) -> Callable[[], Any]:
    # It knows SciPy's matrices, not its arrays.
    return _chain(network, x, sp.csr_matrix, dot_product)


def _chain(
    network: kk.Network,
    x: Any,
    made: Callable[[Any], Any],
    multiply: Callable[[Any, Any], Any],
) -> Callable[[], Any]:
    """All layers, with the sparse factor first."""
    layers = [
        (made(each.weights().T), each.bias[:, None], each.activation) for each in network.layers
    ]
    columns = np.ascontiguousarray(x.T)

    def compute() -> Any:
        y = columns
        for weights, bias, activation in layers:
            y = multiply(weights, y)
            y += bias
            if activation == "relu":
                np.maximum(y, 0, out=y)
        return y.T

    return compute
