"""What every implementation that is measured looks like, ours and others."""

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

Work = Literal["products", "living", "all", "own"]
"""Which multiplications an implementation does: those of nonzero weights with nonzero activations,
all of rows that are not zero, all of all rows, or as it counts them itself."""

YMAX = np.float32(32)


@dataclass(frozen=True, eq=False)
class Answer:
    """categories: int64, 1-based, ascending; seconds: of the inference where the implementation has
    a clock of its own; edges_multiplied: where it counts them itself."""

    categories: NDArray[np.int64]
    seconds: float | None = None
    edges_multiplied: int | None = None


class Peer(Protocol):
    """
    One implementation, in a process of its own.

    name: for the command line and records; label: for people
    serial: it has one thread whatever it is given; gpu: it computes on a GPU
    work: the multiplications it does
    bytes_per_edge: what its innermost loop loads for one of them, None where that is not known
    environment: variables that must be set before its process starts
    """

    name: str
    label: str
    serial: bool
    gpu: bool
    work: Work
    bytes_per_edge: float | None
    environment: Mapping[str, str]

    def available(self) -> str | None:
        """None, or one line that says what is missing here; imports nothing large."""

    def version(self) -> str:
        """Of the library that computes."""

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        """
        Bring network and input rows into its own form, and compile; gives the seconds of compiling.

        May be called again with other inputs. The network is one of the challenge, float32: every
        neuron has the same number of edges, and one bias, below 0, is for all neurons of a layer.
        """

    def run(self) -> Answer:
        """The whole network over the input rows."""


@dataclass(frozen=True, eq=False)
class MatrixLayer:
    """W as float32 CSR (inputs, outputs) and the one bias of all its neurons."""

    weights: sp.csr_array
    bias: np.float32


def matrix_layers(network: Network) -> list[MatrixLayer]:
    """
    The layers as matrices.

    A sum of zero gets no bias in the challenge. Dense implementations add it everywhere, which
    comes to the same where it is below 0; InputError where it is not.
    """
    made = []
    for number, layer in enumerate(network.layers, start=1):
        bias = np.float32(layer.bias[0])
        if not (bias < 0 and bool((layer.bias == layer.bias[0]).all())):
            raise InputError(f"layer {number}: one bias below 0 is needed for all its neurons")
        made.append(MatrixLayer(layer.weights().astype(np.float32), bias))
    return made


def missing(module: str, package: str) -> str | None:
    """What to say where a module cannot be imported."""
    if find_spec(module) is not None:
        return None
    return f"{package} is not installed"


def package_version(package: str) -> str:
    """Of an installed distribution."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
