"""
The files of a network folder (see kkspdnn.io.npz), found by their names.

Layers are numbered from 0 or 1, with or without leading zeros. A bias has the number of its layer.
A file whose name is almost right is an error, because the run without it would be one of another
network. Hidden files are ignored.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.errors import InputError
from kkspdnn.io.challenge_names import is_challenge_name

SETTINGS = "network.json"
INPUTS = ("inputs.npz", "inputs.npy")

_LAYER = re.compile(r"layer-([0-9]+)\.npz")
_BIAS = re.compile(r"bias-([0-9]+)\.npy")
DATA_SUFFIX = (
    r"\.(?:npz|npy|tsv|csv|txt|mtx|mat|json|pt|pth|pkl|pickle|safetensors|h5|hdf5|bin|parquet)"
    r"(?:\.(?:gz|bz2|xz|zst|zip))?"
)
"""A regular expression of the suffixes of files that may contain numbers."""

_LIKE_LAYER = re.compile(
    rf"(?:layers?|bias(?:es)?)(?:[-_ .]*[0-9]+.*{DATA_SUFFIX}|[-_]?[0-9]+|(?:[-_ .(].*)?\.np[yz])",
    re.IGNORECASE,
)
_LIKE_SETTINGS = re.compile(r"networks?\.(?:json.*|ya?ml|toml|txt)", re.IGNORECASE)
_LIKE_INPUTS = re.compile(rf"inputs?(?:[-_ .]*[0-9]+)?(?:{DATA_SUFFIX})?", re.IGNORECASE)


@dataclass(frozen=True)
class NetworkFiles:
    """
    The files of a network.

    layers: the files of the layers, in order
    biases: for each layer the file of its bias, or None
    first: the number in the name of the first layer, 0 or 1
    """

    folder: Path
    layers: tuple[Path, ...]
    biases: tuple[Path | None, ...]
    first: int


def is_network_folder(folder: Path) -> bool:
    """Whether a folder has network.json, or a file with the name of a layer or a similar one."""
    names = [file.name for file in folder.iterdir()]
    return SETTINGS in names or any(
        re.match("layer", name, re.I) for name in names if _looks_like_network(name)
    )


def find_network_files(folder: Path, count: int | None) -> NetworkFiles:
    """
    The files of the network in a folder.

    count: the number of layers, if known

    InputError naming the file for a missing layer, for two files with one number, for a bias
    without its layer, and for files with similar names, which would be ignored.
    """
    check_network_names(folder)
    layers, biases = _numbered(folder, _LAYER), _numbered(folder, _BIAS)
    first = 0 if 0 in layers else 1
    needed = max([max(layers, default=first - 1) + 1 - first, count or 0])
    if count is not None and needed > count:
        raise InputError(
            f"{layers[max(layers)]}: {SETTINGS} says {count} layers; remove or correct one"
        )
    numbers = range(first, first + needed)
    for number in numbers:
        if number not in layers:
            raise InputError(
                f"{folder / f'layer-{number}.npz'}: no such file; {needed} layers are needed"
            )
    for number, file in biases.items():
        if number not in numbers:
            existing = f"; layers are {first} to {numbers[-1]}" if numbers else ""
            raise InputError(
                f"{file}: there is no layer {number}{existing}; rename or remove the file"
            )
    return NetworkFiles(
        folder,
        tuple(layers[number] for number in numbers),
        tuple(biases.get(number) for number in numbers),
        first,
    )


def check_network_names(folder: Path) -> None:
    """Raise InputError naming a file whose name is similar to one of a network."""
    for file in sorted(folder.iterdir()):
        if _LAYER.fullmatch(file.name) or _BIAS.fullmatch(file.name) or file.name == SETTINGS:
            continue
        if _looks_like_network(file.name) and not file.is_dir():
            raise InputError(
                f"{file}: is not read by this name; layers are layer-1.npz, layer-2.npz and so on, "
                f"biases bias-1.npy and so on, options {SETTINGS}: rename or remove it"
            )


def find_inputs(folder: Path) -> Path | None:
    """The file of input rows, or None. InputError for two files, or one with a similar name."""
    # lexists includes broken links. Reading one raises the error.
    files = [folder / name for name in INPUTS if os.path.lexists(folder / name)]
    if len(files) > 1:
        raise InputError(f"{files[1]}: there is {files[0].name} too; keep one of the two")
    lookalikes = input_lookalikes(folder)
    if lookalikes:
        raise InputError(
            f"{lookalikes[0]}: is not read by this name; write input rows to inputs.npz with "
            "scipy.sparse.save_npz or to inputs.npy with numpy.save, or remove it"
        )
    return files[0] if files else None


def input_lookalikes(folder: Path) -> list[Path]:
    """Files whose names are similar to those of input rows, and that are not read."""
    return [
        file
        for file in sorted(folder.iterdir())
        if file.name not in INPUTS and _LIKE_INPUTS.fullmatch(file.name) and not file.is_dir()
    ]


def check_no_challenge_files(folder: Path) -> None:
    """Raise InputError if a network folder also contains files of the challenge."""
    for file in sorted(folder.iterdir()):
        if is_challenge_name(file.name):
            raise InputError(
                f"{file}: is one of the challenge's files, but {folder} has layer-N.npz or "
                f"{SETTINGS}, with which it is not read; put the two into separate folders"
            )


def layer_and_bias_files(folder: Path) -> list[Path]:
    """All files of layers and biases, of any number."""
    files = sorted(folder.iterdir())
    return [file for file in files if _LAYER.fullmatch(file.name) or _BIAS.fullmatch(file.name)]


def is_network_name(name: str) -> bool:
    """Whether a file of this name in a network folder is read, or refused for a similar name."""
    return _looks_like_network(name) or bool(_LIKE_INPUTS.fullmatch(name))


def is_bias_name(name: str) -> bool:
    """Whether a file of this name is a bias, or refused for a similar name."""
    return _looks_like_network(name) and name.lower().startswith("bias")


def _looks_like_network(name: str) -> bool:
    """Whether the name is that of a layer, a bias or network.json, or a similar one."""
    return bool(_LIKE_LAYER.fullmatch(name) or _LIKE_SETTINGS.fullmatch(name))


def _numbered(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """The files that match `pattern` by number, ascending. InputError for two with one number."""
    files = dict[int, Path]()
    for file in sorted(folder.iterdir()):
        match = pattern.fullmatch(file.name)
        if match is None:
            continue
        number = int(match[1])
        if number in files:
            raise InputError(f"{file}: has the number of {files[number].name}; remove one of them")
        files[number] = file
    return dict(sorted(files.items()))
