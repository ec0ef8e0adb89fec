"""The interface of a peer: an implementation of inference that `python -m bench run` times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network

EdgeCounting = Literal["products", "active", "all", "own"]
"""Which edges an implementation computes.

products: nonzero weights times nonzero activations; active: every edge of the active rows; all:
every edge of all rows; own: the implementation returns the number itself
"""

YMAX = np.float32(32)
"""The upper limit of the challenge's activations."""


@dataclass(frozen=True, eq=False)
class RunResult:
    """The result of one run.

    categories: int64, 1-based, ascending
    seconds: inference time by the implementation's own clock; None to use the caller's
    computed_edges: the implementation's own count; None if it does not count them
    """

    categories: NDArray[np.int64]
    seconds: float | None = None
    computed_edges: int | None = None


class Peer(Protocol):
    """One implementation, in a process of its own.

    name: for the command line and records; label: for tables and figures, stored in records
    serial: it always runs on one thread; gpu: it computes on a GPU
    edge_counting: which edges it computes
    bytes_per_edge: bytes that its innermost loop loads for one edge; None if unknown
    env: environment variables that must be set before its process starts
    """

    name: str
    label: str
    serial: bool
    gpu: bool
    edge_counting: EdgeCounting
    bytes_per_edge: float | None
    env: Mapping[str, str]

    def available(self) -> str | None:
        """Return None, or one line that says what is missing on this machine.

        Imports no large library.
        """

    def version(self) -> str:
        """Return the version of the library that computes."""

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        """Convert network and input rows to the implementation's format, and compile.

        Returns the seconds that compiling took. May be called again with other inputs. The network
        is in float32: all neurons have the same fan-in, and all neurons of a layer have the same
        bias, at most 0.
        """

    def run(self) -> RunResult:
        """Run the network over the input rows."""


@dataclass(frozen=True, eq=False)
class MatrixLayer:
    """Weights as float32 CSR (inputs, outputs), and the bias that all neurons share."""

    weights: sp.csr_array
    bias: np.float32


def matrix_layers(network: Network) -> list[MatrixLayer]:
    """Return the layers as matrices. Raises InputError if a bias is above 0.

    The challenge adds the bias to nonzero sums only. Dense implementations add it to every sum; the
    result is the same because ReLU sets a negative bias to zero.
    """
    matrices = []
    for number, layer in enumerate(network.layers, start=1):
        bias = np.float32(layer.bias[0])
        if not (bias <= 0 and bool((layer.bias == layer.bias[0]).all())):
            raise InputError(f"layer {number}: all neurons must have the same bias, at most 0")
        matrices.append(MatrixLayer(layer.weights().astype(np.float32), bias))
    return matrices


def missing_package(module: str, package: str) -> str | None:
    """Return None if a module can be imported, else one line that names its package."""
    if find_spec(module) is not None:
        return None
    return f"{package} is not installed"


def package_version(package: str) -> str:
    """Return the version of an installed distribution, or "unknown"."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
