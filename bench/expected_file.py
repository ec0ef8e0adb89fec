"""Store expected categories and edge counts in a file.

The serial reference takes minutes for a network that a GPU computes in milliseconds. The file makes
it possible to compute the reference once, on another machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np

from bench.expected_results import ExpectedResults, compute_expected
from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.io.numpy_files import read_npz
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.parallel.checkpoint import inputs_sha256, layer_digest, network_sha256
from kkspdnn.records.comparison import LayerCounts

_ARRAYS = ("categories", "products", "living", "layers", "problem")
"""Names of the arrays in the file; `living` holds the active edges of each row."""


def load_or_compute_expected(
    network: Network,
    inputs: Inputs,
    on_progress: Callable[[float], None],
    file: Path | None = None,
) -> ExpectedResults:
    """Read the expected results from a file, or compute and write them if it does not exist.

    file: None to compute without a file. Raises InputError if the file belongs to another network
    or to other input rows, or cannot be read or written.
    """
    if file is None:
        return compute_expected(network, inputs, on_progress)
    problem = _digest(network, inputs)
    if file.exists():
        return _read(file, network, problem)
    expected = compute_expected(network, inputs, on_progress)
    _write(file, expected, problem)
    return expected


def _digest(network: Network, inputs: Inputs) -> str:
    layers = (layer_digest(layer) for layer in network.layers)
    return f"{network_sha256(network, layers)} {inputs_sha256(inputs)}"


def _write(file: Path, expected: ExpectedResults, problem: str) -> None:
    with replace_file(file) as target:
        np.savez_compressed(
            target,
            categories=expected.categories,
            products=expected.products,
            living=expected.active_edges,
            layers=np.array(astuple(expected.layers), np.int64),
            problem=np.array(problem),
        )


def _read(file: Path, network: Network, problem: str) -> ExpectedResults:
    arrays = read_npz(file, Budget())
    missing = [name for name in _ARRAYS if name not in arrays]
    if missing:
        raise InputError(f"{file}: no array {missing[0]!r}; delete the file to compute it again")
    if str(arrays["problem"]) != problem:
        raise InputError(f"{file}: made for another network or other input rows; name another file")
    names = (field.name for field in fields(LayerCounts))
    counts = (tuple(map(int, row)) for row in arrays["layers"])
    return ExpectedResults(
        arrays["categories"],
        arrays["products"],
        arrays["living"],
        network.edges,
        layers=LayerCounts(**dict(zip(names, counts, strict=True))),
    )
