"""Loads the network, the input rows and the expected categories for the options of a run."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.challenge import read_categories, read_images, read_network
from kkspdnn.io.challenge_folder import check_challenge_names
from kkspdnn.io.challenge_layers import RESIDENT_BYTES
from kkspdnn.io.challenge_names import categories_path, find_file, images_path
from kkspdnn.io.mnist import mnist_images
from kkspdnn.io.npz import (
    npz_input_neurons,
    npz_inputs_shape,
    read_npz_inputs,
    read_npz_network,
)
from kkspdnn.io.npz_folder import check_no_challenge_files, find_inputs, is_network_folder
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.model.radixnet import FAN_IN, base_bits, radixnet

_NEURONS, _LAYERS, _SHIPPED_ROWS = 1024, 120, 60_000
"""The default problem."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A network, its input rows, and the expected categories (1-based), or None if unknown."""

    network: Network
    inputs: Inputs
    expected_categories: NDArray[np.int64] | None


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
    """Load or generate the problem of these options; None selects an option's default.

    Without `data` the network is a RadiX-Net from `seed`. A `data` folder has the challenge's
    files, or the user's own network as layer-1.npz and so on.

    The input rows are the shipped images if `shipped_images` is set, else those of `mnist`, else
    those in the folder: sparse-images-1024.tsv or, for the user's own network, inputs.npz or
    inputs.npy. Without any of these, the challenge's networks use the shipped images, and the
    user's own network is refused.

    budget: of memory
    layer_cache: the maximum size of the cache of parsed layers, in gigabytes

    Raises InputError for invalid options and files, and for files in the folder whose names differ
    slightly from those that are read.
    """
    if mnist is not None and shipped_images:
        raise InputError("--mnist and --shipped-images both select the input rows; give one")
    memory = Budget() if budget is None else budget
    if data is not None and not data.is_dir():
        raise InputError(f"--data {data}: {'not a' if data.exists() else 'no such'} folder")
    if data is not None and is_network_folder(data):
        check_no_challenge_files(data)
        layer_inputs, layer = npz_input_neurons(data)
        if neurons is not None and neurons != layer_inputs:
            raise InputError(f"--neurons {neurons}: {layer} has {layer_inputs} inputs")
        file = None if mnist is not None or shipped_images else _inputs_file(data)
        if file is not None:
            _check_shape(file, inputs, layer_inputs, layer)
        network = _read_own_network(data, layers, dtype, memory)
        if file is None:
            return Problem(network, _images(network.inputs, inputs, mnist, memory), None)
        rows = read_npz_inputs(file, budget=memory)
        return Problem(network, rows if inputs is None else rows.slice(0, inputs), None)
    size = _NEURONS if neurons is None else neurons
    depth = _LAYERS if layers is None else layers
    if data is None:
        base_bits(size)
        # All layers share their weights; each has its own indices.
        memory.require(2 * 8 * FAN_IN * size, f"--neurons {size}: layers")
        network = radixnet(size, depth, seed=seed, dtype=dtype)
        return Problem(network, _images(size, inputs, mnist, memory), None)
    check_challenge_names(data, size, depth, images=mnist is None and not shipped_images)
    # Packed layers need memory besides these.
    resident = min(RESIDENT_BYTES, memory.share() // 2)
    network = read_network(
        data, size, depth, dtype, layer_cache=layer_cache, resident_bytes=resident
    )
    other_rows = mnist is not None or shipped_images
    if not other_rows and find_file(images_path(data, size)) is not None:
        rows = read_images(data, size, inputs, budget=memory)
    else:
        rows = _images(size, inputs, mnist, memory)
    expected = read_categories(data, size, depth)
    if expected is not None:
        if inputs is None and expected.size and expected[-1] > rows.rows:
            raise InputError(
                f"{categories_path(data, size, depth)}: row {expected[-1]}, but there are "
                f"{rows.rows} input rows; give the input rows of this file, or --inputs {rows.rows}"
            )
        expected = expected[expected <= rows.rows]
    return Problem(network, rows, expected)


def load_arguments(arguments: argparse.Namespace) -> Problem:
    """Load the problem of a command line, see `load_problem`."""
    return load_problem(
        neurons=arguments.neurons,
        layers=arguments.layers,
        inputs=arguments.inputs,
        data=arguments.data,
        mnist=arguments.mnist,
        seed=arguments.seed,
        dtype=arguments.dtype,
        budget=Budget.from_gigabytes(arguments.memory),
        shipped_images=arguments.shipped_images,
        layer_cache=arguments.layer_cache,
    )


def _inputs_file(data: Path) -> Path:
    """Return the file of the input rows for the user's own network; InputError without one."""
    file = find_inputs(data)
    if file is None:
        raise InputError(
            f"{data}: no inputs.npz or inputs.npy there; write input rows to one of them, or give "
            "--shipped-images for the shipped MNIST images"
        )
    return file


def _check_shape(file: Path, inputs: int | None, neurons: int, layer: Path) -> None:
    """Raise InputError if the shape in the header of a file of input rows does not fit.

    neurons: the inputs of the network's first layer, whose file is `layer`
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


def _read_own_network(data: Path, layers: int | None, dtype: str, memory: Budget) -> Network:
    """Read the user's own network: layer-1.npz, layer-2.npz, …"""
    network = read_npz_network(data, dtype, budget=memory)
    if layers is not None and layers != len(network.layers):
        raise InputError(f"--layers {layers}: {data} has {len(network.layers)} layers")
    return network


def _images(neurons: int, rows: int | None, mnist: Path | None, memory: Budget) -> Inputs:
    if mnist is not None:
        return mnist_images(mnist, neurons, rows)
    shipped = _SHIPPED_ROWS if rows is None else min(rows, _SHIPPED_ROWS)
    memory.require(shipped * (neurons // 8), f"--neurons {neurons}: {shipped} input rows")
    return images(neurons, rows)
