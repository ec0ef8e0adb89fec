"""The output files of a run: checks of their names, and the file of activations."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from kkspdnn.cli.text_outputs import STANDARD_OUTPUT
from kkspdnn.errors import InputError
from kkspdnn.inference import Result
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.io.challenge_names import CATEGORIES, IMAGES, LAYER_FOLDER, name_pattern
from kkspdnn.io.npz_folder import is_network_name

_SUFFIXES = (".npy", ".npz")
_INPUT_NAMES = (
    name_pattern(IMAGES),
    name_pattern(CATEGORIES),
    re.compile(r"checkpoint\.json|part-[0-9]+-of-[0-9]+\.npz"),
)
"""The input files in a folder of the challenge and in a checkpoint."""

_LAYER_FOLDER = re.compile(LAYER_FOLDER.format(neurons="[0-9]+"))


def check_distinct(outputs: Mapping[str, Path], inputs: Mapping[str, Path]) -> None:
    """Raise InputError if two outputs are the same file, or an output would overwrite an input.

    outputs: the files to write, by option, such as `--json`
    inputs: the files and folders to read, by option

    Paths are compared with links resolved. A folder's input files are recognised by name, so that a
    run does not write a file that the next run would read.
    """
    files = list(outputs.items())
    for index, (option, file) in enumerate(files):
        for other, earlier in files[:index]:
            if _same(file, earlier):
                if file == STANDARD_OUTPUT:
                    raise InputError(
                        f"{other} and {option} are both -, standard output; write one to a file"
                    )
                same = f"both {file}" if file == earlier else f"one file, {earlier} and {file}"
                raise InputError(f"{other} and {option} are {same}; give two files")
        for other, source in inputs.items():
            if not _is_device(file) and _would_overwrite(file, source):
                raise InputError(
                    f"{option} {file}: is a file that {other} {source} reads; give another name"
                )


def _same(one: Path, other: Path) -> bool:
    if _is_device(one) or _is_device(other):
        # Standard output and standard error may be the same terminal.
        return one == other
    try:
        return one.samefile(other)
    except OSError:
        return _resolved(one) == _resolved(other)


def _is_device(file: Path) -> bool:
    """Return whether this is a device or pipe, which several outputs may share."""
    if file == STANDARD_OUTPUT:
        return True
    return file.absolute().is_relative_to("/dev") or (file.exists() and not file.is_file())


def _would_overwrite(file: Path, source: Path) -> bool:
    if not source.is_dir():
        return _same(file, source)
    try:
        inside = _resolved(file).relative_to(_resolved(source))
    except ValueError:
        inside = None
    if inside is not None and _is_input_name(inside):
        # A missing file of categories may be created, as the expected ones of later runs.
        return file.exists() or not inside.name.startswith("neuron")
    return file.exists() and any(_same(file, each) for each in _input_files(source))


def _is_input_name(inside: Path) -> bool:
    """Return whether a run reads the file of this path, relative to its folder."""
    name = inside.name
    if len(inside.parts) == 1:
        is_known = any(pattern.fullmatch(name) for pattern in _INPUT_NAMES)
        return is_known or is_network_name(name)
    return len(inside.parts) == 2 and bool(_LAYER_FOLDER.fullmatch(inside.parts[0]))


def _input_files(folder: Path) -> Iterator[Path]:
    for each in folder.iterdir():
        if each.is_dir() and _LAYER_FOLDER.fullmatch(each.name):
            yield from each.iterdir()
        elif _is_input_name(Path(each.name)):
            yield each


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))


def check_outputs_name(path: Path) -> None:
    """Raise InputError if the suffix is not that of a format."""
    if path.suffix not in _SUFFIXES:
        raise InputError(f"{path}: give a name that ends in .npy (dense) or .npz (SciPy's CSR)")


def write_outputs(path: Path, result: Result) -> None:
    """Write the activations after the last layer, (inputs, outputs), atomically.

    .npy: dense, for numpy.load
    .npz: CSR, for scipy.sparse.load_npz

    Raises InputError if the result has no values, or if the file cannot be written.
    """
    check_outputs_name(path)
    with replace_file(path) as file:
        if path.suffix == ".npy":
            np.save(file, result.outputs)
        else:
            sp.save_npz(file, result.sparse_outputs)
