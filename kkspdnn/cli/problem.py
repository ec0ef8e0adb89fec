"""Loads the network, the input rows and the expected categories for the options of a run."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kkspdnn.cli.row_selection import RowSelection
from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.challenge import read_categories, read_images, read_network
from kkspdnn.io.challenge_folder import check_challenge_names, check_has_network
from kkspdnn.io.challenge_layers import RESIDENT_BYTES
from kkspdnn.io.challenge_names import categories_path, find_file, images_path
from kkspdnn.io.npz import npz_input_neurons, read_npz_network
from kkspdnn.io.npz_folder import check_no_challenge_files, find_inputs, is_network_folder
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.model.radixnet import FAN_IN, base_bits, radixnet

_NEURONS, _LAYERS = 1024, 120
"""The default network."""


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
    rows: Path | None = None,
) -> Problem:
    """Load or generate the problem of these options; None selects an option's default.

    Without `data` the network is a RadiX-Net from `seed`. A `data` folder has the challenge's
    files, or the user's own network as layer-1.npz and so on.

    The input rows are those of the file `rows`, the images of `mnist`, or the shipped images if
    `shipped_images` is set. Without any of these they are those in the folder:
    sparse-images-1024.tsv or, for the user's own network, inputs.npz or inputs.npy. If there are
    none, the challenge's networks use the shipped images, and the user's own network is refused.
    Expected categories in the folder are not those of the file `rows`, and are not read then.

    budget: of memory
    layer_cache: the maximum size of the cache of parsed layers, in gigabytes

    Raises InputError for invalid options and files, and for files in the folder whose names differ
    slightly from those that are read.
    """
    memory = Budget() if budget is None else budget
    selection = RowSelection(inputs, rows, mnist, shipped_images, memory)
    if data is not None and not data.is_dir():
        raise InputError(f"--data {data}: {'not a' if data.exists() else 'no such'} folder")
    if data is not None and is_network_folder(data):
        return _load_own_network(data, neurons, layers, dtype, selection)
    size = _NEURONS if neurons is None else neurons
    depth = _LAYERS if layers is None else layers
    if data is None:
        base_bits(size)
        selection.check(size, f"the network of --neurons {size}")
        # All layers share their weights; each has its own indices.
        memory.require(2 * 8 * FAN_IN * size, f"--neurons {size}: layers")
        network = radixnet(size, depth, seed=seed, dtype=dtype)
        return Problem(network, selection.read(size), None)
    check_has_network(data, size)
    check_challenge_names(data, size, depth, images=not selection.is_given)
    selection.check(size, f"the network of --neurons {size}")
    # Packed layers need memory besides these.
    resident = min(RESIDENT_BYTES, memory.share() // 2)
    network = read_network(
        data, size, depth, dtype, layer_cache=layer_cache, resident_bytes=resident
    )
    if not selection.is_given and find_file(images_path(data, size)) is not None:
        input_rows = read_images(data, size, inputs, budget=memory)
    else:
        input_rows = selection.read(size)
    if rows is not None:
        return Problem(network, input_rows, None)
    expected = _expected_categories(data, size, depth, input_rows.rows, inputs)
    return Problem(network, input_rows, expected)


def _load_own_network(
    data: Path, neurons: int | None, layers: int | None, dtype: str, selection: RowSelection
) -> Problem:
    """Load the user's own network, and its input rows."""
    check_no_challenge_files(data)
    layer_inputs, layer = npz_input_neurons(data)
    if neurons is not None and neurons != layer_inputs:
        raise InputError(f"--neurons {neurons}: {layer} has {layer_inputs} inputs")
    if not selection.is_given:
        selection = replace(selection, file=_inputs_file(data))
    selection.check(layer_inputs, str(layer))
    network = read_npz_network(data, dtype, budget=selection.budget)
    if layers is not None and layers != len(network.layers):
        raise InputError(f"--layers {layers}: {data} has {len(network.layers)} layers")
    return Problem(network, selection.read(network.inputs), None)


def _expected_categories(
    data: Path, neurons: int, layers: int, rows: int, inputs: int | None
) -> NDArray[np.int64] | None:
    """Read the expected categories of the input rows, or None if there is no file.

    rows: the number of input rows; inputs: the number that was asked for
    """
    expected = read_categories(data, neurons, layers)
    if expected is None:
        return None
    if inputs is None and expected.size and expected[-1] > rows:
        raise InputError(
            f"{categories_path(data, neurons, layers)}: row {expected[-1]}, but there are "
            f"{rows} input rows; give the input rows of this file, or --inputs {rows}"
        )
    return expected[expected <= rows]


def _inputs_file(data: Path) -> Path:
    """Return the file of the input rows in a folder; InputError without one."""
    file = find_inputs(data)
    if file is None:
        raise InputError(
            f"{data}: no inputs.npz or inputs.npy there; write input rows to one of them, give "
            "--rows FILE, or --shipped-images for the shipped MNIST images"
        )
    return file


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
        rows=arguments.rows,
    )
