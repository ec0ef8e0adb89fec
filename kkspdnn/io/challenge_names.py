"""
The official file names of the Sparse DNN Graph Challenge.

In a folder DIR, for networks of 1024 neurons, each file plain or gzipped (with .gz appended):

    DIR/neuron1024/n1024-l1.tsv          layer 1
    DIR/sparse-images-1024.tsv           input rows
    DIR/neuron1024-l120-categories.tsv   expected categories after 120 layers
"""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

from kkspdnn.io.path_arguments import to_path

LAYER_FOLDER = "neuron{neurons}"
LAYER = "n{neurons}-l{layer}.tsv"
IMAGES = "sparse-images-{neurons}.tsv"
CATEGORIES = "neuron{neurons}-l{layers}-categories.tsv"

_ANY_NUMBER = dict.fromkeys(("neurons", "layer", "layers"), "[0-9]+")


def layer_path(folder: str | PathLike[str], neurons: int, layer: int) -> Path:
    """DIR/neuron1024/n1024-l1.tsv for layer 1 of 1024 neurons."""
    return layer_folder(folder, neurons) / LAYER.format(neurons=neurons, layer=layer)


def layer_folder(folder: str | PathLike[str], neurons: int) -> Path:
    """DIR/neuron1024 for layers of 1024 neurons."""
    return to_path(folder) / LAYER_FOLDER.format(neurons=neurons)


def images_path(folder: str | PathLike[str], neurons: int) -> Path:
    """DIR/sparse-images-1024.tsv for 1024 neurons."""
    return to_path(folder) / IMAGES.format(neurons=neurons)


def categories_path(folder: str | PathLike[str], neurons: int, layers: int) -> Path:
    """DIR/neuron1024-l120-categories.tsv for 120 layers of 1024 neurons."""
    return to_path(folder) / CATEGORIES.format(neurons=neurons, layers=layers)


def gzipped(path: Path) -> Path:
    """The path of the gzipped form of a file."""
    return path.with_name(path.name + ".gz")


def find_file(path: Path) -> Path | None:
    """`path` if it is a file, else its gzipped form if that is a file, else None."""
    return next((form for form in (path, gzipped(path)) if form.is_file()), None)


def name_pattern(template: str, **numbers: int | str) -> re.Pattern[str]:
    """
    A pattern of the plain and gzipped file names of a template, such as IMAGES.

    numbers: an integer or a regular expression for each field of the template; any number if absent
    """
    plain = template.replace(".", r"\.").format(**{**_ANY_NUMBER, **numbers})
    return re.compile(rf"{plain}(?:\.gz)?")


def is_challenge_name(name: str) -> bool:
    """Whether `name` is that of a challenge file or of a folder of layers, for any size."""
    if re.fullmatch(LAYER_FOLDER.format(**_ANY_NUMBER), name):
        return True
    return any(name_pattern(each).fullmatch(name) for each in (LAYER, IMAGES, CATEGORIES))
