"""
Files in a folder of the challenge's that look like part of a problem, but are not read.

The challenge's files are found by their official names, and a folder may have those of several
sizes and depths. A name that is nearly right would be passed over, and the run would be one of
something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kkspdnn.errors import InputError
from kkspdnn.io.npz_folder import DATA_SUFFIX, INPUTS, input_lookalikes, is_bias_name

_OFFICIAL = r"\.tsv(?:\.gz)?"


def check_challenge_names(folder: Path, neurons: int, layers: int, *, images: bool) -> None:
    """
    Raise InputError naming a file that looks like one of this problem's and is not read.

    images: whether the input rows are to come from the folder, or else are the shipped ones. Layers
    beyond `layers`, and files of other sizes, are no part of the problem.
    """
    _check_layers(folder / f"neuron{neurons}", neurons, layers)
    names = sorted(each.name for each in folder.iterdir())
    for name in names:
        if is_bias_name(name):
            raise InputError(
                f"{folder / name}: is not read with the challenge's files, which have their own "
                "bias; remove it, or write the layers to layer-1.npz and so on"
            )
    _check_categories(folder, names, neurons, layers)
    if images:
        _check_images(folder, names, neurons)


def _check_layers(folder: Path, neurons: int, layers: int) -> None:
    official = re.compile(rf"n{neurons}-l([1-9][0-9]*){_OFFICIAL}")
    like = re.compile(
        rf"(?:n0*{neurons}[-_ ]*)?l(?:ayer)?[-_ ]*([0-9]+){DATA_SUFFIX}", re.IGNORECASE
    )
    if not folder.is_dir():
        return
    for name, match in _lookalikes(folder, like, official):
        number = int(match[1])
        if number <= layers:
            raise InputError(
                f"{folder / name}: is not read by this name; layers are n{neurons}-l1.tsv to "
                f"n{neurons}-l{layers}.tsv: rename or remove it"
            )


def _check_images(folder: Path, names: list[str], neurons: int) -> None:
    for name in (*INPUTS, *(each.name for each in input_lookalikes(folder))):
        if name in names:
            raise InputError(
                f"{folder / name}: is not read with the challenge's files, whose input rows are in "
                f"sparse-images-{neurons}.tsv; write them there, or give --shipped-images"
            )
    if _is_there(folder, names, re.compile(rf"sparse-images-{neurons}{_OFFICIAL}")):
        return
    rename = f"give them the name sparse-images-{neurons}.tsv, or give --shipped-images"
    like = re.compile(rf"(?:sparse)?[-_ ]*images?[-_ ]*0*{neurons}{DATA_SUFFIX}", re.IGNORECASE)
    other = re.compile(rf"sparse-images-([0-9]+){_OFFICIAL}")
    for name in names:
        if like.fullmatch(name):
            raise InputError(f"{folder / name}: is not read by this name; {rename}")
        match = other.fullmatch(name)
        if match and not (folder / f"neuron{match[1]}").is_dir():
            raise InputError(
                f"{folder / name}: is of {match[1]} neurons, but the layers have {neurons}; "
                f"{rename}"
            )


def _check_categories(folder: Path, names: list[str], neurons: int, layers: int) -> None:
    if _is_there(folder, names, re.compile(rf"neuron{neurons}-l{layers}-categories{_OFFICIAL}")):
        return
    like = re.compile(
        rf"n(?:euron)?[-_ ]*0*{neurons}[-_ ]*l(?:ayers?)?[-_ ]*0*{layers}[-_ ]*categor(?:y|ies)"
        rf"{DATA_SUFFIX}",
        re.IGNORECASE,
    )
    for name in names:
        if like.fullmatch(name):
            raise InputError(
                f"{folder / name}: is not read by this name; the categories that must come out are "
                f"in neuron{neurons}-l{layers}-categories.tsv: rename or remove it"
            )


def _is_there(folder: Path, names: list[str], official: re.Pattern[str]) -> bool:
    """Whether a folder has a file of this name; InputError where it is one that cannot be read."""
    found = [folder / name for name in names if official.fullmatch(name)]
    for file in found:
        if not file.is_file():
            what = "a link that leads nowhere" if file.is_symlink() else "not a file"
            raise InputError(f"{file}: is {what}; mend or remove it")
    return bool(found)


def _lookalikes(
    folder: Path, like: re.Pattern[str], official: re.Pattern[str]
) -> Iterator[tuple[str, re.Match[str]]]:
    for name in sorted(each.name for each in folder.iterdir()):
        match = like.fullmatch(name)
        if match and not official.fullmatch(name):
            yield name, match
