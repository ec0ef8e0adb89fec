"""`--outputs FILE`: the activations after the last layer, as a file of NumPy or of SciPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

from kkspdnn.errors import InputError
from kkspdnn.files import replacing
from kkspdnn.inference import Result

_SUFFIXES = (".npy", ".npz")


def check_outputs_name(path: Path) -> None:
    """Raise InputError where the name does not say how to write the file."""
    if path.suffix not in _SUFFIXES:
        raise InputError(f"{path}: give a name that ends in .npy (dense) or .npz (SciPy's CSR)")


def write_outputs(path: Path, result: Result) -> None:
    """Write a row of activations for each input row, (inputs, outputs), whole or not at all.

    .npy: dense, as numpy.load takes it; .npz: CSR, as scipy.sparse.load_npz does. InputError where
    the values were not kept, or the file cannot be written.
    """
    check_outputs_name(path)
    with replacing(path) as file:
        if path.suffix == ".npy":
            np.save(file, result.outputs)
        else:
            sp.save_npz(file, result.every_row)
