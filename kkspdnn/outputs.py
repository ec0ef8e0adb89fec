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
    given = result.outputs if path.suffix == ".npy" else _every_row(result)
    with replacing(path) as file:
        if isinstance(given, np.ndarray):
            np.save(file, given)
        else:
            sp.save_npz(file, given)


def _every_row(result: Result) -> sp.csr_array:
    """The values with the rows of zeros in their places."""
    if result.values is None:
        raise InputError("the values were not kept; ask for them with values=True")
    values = result.values
    counts = np.zeros(result.record.inputs, np.int64)
    counts[result.categories - 1] = np.diff(values.indptr)
    starts = np.concatenate([[0], np.cumsum(counts)])
    shape = result.record.inputs, values.shape[1]
    return sp.csr_array((values.data, values.indices, starts), shape=shape)
