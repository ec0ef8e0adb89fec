"""
Which files of a folder make up a network of the user's, and none that looks like one overlooked.

Layers may be numbered from 0 or from 1, with leading zeros or without; a bias has the number of its
layer. A file whose name is nearly right is an error: a run without it would be a run of something
else. Hidden files are no part of a network.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.errors import InputError

SETTINGS = "network.json"
INPUTS = ("inputs.npz", "inputs.npy")

_LAYER = re.compile(r"layer-([0-9]+)\.npz")
_BIAS = re.compile(r"bias-([0-9]+)\.npy")
DATA_SUFFIX = (
    r"\.(?:npz|npy|tsv|csv|txt|mtx|mat|json|pt|pth|pkl|pickle|safetensors|h5|hdf5|bin|parquet)"
    r"(?:\.(?:gz|bz2|xz|zst|zip))?"
)
"""Of files that may hold numbers, as a regular expression."""
_LIKE_LAYER = re.compile(
    rf"(?:layers?|bias(?:es)?)(?:[-_ .]*[0-9]+.*{DATA_SUFFIX}|[-_]?[0-9]+|(?:[-_ .(].*)?\.np[yz])",
    re.IGNORECASE,
)
_LIKE_SETTINGS = re.compile(r"networks?\.(?:json.*|ya?ml|toml|txt)", re.IGNORECASE)
_LIKE_INPUTS = re.compile(rf"inputs?(?:[-_ .]*[0-9]+)?(?:{DATA_SUFFIX})?", re.IGNORECASE)
_CHALLENGE = re.compile(
    r"neuron[0-9]+|sparse-images-[0-9]+\.tsv(?:\.gz)?|neuron[0-9]+-l[0-9]+-categories\.tsv(?:\.gz)?"
    r"|n[0-9]+-l[0-9]+\.tsv(?:\.gz)?"
)


@dataclass(frozen=True)
class NetworkFiles:
    """layers: their files, in order; biases: the file of each layer's bias, None where it has none

    first: the number in the first layer's name, 0 or 1
    """

    folder: Path
    layers: tuple[Path, ...]
    biases: tuple[Path | None, ...]
    first: int


def is_network_folder(folder: Path) -> bool:
    """Whether a folder is of the user's files: any file of a layer, or one that looks so."""
    names = [each.name for each in folder.iterdir()]
    return SETTINGS in names or any(re.match("layer", name, re.I) for name in names if _like(name))


def find_network(folder: Path, count: int | None) -> NetworkFiles:
    """
    The files of a network; count: of layers, where it is known.

    InputError naming the file for one that is missing between others or that two names stand for, a
    bias without its layer, and files that are not read though their names look as if they were.
    """
    check_network_names(folder)
    layers, biases = _numbered(folder, _LAYER), _numbered(folder, _BIAS)
    first = 0 if 0 in layers else 1
    wanted = max([max(layers, default=first - 1) + 1 - first, count or 0])
    if count is not None and wanted > count:
        raise InputError(
            f"{layers[max(layers)]}: {SETTINGS} says {count} layers; remove or correct one"
        )
    numbers = range(first, first + wanted)
    for number in numbers:
        if number not in layers:
            raise InputError(
                f"{folder / f'layer-{number}.npz'}: no such file; {wanted} layers are needed"
            )
    for number, file in biases.items():
        if number not in numbers:
            ends = f"; layers are {first} to {numbers[-1]}" if numbers else ""
            raise InputError(f"{file}: there is no layer {number}{ends}; rename or remove the file")
    return NetworkFiles(
        folder,
        tuple(layers[number] for number in numbers),
        tuple(biases.get(number) for number in numbers),
        first,
    )


def check_network_names(folder: Path) -> None:
    """Raise InputError naming a file that looks like one of a network and is not read."""
    for file in sorted(folder.iterdir()):
        if _LAYER.fullmatch(file.name) or _BIAS.fullmatch(file.name) or file.name == SETTINGS:
            continue
        if _like(file.name) and not file.is_dir():
            raise InputError(
                f"{file}: is not read by this name; layers are layer-1.npz, layer-2.npz and so on, "
                f"biases bias-1.npy and so on, options {SETTINGS}: rename or remove it"
            )


def find_inputs(folder: Path) -> Path | None:
    """The file of input rows, or None; InputError where there are two, or one by another name."""
    # A link that leads nowhere is there too: reading it tells.
    found = [folder / name for name in INPUTS if os.path.lexists(folder / name)]
    if len(found) > 1:
        raise InputError(f"{found[1]}: there is {found[0].name} too; keep one of the two")
    like = input_lookalikes(folder)
    if like:
        raise InputError(
            f"{like[0]}: is not read by this name; write input rows to inputs.npz with "
            "scipy.sparse.save_npz or to inputs.npy with numpy.save, or remove it"
        )
    return found[0] if found else None


def input_lookalikes(folder: Path) -> list[Path]:
    """Files that look like input rows, but are not read by this name."""
    return [
        each
        for each in sorted(folder.iterdir())
        if each.name not in INPUTS and _LIKE_INPUTS.fullmatch(each.name) and not each.is_dir()
    ]


def check_no_challenge_files(folder: Path) -> None:
    """Raise InputError where a folder of the user's files has some of the challenge's too."""
    for file in sorted(folder.iterdir()):
        if _CHALLENGE.fullmatch(file.name):
            raise InputError(
                f"{file}: is of the challenge's files, but {folder} has layer-N.npz or {SETTINGS}, "
                "with which it is not read; put the two into folders of their own"
            )


def layer_and_bias_files(folder: Path) -> list[Path]:
    """The files of layers and biases, whatever their numbers."""
    every = sorted(folder.iterdir())
    return [each for each in every if _LAYER.fullmatch(each.name) or _BIAS.fullmatch(each.name)]


def is_network_name(name: str) -> bool:
    """Whether a file of this name is read from a network's folder, or taken for one that is."""
    return _like(name) or bool(_LIKE_INPUTS.fullmatch(name))


def is_bias_name(name: str) -> bool:
    """Whether a file of this name is, or is taken for, a bias."""
    return _like(name) and name.lower().startswith("bias")


def _like(name: str) -> bool:
    return bool(_LIKE_LAYER.fullmatch(name) or _LIKE_SETTINGS.fullmatch(name))


def _numbered(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """Files by their numbers, ascending; InputError where two names have the same number."""
    found = dict[int, Path]()
    for file in sorted(folder.iterdir()):
        match = pattern.fullmatch(file.name)
        if match is None:
            continue
        number = int(match[1])
        if number in found:
            raise InputError(f"{file}: has the number of {found[number].name}; remove one of them")
        found[number] = file
    return dict(sorted(found.items()))
