"""
Network folders: networks and input rows in files of SciPy and NumPy.

A folder contains

    layer-1.npz, layer-2.npz ...   scipy.sparse.save_npz of W, (inputs, outputs)
    bias-1.npy, bias-2.npy ...     optional: numpy.save of one number or a vector (outputs)
    inputs.npz or inputs.npy       input rows (rows, neurons): scipy.sparse.save_npz, or dense by
                                   numpy.save or numpy.savez
    network.json                   optional: {"ymax": 32, "bias": -0.3}, or for a typical network
                                   of three layers {"bias_to": "all", "activation": ["relu",
                                   "relu", "linear"]}

Layers and biases may also be numbered from 0, and with leading zeros, as in layer-01.npz. A file
with a similar name, which would be ignored, is an error.

The keys of network.json, all optional:

    ymax         the upper limit of the ReLU, or null for none (default)
    bias         one number, or a list with one for each layer; default 0
    bias_to      "nonzero" (default, the rule of the challenge) or "all": the sums to which the bias
                 is added; or a list with one for each layer
    activation   "relu" (default) or "linear", or a list with one for each layer
    layers       the number of layer files that there must be
    inputs       the number of neurons of an input row, required if there is no layer
    name         the name of the network in records; default: the name of the folder
"""

from __future__ import annotations

import json
import os
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.io.npz_folder import (
    SETTINGS,
    NetworkFiles,
    check_network_names,
    find_network_files,
    layer_and_bias_files,
)
from kkspdnn.io.numpy_files import (
    npy_shape,
    read_npy,
    read_npz,
    read_sparse,
    single_array_shape,
    sparse_shape,
)
from kkspdnn.io.path_arguments import to_path
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import ACTIVATIONS, BIAS_TO, Layer
from kkspdnn.model.matrices import float_dtype
from kkspdnn.model.network import Network, check_network, network
from kkspdnn.progress import Progress, open_progress

_LARGEST = float(np.finfo(np.float64).max)
_CHOICES: dict[str, tuple[str, ...]] = {"activation": ACTIVATIONS, "bias_to": BIAS_TO}
_EXPECTED = {
    "ymax": "a number or null",
    "bias": "a number or a list of numbers, one for each layer,",
    "activation": "relu or linear, or a list with one for each layer,",
    "bias_to": "nonzero or all, or a list with one for each layer,",
    "layers": "a whole number from 0",
    "inputs": "a whole number from 1",
    "name": "a text",
}
"""The keys of network.json and the values that they may have, as text for messages."""


@ieee_arithmetic()
def read_npz_network(
    folder: str | PathLike[str],
    dtype: DTypeLike = np.float32,
    *,
    budget: Budget | None = None,
    progress: Progress = None,
) -> Network:
    """
    Read the network in a folder, in float32 or float64, with all layers in memory.

    budget: a kkspdnn.device.memory.Budget, such as Budget.from_gigabytes(8); None: the free memory.
    The sizes that the files state are checked before memory is allocated. A layer needs memory for
    its weights and outputs, not its inputs
    progress: True for a progress bar on a terminal or in a notebook; or a function that is called
    with the name of the current step and its completed fraction, 0 to 1

    InputError naming the file if it is missing, cannot be read or has a similar name to one that is
    read; if weights or biases are not finite or too large for `dtype`; for two biases of a layer;
    and for layers that do not chain.
    """
    path, target_dtype = to_path(folder), float_dtype(dtype)
    if not path.is_dir():
        raise InputError(f"{path}: {'not a' if path.exists() else 'no such'} folder")
    settings = _read_settings(path / SETTINGS)
    files = find_network_files(path, settings.get("layers"))
    if not files.layers and settings.get("inputs") is None:
        raise InputError(
            f"{path}: no layer-1.npz in the folder; write it with scipy.sparse.save_npz"
        )
    shapes = [sparse_shape(file) for file in files.layers]
    _check_chain(files, shapes, settings.get("inputs"))
    memory = Budget() if budget is None else budget
    layers = []
    with open_progress(progress) as on_step:
        for position, (_, outputs) in enumerate(shapes):
            on_step("reading the layers", position / len(shapes))
            layers.append(_read_layer(files, position, outputs, settings, target_dtype, memory))
    try:
        return network(
            layers,
            settings.get("ymax"),
            inputs=settings.get("inputs"),
            name=settings.get("name", path.resolve().name),
            source="npz",
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def npz_input_neurons(folder: Path) -> tuple[int, Path]:
    """The number of input neurons of the network in a folder, and the file that states it.

    Reads the header of that file only. InputError as in `read_npz_network`.
    """
    settings = _read_settings(folder / SETTINGS)
    files = find_network_files(folder, settings.get("layers"))
    if files.layers:
        return sparse_shape(files.layers[0])[0], files.layers[0]
    if settings.get("inputs") is None:
        raise InputError(
            f"{folder}: no layer-1.npz in the folder; write it with scipy.sparse.save_npz"
        )
    return settings["inputs"], folder / SETTINGS


def save_npz_network(network: Network, folder: str | PathLike[str]) -> None:
    """
    Write a network to a folder. `read_npz_network` with its dtype reads the same network.

    folder: is created if it does not exist. A network in an existing folder is replaced without a
    question: its layer and bias files, also those of a deeper network, and its network.json. Other
    files stay, such as inputs.npy

    InputError if the folder has files that `read_npz_network` would refuse, or cannot be written.
    """
    check_network(network)
    path = to_path(folder)
    if path.is_dir():
        check_network_names(path)
    existing = layer_and_bias_files(path) if path.is_dir() else []
    written = set[str]()
    for number, layer in enumerate(network.layers, start=1):
        with replace_file(path / f"layer-{number}.npz") as file:
            sp.save_npz(file, layer.weights())
        with replace_file(path / f"bias-{number}.npy") as file:
            np.save(file, layer.bias, allow_pickle=False)
        written |= {f"layer-{number}.npz", f"bias-{number}.npy"}
    settings = {
        "ymax": network.ymax,
        "activation": _unique_or_list([layer.activation for layer in network.layers], "relu"),
        "bias_to": _unique_or_list([layer.bias_to for layer in network.layers], "nonzero"),
        "layers": len(network.layers),
        "inputs": network.inputs,
        "name": network.name,
    }
    with replace_file(path / SETTINGS) as file:
        file.write((json.dumps(settings, indent=2) + "\n").encode())
    for file_path in existing:
        if file_path.name not in written:
            file_path.unlink(missing_ok=True)


@ieee_arithmetic()
def read_npz_inputs(path: str | PathLike[str], *, budget: Budget | None = None) -> Inputs:
    """
    Read input rows (rows, neurons) from a .npy or .npz file.

    path: a .npy of numpy.save, a .npz of scipy.sparse.save_npz, or a .npz of numpy.savez with one
    array
    budget: a kkspdnn.device.memory.Budget, such as Budget.from_gigabytes(8); None: the free memory

    InputError for another file, for one that needs more memory than the budget, and for values that
    are not finite.
    """
    file = to_path(path)
    memory = Budget() if budget is None else budget
    matrix = _read_matrix(file, memory)
    if matrix.ndim == 2:
        converted = _conversion_bytes(matrix, matrix.shape[0]) if sp.issparse(matrix) else 0
        if isinstance(matrix, np.ndarray) and matrix.dtype not in (np.float32, np.float64):
            converted = 8 * matrix.size
        memory.require(converted, f"{file}: {matrix.shape[0]} input rows")
    try:
        return Inputs.from_any(matrix, source=f"file {file.name}")
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def npz_inputs_shape(path: Path) -> tuple[int, ...]:
    """The shape in the header of a file of input rows. InputError as in `read_npz_inputs`."""
    if path.suffix == ".npy":
        return npy_shape(path)
    shape = single_array_shape(path)
    return sparse_shape(path) if shape is None else shape


def _read_matrix(file: Path, memory: Budget) -> Any:
    """The array or the sparse matrix in a .npy or .npz file."""
    if file.suffix == ".npy":
        return read_npy(file, memory)
    if single_array_shape(file) is None:
        return read_sparse(file, memory)
    (matrix,) = read_npz(file, memory).values()
    return matrix


def _check_chain(files: NetworkFiles, shapes: list[tuple[int, int]], inputs: int | None) -> None:
    """Raise InputError if the shapes of the layers do not chain.

    shapes: (inputs, outputs) in the header of each layer file
    inputs: the number of input neurons in network.json
    """
    if shapes and inputs is not None and inputs != shapes[0][0]:
        raise InputError(
            f"{files.layers[0]}: has {shapes[0][0]} inputs, but {SETTINGS} says {inputs}"
        )
    pairs = zip(shapes, shapes[1:], files.layers, files.layers[1:], strict=False)
    for (_, outputs), (next_inputs, _), before, file in pairs:
        if outputs != next_inputs:
            raise InputError(
                f"{file}: has {next_inputs} inputs, but {before.name} has {outputs} outputs; "
                "they must be equal"
            )


def _conversion_bytes(matrix: Any, lines: int) -> int:
    """The memory of two copies of a matrix in CSR or CSC with `lines` rows or columns."""
    return 2 * (16 * int(matrix.nnz) + 8 * (lines + 1))


def _read_layer(
    files: NetworkFiles,
    position: int,
    outputs: int,
    settings: dict[str, Any],
    dtype: np.dtype[Any],
    memory: Budget,
) -> Layer:
    """Read a layer and its bias. outputs: the number of outputs in the header of the file"""
    name, file = str(files.layers[position]), files.biases[position]
    bias: Any = _layer_setting("bias", 0.0, files, position, settings)
    if file is not None:
        if "bias" in settings:
            raise InputError(f"{file}: network.json has a bias too; keep one of the two")
        if npy_shape(file) not in ((), (outputs,)):
            raise InputError(
                f"{file}: the bias has shape {npy_shape(file)}; give one number or a vector of "
                f"{outputs}"
            )
        bias = read_npy(file, memory)
    weights = read_sparse(files.layers[position], memory)
    memory.require(
        _conversion_bytes(weights, outputs) + 24 * outputs, f"{name}: weights and biases"
    )
    if dtype == np.float64 and weights.dtype.kind in "biuf":
        # Cast the weights first, because the bias is cast to their dtype.
        weights = weights.astype(dtype)
    try:
        return Layer.from_sparse(
            weights,
            bias,
            activation=_layer_setting("activation", "relu", files, position, settings),
            bias_to=_layer_setting("bias_to", "nonzero", files, position, settings),
            name=name,
        ).astype(dtype)
    except InputError as error:
        label = "" if str(error).startswith(str(files.folder)) else f"{name}: "
        raise InputError(f"{label}{error}") from error


def _layer_setting(
    key: str, default: Any, files: NetworkFiles, position: int, settings: dict[str, Any]
) -> Any:
    """The value of a key of network.json for a layer: that of all layers or one of a list."""
    value = settings.get(key, default)
    if not isinstance(value, list):
        return value
    count = len(files.layers)
    if len(value) != count:
        raise InputError(
            f"{files.folder / SETTINGS}: {key} has {len(value)} entries for {count} layers; "
            "give one for each layer"
        )
    return value[position]


def _unique_or_list(values: list[Any], default: str) -> Any:
    """The value if all are equal, else the list."""
    return values if len(set(values)) > 1 else (values or [default])[0]


def _read_settings(file: Path) -> dict[str, Any]:
    """The content of network.json with checked values, or {} if there is no file."""
    if not os.path.lexists(file):
        return {}
    try:
        settings = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_unique_keys)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: cannot be read as JSON: {error}") from error
    if not isinstance(settings, dict):
        raise InputError(f"{file}: an object with any of {', '.join(_EXPECTED)} is needed")
    for key, value in settings.items():
        if key not in _EXPECTED:
            raise InputError(f"{file}: unknown key {key!r}; known are {', '.join(_EXPECTED)}")
        if not _fits(key, value):
            raise InputError(f"{file}: {key} is {value!r:.40}; {_EXPECTED[key]} is needed")
    return settings


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as dict. ValueError for a duplicate key."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = next(key for key in content if keys.count(key) > 1)
        raise ValueError(f"the key {duplicate!r:.40} occurs twice")
    return content


def _fits(key: str, value: object) -> bool:
    """Whether network.json may have this value for a key."""

    def is_number(element: object) -> bool:
        if not isinstance(element, int | float) or isinstance(element, bool):
            return False
        # Python's parser accepts NaN and integers of any length.
        return -_LARGEST <= element <= _LARGEST

    if key == "ymax":
        return value is None or is_number(value)
    if key == "bias":
        return all(map(is_number, value)) if isinstance(value, list) else is_number(value)
    if key in _CHOICES:
        elements = value if isinstance(value, list) else [value]
        return all(isinstance(each, str) and each in _CHOICES[key] for each in elements)
    if key == "name":
        return isinstance(value, str)
    return isinstance(value, int) and not isinstance(value, bool) and value >= (key == "inputs")
