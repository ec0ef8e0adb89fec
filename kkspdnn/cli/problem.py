"""From the options of a run to its network, input rows and, where known, the right answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.challenge import (
    categories_path,
    images_path,
    read_categories,
    read_images,
    read_network,
)
from kkspdnn.io.challenge_folder import check_challenge_names
from kkspdnn.io.challenge_layers import RESIDENT_BYTES
from kkspdnn.io.mnist import mnist_images
from kkspdnn.io.npz import (
    npz_inputs_shape,
    npz_network_inputs,
    read_npz_inputs,
    read_npz_network,
)
from kkspdnn.io.npz_folder import check_no_challenge_files, find_inputs, is_network_folder
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.model.radixnet import FAN_IN, base_bits, radixnet

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
    shipped_images: bool = False,
    layer_cache: float | None = None,
) -> Problem:
    """Read or make what the options say; None is an option's default. budget: of memory.

    Without `data` the network is a RadiX-Net from `seed`. A `data` folder has the challenge's
    files, or layer-1.npz and so on. Input rows are the shipped images where `shipped_images` says
    so, those of `mnist`, or those in the folder: sparse-images-1024.tsv or, for the user's own
    network, inputs.npz or inputs.npy. Without any of these, the challenge's networks take the
    shipped images, and the user's own network is refused.

    Raises InputError for all that is wrong with the options and files, for files that look like
    part of the problem and are not read too.
    """
    if mnist is not None and shipped_images:
        raise InputError("--mnist and --shipped-images both say which input rows; give one")
    memory = Budget() if budget is None else budget
    if data is not None and not data.is_dir():
        raise InputError(f"--data {data}: {'not a' if data.exists() else 'no such'} folder")
    if data is not None and is_network_folder(data):
        check_no_challenge_files(data)
        wanted, layer = npz_network_inputs(data)
        if neurons is not None and neurons != wanted:
            raise InputError(f"--neurons {neurons}: {layer} has {wanted} inputs")
        file = None if mnist is not None or shipped_images else _inputs_file(data)
        if file is not None:
            _check_claims(file, inputs, wanted, layer)
        network = _own(data, layers, dtype, memory)
        if file is None:
            return Problem(network, _pictures(network.inputs, inputs, mnist, memory), None)
        rows = read_npz_inputs(file, budget=memory)
        return Problem(network, rows if inputs is None else rows.slice(0, inputs), None)
    size = _NEURONS if neurons is None else neurons
    depth = _LAYERS if layers is None else layers
    if data is None:
        base_bits(size)
        # Every layer shares its weights with the others and has indices of its own.
        memory.require(2 * 8 * FAN_IN * size, f"--neurons {size}: layers")
        network = radixnet(size, depth, seed=seed, dtype=dtype)
        return Problem(network, _pictures(size, inputs, mnist, memory), None)
    check_challenge_names(data, size, depth, images=mnist is None and not shipped_images)
    # The layers as the kernels take them come beside these.
    held = min(RESIDENT_BYTES, memory.share() // 2)
    network = read_network(data, size, depth, dtype, layer_cache=layer_cache, resident_bytes=held)
    path = images_path(data, size)
    given = mnist is not None or shipped_images
    if not given and (path.is_file() or path.with_name(path.name + ".gz").is_file()):
        rows = read_images(data, size, inputs, budget=memory)
    else:
        rows = _pictures(size, inputs, mnist, memory)
    truth = read_categories(data, size, depth)
    if inputs is None and truth is not None and truth.size and truth[-1] > rows.rows:
        raise InputError(
            f"{categories_path(data, size, depth)}: row {truth[-1]}, but there are {rows.rows} "
            f"input rows; give the rows that it is of, or --inputs {rows.rows}"
        )
    return Problem(network, rows, None if truth is None else truth[truth <= rows.rows])


def _inputs_file(data: Path) -> Path:
    """The input rows beside the user's own network; InputError where there are none."""
    file = find_inputs(data)
    if file is None:
        raise InputError(
            f"{data}: no inputs.npz or inputs.npy there; write input rows to one of them, or give "
            "--shipped-images for the shipped images of digits"
        )
    return file


def _check_claims(file: Path, inputs: int | None, neurons: int, layer: Path) -> None:
    """Raise InputError where what a file of input rows claims does not fit, before it is read.

    neurons: of an input row of the network, as `layer` says
    """
    shape = npz_inputs_shape(file)
    if len(shape) != 2:
        return  # refused when it is read
    if shape[1] != neurons:
        raise InputError(
            f"{file}: has rows of {shape[1]} neurons, but {layer} has {neurons} inputs"
        )
    if inputs is not None and inputs > shape[0]:
        raise InputError(f"--inputs {inputs}: {file} has {shape[0]} rows")


def _own(data: Path, layers: int | None, dtype: str, memory: Budget) -> Network:
    """A network of the user's: layer-1.npz, layer-2.npz, …"""
    network = read_npz_network(data, dtype, budget=memory)
    if layers is not None and layers != len(network.layers):
        raise InputError(f"--layers {layers}: {data} has {len(network.layers)} layers")
    return network


def _pictures(neurons: int, rows: int | None, mnist: Path | None, memory: Budget) -> Inputs:
    if mnist is not None:
        return mnist_images(mnist, neurons, rows)
    most = _SHIPPED if rows is None else min(rows, _SHIPPED)
    memory.require(most * (neurons // 8), f"--neurons {neurons}: {most} input rows")
    return images(neurons, rows)
