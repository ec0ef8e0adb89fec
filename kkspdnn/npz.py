"""
People's own networks and inputs, in the files that SciPy and NumPy write.

A network is a folder with

    layer-1.npz, layer-2.npz ...   scipy.sparse.save_npz of W, (inputs, outputs)
    bias-1.npy, bias-2.npy ...     optional: numpy.save of one number or a vector of `outputs`
    network.json                   optional: {"ymax": 32, "bias": -0.3}, or for an ordinary
                                   network of three layers {"bias_to": "all",
                                   "activation": ["relu", "relu", "linear"]}

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
import re
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError
from kkspdnn.files import replacing
from kkspdnn.inputs import Inputs
from kkspdnn.matrices import float_dtype
from kkspdnn.networks import ACTIVATIONS, BIAS_TO, Layer, Network, check_network, network

_LAYER_NAME = re.compile(r"layer-([1-9][0-9]*)\.npz")
_BIAS_NAME = re.compile(r"bias-([1-9][0-9]*)\.npy")
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


def read_npz_network(folder: str | PathLike[str], dtype: DTypeLike = np.float32) -> Network:
    """
    The network in a folder, in float32 or float64, every layer held in memory.

    InputError naming the file: one that is missing between others or cannot be read, weights or
    biases that are not finite or too large for `dtype`, a bias given twice, layers that do not
    chain.
    """
    path, wanted = Path(folder), float_dtype(dtype)
    if not path.is_dir():
        raise InputError(f"{path}: no such folder")
    said = _settings(path / "network.json")
    count = _layer_count(path, said)
    layers = [_layer(path, number, count, said, wanted) for number in range(1, count + 1)]
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


def save_npz_network(network: Network, folder: str | PathLike[str]) -> None:
    """
    Write a network into a folder so that `read_npz_network` in its dtype gives it back exactly.

    Layer and bias files that a larger network left there are removed.
    """
    check_network(network)
    path = Path(folder)
    for number, layer in enumerate(network.layers, start=1):
        with replacing(path / f"layer-{number}.npz") as file:
            sp.save_npz(file, layer.weights())
        with replacing(path / f"bias-{number}.npy") as file:
            np.save(file, layer.bias, allow_pickle=False)
    said = {
        "ymax": network.ymax,
        "activation": _once([layer.activation for layer in network.layers], "relu"),
        "bias_to": _once([layer.bias_to for layer in network.layers], "nonzero"),
        "layers": len(network.layers),
        "inputs": network.inputs,
        "name": network.name,
    }
    with replacing(path / "network.json") as file:
        file.write((json.dumps(said, indent=2) + "\n").encode())
    for pattern in (_LAYER_NAME, _BIAS_NAME):
        for number, each in _numbered(path, pattern).items():
            if number > len(network.layers):
                each.unlink(missing_ok=True)


def read_npz_inputs(path: str | PathLike[str]) -> Inputs:
    """
    Input rows from a .npz of scipy.sparse.save_npz or a .npy of numpy.save, (rows, neurons).

    InputError for a file that is neither and for numbers that are not finite.
    """
    file = Path(path)
    matrix = _dense(file) if file.suffix == ".npy" else _sparse(file)
    try:
        return Inputs.from_any(matrix, source=f"file {file.name}")
    except InputError as error:
        raise InputError(f"{file}: {error}") from error


def _layer(
    path: Path, number: int, count: int, said: dict[str, Any], dtype: np.dtype[Any]
) -> Layer:
    weights = _sparse(path / f"layer-{number}.npz")
    file = path / f"bias-{number}.npy"
    bias: Any = _of_layer("bias", 0.0, path, number, count, said)
    if file.exists():
        if "bias" in said:
            raise InputError(f"{file}: network.json gives a bias too; keep one of the two")
        bias = _dense(file)
    name = str(path / f"layer-{number}.npz")
    if dtype == np.float64 and weights.dtype.kind in "biuf":
        # first, because the bias takes the type of the weights and would lose digits
        weights = weights.astype(dtype)
    layer = Layer.from_sparse(
        weights,
        bias,
        activation=_of_layer("activation", "relu", path, number, count, said),
        bias_to=_of_layer("bias_to", "nonzero", path, number, count, said),
        name=name,
    )
    try:
        return layer.astype(dtype)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _of_layer(
    key: str, default: Any, path: Path, number: int, count: int, said: dict[str, Any]
) -> Any:
    """What network.json says of a layer, with one word for all of them or one for each."""
    given = said.get(key, default)
    if not isinstance(given, list):
        return given
    if len(given) != count:
        raise InputError(
            f"{path / 'network.json'}: {key} has {len(given)} entries for {count} layers; "
            "give one for each"
        )
    return given[number - 1]


def _once(words: list[Any], default: str) -> Any:
    """A word where all are the same, else the list."""
    return words if len(set(words)) > 1 else (words or [default])[0]


def _layer_count(path: Path, said: dict[str, Any]) -> int:
    found = _numbered(path, _LAYER_NAME)
    count: int = max([*found, said.get("layers", 0)])
    if "layers" in said and count > said["layers"]:
        raise InputError(
            f"{found[count]}: network.json says {said['layers']} layers; remove or correct one"
        )
    for number in range(1, count + 1):
        if number not in found:
            raise InputError(
                f"{path / f'layer-{number}.npz'}: no such file; {count} layers are needed"
            )
    if count == 0 and said.get("inputs") is None:
        raise InputError(f"{path}: no layer-1.npz there; write it with scipy.sparse.save_npz")
    for number, file in _numbered(path, _BIAS_NAME).items():
        if number > count:
            raise InputError(f"{file}: there is no layer {number}; remove the file")
    return count


def _numbered(path: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    matches = ((pattern.fullmatch(each.name), each) for each in path.iterdir())
    return {int(match[1]): each for match, each in matches if match}


def _settings(file: Path) -> dict[str, Any]:
    """network.json, every key of the right type; {} where it is absent."""
    if not file.exists():
        return {}
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
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


def _sparse(file: Path) -> Any:
    try:
        # NumPy leaves a file that it opened itself open where the content is bad
        with file.open("rb") as opened:
            return sp.load_npz(opened)
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file") from error
    except Exception as error:
        # NumPy's and SciPy's readers raise nearly anything where a file is damaged.
        raise InputError(
            f"{file}: not a file of scipy.sparse.save_npz: {_first_line(error)}"
        ) from error


def _dense(file: Path) -> NDArray[Any]:
    try:
        with file.open("rb") as opened:
            loaded = np.load(opened, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file") from error
    except Exception as error:
        # NumPy's and SciPy's readers raise nearly anything where a file is damaged.
        raise InputError(f"{file}: not a file of numpy.save: {_first_line(error)}") from error
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise InputError(f"{file}: an .npz archive; numpy.save of one array is needed")
    return loaded


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
