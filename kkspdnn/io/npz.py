"""
People's own networks and inputs, in the files that SciPy and NumPy write.

A network is a folder with

    layer-1.npz, layer-2.npz ...   scipy.sparse.save_npz of W, (inputs, outputs)
    bias-1.npy, bias-2.npy ...     optional: numpy.save of one number or a vector of `outputs`
    inputs.npz or inputs.npy       input rows: scipy.sparse.save_npz or numpy.save, (rows, neurons)
    network.json                   optional: {"ymax": 32, "bias": -0.3}, or for an ordinary
                                   network of three layers {"bias_to": "all",
                                   "activation": ["relu", "relu", "linear"]}

The first layer may be layer-0.npz too; then the biases are numbered from 0 as well. Leading zeros,
as in layer-01.npz, are accepted. Files whose names are nearly these are refused, never passed over.

In network.json "activation", "bias_to", "layers", "inputs" and "name" are known too and every key
is optional. "ymax": a number, or null for a ReLU without an upper limit, which is also the default.
"bias": one number, or a list with one for each layer; default 0. "bias_to": "nonzero", to nonzero
sums only, as in the challenge, which is the default, or "all". "activation": "relu", the default,
or "linear", which is none. Both may be a list with one for each layer. "layers": how many layer
files there must be. "inputs": the number of neurons of an input row, needed where there is no
layer.
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
    find_network,
    layer_and_bias_files,
)
from kkspdnn.io.numpy_files import npy_shape, read_npy, read_sparse, sparse_shape
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import float_dtype
from kkspdnn.model.network import ACTIVATIONS, BIAS_TO, Layer, Network, check_network, network

_LARGEST = float(np.finfo(np.float64).max)
_WORDS: dict[str, tuple[str, ...]] = {"activation": ACTIVATIONS, "bias_to": BIAS_TO}
_FORMS = {
    "ymax": "a number or null",
    "bias": "a number or a list of numbers, one for each layer,",
    "activation": "relu or linear, or a list with one for each layer,",
    "bias_to": "nonzero or all, or a list with one for each layer,",
    "layers": "a whole number from 0",
    "inputs": "a whole number from 1",
    "name": "a text",
}


@ieee_arithmetic()
def read_npz_network(
    folder: str | PathLike[str], dtype: DTypeLike = np.float32, *, budget: Budget | None = None
) -> Network:
    """
    The network in a folder, in float32 or float64, every layer held in memory.

    budget: of memory, what is free on the machine where it is None. What the files claim is checked
    before anything is allocated: shapes that chain, and memory for the weights and outputs, not for
    the inputs, of each layer.

    InputError naming the file: one that is missing between others, cannot be read, or looks like a
    file of the network and is not read; weights or biases that are not finite or too large for
    `dtype`, a bias given twice, layers that do not chain.
    """
    path, wanted = Path(folder), float_dtype(dtype)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder")
    said = _settings(path / SETTINGS)
    files = find_network(path, said.get("layers"))
    if not files.layers and said.get("inputs") is None:
        raise InputError(f"{path}: no layer-1.npz there; write it with scipy.sparse.save_npz")
    shapes = [sparse_shape(file) for file in files.layers]
    _check_chain(files, shapes, said.get("inputs"))
    memory = Budget() if budget is None else budget
    layers = [
        _layer(files, position, shapes[position][1], said, wanted, memory)
        for position in range(len(files.layers))
    ]
    try:
        return network(
            layers,
            said.get("ymax"),
            inputs=said.get("inputs"),
            name=said.get("name", path.resolve().name),
            source="npz",
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def npz_network_inputs(folder: Path) -> tuple[int, Path]:
    """The neurons of an input row of the network in a folder, and the file that says so.

    Nothing but the claim is read. InputError as in `read_npz_network`.
    """
    said = _settings(folder / SETTINGS)
    files = find_network(folder, said.get("layers"))
    if files.layers:
        return sparse_shape(files.layers[0])[0], files.layers[0]
    if said.get("inputs") is None:
        raise InputError(f"{folder}: no layer-1.npz there; write it with scipy.sparse.save_npz")
    return said["inputs"], folder / SETTINGS


def save_npz_network(network: Network, folder: str | PathLike[str]) -> None:
    """
    Write a network into a folder so that `read_npz_network` in its dtype gives it back exactly.

    Other layer and bias files there, as of a larger network, are removed. InputError for files that
    `read_npz_network` would refuse.
    """
    check_network(network)
    path = Path(folder)
    if path.is_dir():
        check_network_names(path)
    before = layer_and_bias_files(path) if path.is_dir() else []
    written = set[str]()
    for number, layer in enumerate(network.layers, start=1):
        with replace_file(path / f"layer-{number}.npz") as file:
            sp.save_npz(file, layer.weights())
        with replace_file(path / f"bias-{number}.npy") as file:
            np.save(file, layer.bias, allow_pickle=False)
        written |= {f"layer-{number}.npz", f"bias-{number}.npy"}
    said = {
        "ymax": network.ymax,
        "activation": _once([layer.activation for layer in network.layers], "relu"),
        "bias_to": _once([layer.bias_to for layer in network.layers], "nonzero"),
        "layers": len(network.layers),
        "inputs": network.inputs,
        "name": network.name,
    }
    with replace_file(path / SETTINGS) as file:
        file.write((json.dumps(said, indent=2) + "\n").encode())
    for each in before:
        if each.name not in written:
            each.unlink(missing_ok=True)


@ieee_arithmetic()
def read_npz_inputs(path: str | PathLike[str], *, budget: Budget | None = None) -> Inputs:
    """
    Input rows from a .npz of scipy.sparse.save_npz or a .npy of numpy.save, (rows, neurons).

    budget: of memory, what is free on the machine where it is None. InputError for a file that is
    neither or needs more memory, and for numbers that are not finite.
    """
    file = Path(path)
    memory = Budget() if budget is None else budget
    matrix = read_npy(file, memory) if file.suffix == ".npy" else read_sparse(file, memory)
    if sp.issparse(matrix) and matrix.ndim == 2:
        memory.require(_csr_bytes(matrix, matrix.shape[0]), f"{file}: {matrix.shape[0]} input rows")
    try:
        return Inputs.from_any(matrix, source=f"file {file.name}")
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def npz_inputs_shape(path: Path) -> tuple[int, ...]:
    """(rows, neurons) as a file of input rows claims them; InputError as in `read_npz_inputs`."""
    return npy_shape(path) if path.suffix == ".npy" else sparse_shape(path)


def _check_chain(files: NetworkFiles, shapes: list[tuple[int, int]], inputs: int | None) -> None:
    """Raise InputError where layers do not chain by what their files claim."""
    if shapes and inputs is not None and inputs != shapes[0][0]:
        raise InputError(
            f"{files.layers[0]}: has {shapes[0][0]} inputs, but {SETTINGS} says {inputs}"
        )
    pairs = zip(shapes, shapes[1:], files.layers, files.layers[1:], strict=False)
    for (_, outputs), (taken, _), before, file in pairs:
        if outputs != taken:
            raise InputError(
                f"{file}: has {taken} inputs, but {before.name} has {outputs} outputs; "
                "they must be equal"
            )


def _csr_bytes(matrix: Any, lines: int) -> int:
    """Bytes of a sparse matrix in a form with a pointer for each of `lines`, twice over."""
    return 2 * (16 * int(matrix.nnz) + 8 * (lines + 1))


def _layer(
    files: NetworkFiles,
    position: int,
    outputs: int,
    said: dict[str, Any],
    dtype: np.dtype[Any],
    memory: Budget,
) -> Layer:
    name, file = str(files.layers[position]), files.biases[position]
    bias: Any = _of_layer("bias", 0.0, files, position, said)
    if file is not None:
        if "bias" in said:
            raise InputError(f"{file}: network.json gives a bias too; keep one of the two")
        if npy_shape(file) not in ((), (outputs,)):
            raise InputError(
                f"{file}: the bias has shape {npy_shape(file)}; give one number or a vector of "
                f"{outputs}"
            )
        bias = read_npy(file, memory)
    weights = read_sparse(files.layers[position], memory)
    memory.require(_csr_bytes(weights, outputs) + 24 * outputs, f"{name}: weights and biases")
    if dtype == np.float64 and weights.dtype.kind in "biuf":
        # first, because the bias takes the type of the weights and would lose digits
        weights = weights.astype(dtype)
    try:
        return Layer.from_sparse(
            weights,
            bias,
            activation=_of_layer("activation", "relu", files, position, said),
            bias_to=_of_layer("bias_to", "nonzero", files, position, said),
            name=name,
        ).astype(dtype)
    except InputError as error:
        said_by = "" if str(error).startswith(str(files.folder)) else f"{name}: "
        raise InputError(f"{said_by}{error}") from error


def _of_layer(
    key: str, default: Any, files: NetworkFiles, position: int, said: dict[str, Any]
) -> Any:
    """What network.json says of a layer, with one word for all of them or one for each."""
    given = said.get(key, default)
    if not isinstance(given, list):
        return given
    count = len(files.layers)
    if len(given) != count:
        raise InputError(
            f"{files.folder / SETTINGS}: {key} has {len(given)} entries for {count} layers; "
            "give one for each"
        )
    return given[position]


def _once(words: list[Any], default: str) -> Any:
    """A word where all are the same, else the list."""
    return words if len(set(words)) > 1 else (words or [default])[0]


def _settings(file: Path) -> dict[str, Any]:
    """network.json, every key of the right type; {} where it is absent."""
    if not os.path.lexists(file):
        return {}
    try:
        said = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_once_each)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file}: cannot be read as JSON: {error}") from error
    if not isinstance(said, dict):
        raise InputError(f"{file}: an object with any of {', '.join(_FORMS)} is needed")
    for key, value in said.items():
        if key not in _FORMS:
            raise InputError(f"{file}: unknown key {key!r}; known are {', '.join(_FORMS)}")
        if not _fits(key, value):
            raise InputError(f"{file}: {key} is {value!r:.40}; {_FORMS[key]} is needed")
    return said


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; ValueError for a key that is there twice, of which one would be lost."""
    said = dict(pairs)
    if len(said) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in said if keys.count(key) > 1)!r:.40} is given twice")
    return said


def _fits(key: str, value: object) -> bool:
    def number(one: object) -> bool:
        if not isinstance(one, int | float) or isinstance(one, bool):
            return False
        return -_LARGEST <= one <= _LARGEST  # JSON knows NaN and integers of any length

    if key == "ymax":
        return value is None or number(value)
    if key == "bias":
        return all(map(number, value)) if isinstance(value, list) else number(value)
    if key in _WORDS:
        given = value if isinstance(value, list) else [value]
        return all(isinstance(word, str) and word in _WORDS[key] for word in given)
    if key == "name":
        return isinstance(value, str)
    return isinstance(value, int) and not isinstance(value, bool) and value >= (key == "inputs")
