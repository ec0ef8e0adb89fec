"""From the options of a run to its network, input rows and, where known, the right answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kkspdnn.challenge import (
    categories_path,
    images_path,
    read_categories,
    read_images,
    read_network,
)
from kkspdnn.errors import InputError
from kkspdnn.inputs import Inputs
from kkspdnn.layer_files import HELD_BYTES
from kkspdnn.memory import Budget
from kkspdnn.mnist import mnist_images
from kkspdnn.networks import Network
from kkspdnn.npz import read_npz_inputs, read_npz_network
from kkspdnn.radix_net import FAN_IN, base_bits, radixnet
from kkspdnn.shipped_images import images

_NEURONS, _LAYERS, _SHIPPED = 1024, 120, 60_000


@dataclass(frozen=True, eq=False)
class Problem:
    """A network, its input rows, and the categories that must come out (1-based) where known."""

    network: Network
    inputs: Inputs
    truth: NDArray[np.int64] | None


def load_problem(
    *,
    neurons: int | None = None,
    layers: int | None = None,
    inputs: int | None = None,
    data: Path | None = None,
    mnist: Path | None = None,
    seed: int = 0,
    dtype: str = "float32",
    budget: Budget | None = None,
) -> Problem:
    """Read or make what the options say; None is an option's default. budget: of memory.

    Without `data` the network is a RadiX-Net from `seed`. A `data` folder has the challenge's
    files, or layer-1.npz and so on, and then inputs.npz. Raises InputError for all that is wrong
    with them.
    """
    memory = Budget() if budget is None else budget
    if data is not None and not data.is_dir():
        raise InputError(f"--data {data}: {'not a' if data.exists() else 'no such'} folder")
    if data is not None and _is_own(data):
        return _own(data, neurons, layers, inputs, mnist, dtype, memory)
    size = _NEURONS if neurons is None else neurons
    depth = _LAYERS if layers is None else layers
    if data is None:
        base_bits(size)
        # Every layer shares its weights with the others and has indices of its own.
        memory.require(2 * 8 * FAN_IN * size, f"--neurons {size}: layers")
        network = radixnet(size, depth, seed=seed, dtype=dtype)
        return Problem(network, _pictures(size, inputs, mnist, memory), None)
    # The layers as the kernels take them come beside these.
    held = min(HELD_BYTES, memory.share() // 2)
    network = read_network(data, size, depth, dtype, held_bytes=held)
    path = images_path(data, size)
    if mnist is None and (path.is_file() or path.with_name(path.name + ".gz").is_file()):
        rows = read_images(data, size, inputs)
    else:
        rows = _pictures(size, inputs, mnist, memory)
    truth = read_categories(data, size, depth)
    if inputs is None and truth is not None and truth.size and truth[-1] > rows.rows:
        raise InputError(
            f"{categories_path(data, size, depth)}: row {truth[-1]}, but there are {rows.rows} "
            f"input rows; give the rows that it is of, or --inputs {rows.rows}"
        )
    return Problem(network, rows, None if truth is None else truth[truth <= rows.rows])


def _is_own(data: Path) -> bool:
    """A folder of the user's: any layer file or network.json, so that a missing one is named."""
    return (data / "network.json").exists() or any(data.glob("layer-*.npz"))


def _own(
    data: Path,
    neurons: int | None,
    layers: int | None,
    inputs: int | None,
    mnist: Path | None,
    dtype: str,
    memory: Budget,
) -> Problem:
    """A network of the user's: layer-1.npz, layer-2.npz, …"""
    network = read_npz_network(data, dtype)
    if neurons is not None and neurons != network.inputs:
        raise InputError(f"--neurons {neurons}: {data / 'layer-1.npz'} has {network.inputs} inputs")
    if layers is not None and layers != len(network.layers):
        raise InputError(f"--layers {layers}: {data} has {len(network.layers)} layers")
    file = data / "inputs.npz"
    if mnist is not None:
        return Problem(network, _pictures(network.inputs, inputs, mnist, memory), None)
    if not file.is_file():
        try:
            return Problem(network, _pictures(network.inputs, inputs, None, memory), None)
        except InputError as error:
            raise InputError(
                f"{error}; or write input rows to {file} with scipy.sparse.save_npz"
            ) from error
    rows = read_npz_inputs(file)
    if inputs is not None and inputs > rows.rows:
        raise InputError(f"--inputs {inputs}: {file} has {rows.rows} rows")
    return Problem(network, rows if inputs is None else rows.slice(0, inputs), None)


def _pictures(neurons: int, rows: int | None, mnist: Path | None, memory: Budget) -> Inputs:
    if mnist is not None:
        return mnist_images(mnist, neurons, rows)
    most = _SHIPPED if rows is None else min(rows, _SHIPPED)
    memory.require(most * (neurons // 8), f"--neurons {neurons}: {most} input rows")
    return images(neurons, rows)
