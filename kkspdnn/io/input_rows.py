"""
Input rows from a file of the user, in one of these formats:

    .npy                numpy.save of a dense array (rows, neurons)
    .npz                scipy.sparse.save_npz of a matrix (rows, neurons), or numpy.savez of one
                        dense array
    .tsv, .tsv.gz       lines: row TAB neuron TAB value, counted from 1, as the challenge's images
    any other name      IDX images as MNIST's, plain or gzipped: a row is an image of any size, and
                        neuron `image row * width + image column` has the value pixel / 255
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.challenge_images import largest_neuron, read_image_lines
from kkspdnn.io.idx import idx_shape, read_idx_rows
from kkspdnn.io.npz import npz_inputs_shape, read_npz_inputs
from kkspdnn.io.path_arguments import to_path
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.units import plural

_NUMPY = (".npy", ".npz")
_LINES = (".tsv", ".tsv.gz")


@ieee_arithmetic()
def read_rows(
    path: str | PathLike[str],
    neurons: int | None = None,
    rows: int | None = None,
    *,
    budget: Budget | None = None,
) -> Inputs:
    """
    Read input rows from a .npy, .npz, .tsv or IDX file.

    path: the file; see kkspdnn.io.input_rows for the formats
    neurons: the number of neurons of a row, to check it; needed for .tsv if no line has the last
    neuron. None: that of the file, in .tsv the largest neuron number
    rows: the number of rows, from the first one on; None: all, in .tsv the largest row number
    budget: a kkspdnn.device.memory.Budget, such as Budget.from_gigabytes(8); None: the free memory

    Dense rows of float32 or float64 keep their dtype, and those of IDX are float32. Lines of .tsv
    are bits if all values are 1, else CSR of float64.

    InputError naming the file for another format, another number of neurons, more rows than the
    file has, values that are not finite, and a file that needs more memory than the budget. It
    names the row, or the line of .tsv, of an invalid value.
    """
    file = to_path(path)
    memory = Budget() if budget is None else budget
    if file.name.endswith(_LINES):
        width = largest_neuron(file) if neurons is None else neurons
        return read_image_lines(file, width, rows, budget=memory, source=f"file {file.name}")
    check_rows_shape(file, neurons, rows)
    if not file.name.endswith(_NUMPY):
        return read_idx_rows(file, rows, memory)
    inputs = read_npz_inputs(file, budget=memory)
    return inputs if rows is None else inputs.slice(0, rows)


def check_rows_shape(
    file: Path, neurons: int | None, rows: int | None, network: str = "the network"
) -> None:
    """
    Raise InputError if the header of a file of input rows shows that it does not fit.

    neurons, rows: as in `read_rows`
    network: what has `neurons` inputs, for the message

    The header of a .tsv file does not exist; its lines are checked when they are read.
    """
    if file.name.endswith(_LINES):
        return
    shape = _shape(file)
    if len(shape) != 2:
        raise InputError(
            f"{file}: has an array of {plural(len(shape), 'dimension')}; input rows have 2: "
            "reshape them to (rows, neurons)"
        )
    if neurons is not None and shape[1] != neurons:
        raise InputError(
            f"{file}: has rows of {shape[1]} neurons, but {network} has {neurons} inputs"
        )
    if rows is not None and not 0 <= rows <= shape[0]:
        raise InputError(f"rows={rows}: {file} has {shape[0]} rows; use at most rows={shape[0]}")


def _shape(file: Path) -> tuple[int, ...]:
    """The shape of the rows in the header of a file."""
    if file.name.endswith(_NUMPY):
        return npz_inputs_shape(file)
    count, height, width = idx_shape(file)
    return count, height * width
