"""
Checks for misnamed files in a folder of challenge files.

The challenge files are found by their official names, and a folder may hold those of several sizes
and depths. A file whose name is almost right would be ignored silently, and the run would be one of
another problem. So such a file is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kkspdnn.errors import InputError
from kkspdnn.io.challenge_names import (
    CATEGORIES,
    IMAGES,
    LAYER,
    LAYER_FOLDER,
    categories_path,
    images_path,
    is_challenge_name,
    layer_folder,
    layer_path,
    name_pattern,
)
from kkspdnn.io.npz_folder import DATA_SUFFIX, INPUTS, input_lookalikes, is_bias_name


def check_challenge_names(folder: Path, neurons: int, layers: int, *, images: bool) -> None:
    """
    Raise InputError naming a file that looks like one of this problem but has another name.

    images: whether the input rows are read from the folder

    Files of layers beyond `layers` and of other sizes are not checked.
    """
    _check_layers(folder, neurons, layers)
    names = sorted(file.name for file in folder.iterdir())
    for name in names:
        if is_bias_name(name):
            raise InputError(
                f"{folder / name}: is not read with the challenge's files, which have their own "
                "bias; remove it, or write the layers to layer-1.npz and so on"
            )
    _check_categories(folder, names, neurons, layers)
    if images:
        _check_images(folder, names, neurons)


def check_has_network(folder: Path, neurons: int) -> None:
    """
    Raise InputError for a folder without any file of the challenge, of whatever size.

    neurons: the size of the network that was asked for, for the message
    """
    if not any(is_challenge_name(file.name) for file in folder.iterdir()):
        first = layer_path(folder, neurons, 1).relative_to(folder)
        raise InputError(
            f"{folder}: no layer-1.npz (your own network) and no {first} (the challenge's) there"
        )


def _check_layers(folder: Path, neurons: int, layers: int) -> None:
    inside = layer_folder(folder, neurons)
    official = name_pattern(LAYER, neurons=neurons, layer="[1-9][0-9]*")
    lookalike = re.compile(
        rf"(?:n0*{neurons}[-_ ]*)?l(?:ayer)?[-_ ]*([0-9]+){DATA_SUFFIX}", re.IGNORECASE
    )
    if not inside.is_dir():
        return
    for name, match in _lookalikes(inside, lookalike, official):
        number = int(match[1])
        if number <= layers:
            first, last = (layer_path(folder, neurons, n).name for n in (1, layers))
            raise InputError(
                f"{inside / name}: is not read by this name; layers are {first} to {last}: rename "
                "or remove it"
            )


def _check_images(folder: Path, names: list[str], neurons: int) -> None:
    expected = images_path(folder, neurons).name
    for name in (*INPUTS, *(file.name for file in input_lookalikes(folder))):
        if name in names:
            raise InputError(
                f"{folder / name}: is not read with the challenge's files, whose input rows are in "
                f"{expected}; write them to that file, or use shipped_images=True"
            )
    if _has_file(folder, names, name_pattern(IMAGES, neurons=neurons)):
        return
    remedy = f"rename it to {expected}, or use shipped_images=True"
    lookalike = re.compile(
        rf"(?:sparse)?[-_ ]*images?[-_ ]*0*{neurons}{DATA_SUFFIX}", re.IGNORECASE
    )
    other_size = name_pattern(IMAGES, neurons="([0-9]+)")
    for name in names:
        if lookalike.fullmatch(name):
            raise InputError(f"{folder / name}: is not read by this name; {remedy}")
        match = other_size.fullmatch(name)
        if match and not (folder / LAYER_FOLDER.format(neurons=match[1])).is_dir():
            raise InputError(
                f"{folder / name}: has images of {match[1]} neurons, but the layers have "
                f"{neurons}; {remedy}"
            )


def _check_categories(folder: Path, names: list[str], neurons: int, layers: int) -> None:
    if _has_file(folder, names, name_pattern(CATEGORIES, neurons=neurons, layers=layers)):
        return
    lookalike = re.compile(
        rf"n(?:euron)?[-_ ]*0*{neurons}[-_ ]*l(?:ayers?)?[-_ ]*0*{layers}[-_ ]*categor(?:y|ies)"
        rf"{DATA_SUFFIX}",
        re.IGNORECASE,
    )
    for name in names:
        if lookalike.fullmatch(name):
            raise InputError(
                f"{folder / name}: is not read by this name; the expected categories are read from "
                f"{categories_path(folder, neurons, layers).name}: rename or remove it"
            )


def _has_file(folder: Path, names: list[str], official: re.Pattern[str]) -> bool:
    """Whether `folder` has a file of an official name. InputError if it is not a regular file."""
    matches = [folder / name for name in names if official.fullmatch(name)]
    for file in matches:
        if not file.is_file():
            problem = "a broken link" if file.is_symlink() else "not a file"
            raise InputError(f"{file}: is {problem}; correct or remove it")
    return bool(matches)


def _lookalikes(
    folder: Path, lookalike: re.Pattern[str], official: re.Pattern[str]
) -> Iterator[tuple[str, re.Match[str]]]:
    """Names in `folder` that match `lookalike` but not `official`."""
    for name in sorted(file.name for file in folder.iterdir()):
        match = lookalike.fullmatch(name)
        if match and not official.fullmatch(name):
            yield name, match
