"""
Readers and writers of the files of the Sparse DNN Graph Challenge: layers, images and categories.

Formats: Kepner et al., "Sparse Deep Neural Network Graph Challenge" (HPEC 2019),
graphchallenge.mit.edu. In a folder DIR, each file plain or gzipped (with .gz appended); all numbers
are counted from 1:

    DIR/neuron1024/n1024-l1.tsv          lines: input neuron TAB output neuron TAB weight
    DIR/sparse-images-1024.tsv           lines: image TAB neuron TAB value
    DIR/neuron1024-l120-categories.tsv   one row number per line, ascending

The files contain neither the bias nor ymax. These are `challenge_bias(neurons)` and 32.
"""

from __future__ import annotations

import string
import zlib
from io import TextIOWrapper
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.io.challenge_images import check_size, read_image_lines
from kkspdnn.io.challenge_layers import RESIDENT_BYTES, FileLayers
from kkspdnn.io.challenge_names import (
    categories_path,
    find_file,
    gzipped,
    images_path,
    layer_path,
)
from kkspdnn.io.layer_cache import open_layer_cache
from kkspdnn.io.tsv import open_text, read_error, write_triples
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import Floats, float_dtype
from kkspdnn.model.network import Network
from kkspdnn.model.radixnet import challenge_bias
from kkspdnn.progress import Progress, open_progress

YMAX = 32.0
"""The upper limit of the ReLU in the challenge's networks."""

_MAX_LINE = 1000
"""The maximum number of characters of a line of categories."""


def read_layers(
    folder: str | PathLike[str],
    neurons: int,
    layers: int,
    dtype: DTypeLike = np.float32,
    *,
    layer_cache: float | None = None,
    resident_bytes: int = RESIDENT_BYTES,
    progress: Progress = None,
) -> FileLayers:
    """
    The first `layers` layers in a folder of challenge files, all read and checked in this call.

    layer_cache: the maximum size of the cache of parsed layers on disk, in gigabytes (10^9 bytes).
    0: no cache; None: KKSPDNN_LAYER_CACHE_GB, else 4. A cached layer is used if the bytes of the
    text file are the same
    resident_bytes: layers up to this total stay in memory; later ones are read again on each access
    progress: True for a progress bar on a terminal or in a notebook; or a function that is called
    with the name of the current step and its completed fraction, 0 to 1

    InputError naming the first missing file, or `file:line` of an invalid line.
    """
    bias = challenge_bias(neurons)
    if layers < 0:
        raise InputError(f"{layers} layers: the number must not be negative")
    names = [layer_path(folder, neurons, number) for number in range(1, layers + 1)]
    paths = []
    for name in names:
        path = find_file(name)
        if path is None:
            raise InputError(
                f"{name}: no such file, nor {name.name}.gz; {layers} layers are needed"
            )
        paths.append(path)
    cache = open_layer_cache(layer_cache)
    with open_progress(progress) as on_step:
        on_step("reading the layers", 0.0)
        return FileLayers(
            paths,
            neurons,
            bias,
            float_dtype(dtype),
            cache=cache,
            resident_bytes=resident_bytes,
            on_layer=lambda number: on_step("reading the layers", number / layers),
        )


def read_network(
    folder: str | PathLike[str],
    neurons: int,
    layers: int,
    dtype: DTypeLike = np.float32,
    *,
    layer_cache: float | None = None,
    resident_bytes: int = RESIDENT_BYTES,
    progress: Progress = None,
) -> Network:
    """
    The network in a folder of challenge files, with the challenge's bias and ymax.

    neurons, layers: the size; all layers are read and checked in this call
    layer_cache: the maximum size of the cache of parsed layers on disk, in gigabytes (10^9 bytes).
    0: no cache; None: KKSPDNN_LAYER_CACHE_GB, else 4
    resident_bytes: layers up to this total stay in memory; later ones are read again on each access
    progress: True for a progress bar on a terminal or in a notebook; or a function that is called
    with the name of the current step and its completed fraction, 0 to 1

    InputError naming the first missing file, or `file:line` of an invalid line.
    """
    file_layers = read_layers(
        folder,
        neurons,
        layers,
        dtype,
        layer_cache=layer_cache,
        resident_bytes=resident_bytes,
        progress=progress,
    )
    return Network(
        layers=file_layers,
        inputs=neurons,
        ymax=YMAX,
        name=f"challenge-{neurons}x{layers}",
        source="challenge",
    )


@ieee_arithmetic()
def read_images(
    folder: str | PathLike[str],
    neurons: int,
    rows: int | None = None,
    *,
    budget: Budget | None = None,
    progress: Progress = None,
) -> Inputs:
    """
    The images in a folder of challenge files as input rows.

    rows: the number of input rows. Images beyond it are ignored, rows without a line are zero.
    None: the largest image number in the file, which does not show trailing zero rows
    budget: a kkspdnn.device.memory.Budget, such as Budget.from_gigabytes(8); None: the free memory
    progress: True for a progress bar on a terminal or in a notebook; or a function that is called
    with the name of the current step, and 0 because the number of lines is unknown

    The rows are bits if all values are 1, else CSR of float64. Lines may be in any order.
    InputError with `file:line` for an invalid line or a duplicate pixel, and if the rows need more
    memory than the budget.
    """
    check_size(neurons, rows)
    name = images_path(folder, neurons)
    path = find_file(name)
    if path is None:
        raise InputError(f"{name}: no such file, nor {name.name}.gz")
    memory = Budget() if budget is None else budget
    source = f"challenge images {path.name}"
    with open_progress(progress) as on_step:
        on_step("reading the images", 0.0)
        return read_image_lines(path, neurons, rows, budget=memory, source=source)


def read_categories(
    folder: str | PathLike[str], neurons: int, layers: int
) -> NDArray[np.int64] | None:
    """
    The expected categories, row numbers from 1, ascending. None if there is no file.

    An empty file is valid: no row has a category. InputError with `file:line` unless each line is
    an integer from 1 on that is larger than the one before.
    """
    path = find_file(categories_path(folder, neurons, layers))
    if path is None:
        return None
    categories: list[int] = []
    with open_text(path) as file:
        text = TextIOWrapper(file, encoding="utf-8-sig", errors="replace")
        try:
            # Limit the line length: a file without line ends must not fill the memory.
            for number, line in enumerate(iter(lambda: text.readline(_MAX_LINE), ""), start=1):
                _append_category(categories, line.strip(string.whitespace), f"{path}:{number}")
        except (OSError, EOFError, zlib.error) as error:
            raise read_error(path, error) from error
    return np.array(categories, dtype=np.int64)


def _append_category(categories: list[int], text: str, location: str) -> None:
    """Append the row number in `text`. InputError, beginning with `location`, if it is invalid."""
    if not (text.isdecimal() and text.isascii() and len(text) <= 18 and int(text) >= 1):
        raise InputError(f"{location}: {text[:40]!r} is not a row number, from 1")
    if categories and int(text) <= categories[-1]:
        raise InputError(f"{location}: row {text} after row {categories[-1]}; rows must ascend")
    categories.append(int(text))


def write_network(network: Network, folder: str | PathLike[str], *, compress: bool = True) -> None:
    """
    Write a network as layer files of the challenge.

    compress: whether to gzip the files

    InputError for a network that the format cannot represent: another bias, `bias_to`, activation
    or ymax than the challenge's, layers that are not square, or a layer without edges.
    """
    neurons = network.inputs
    bias = challenge_bias(neurons)
    if any(layer.activation != "relu" or layer.bias_to != "nonzero" for layer in network.layers):
        raise InputError(
            "the challenge's files imply a ReLU and a bias on nonzero sums in every layer; "
            "use save_npz_network"
        )
    if network.ymax != YMAX:
        raise InputError(
            f"ymax {network.ymax}: the challenge's files imply {YMAX}; use save_npz_network"
        )
    for number, layer in enumerate(network.layers, start=1):
        if (layer.inputs, layer.outputs) != (neurons, neurons):
            raise InputError(
                f"layer {number} has {layer.inputs} x {layer.outputs} neurons; "
                f"the challenge's files need {neurons} x {neurons}; use save_npz_network"
            )
        if bool((layer.bias != layer.dtype.type(bias)).any()):
            raise InputError(
                f"layer {number}: the challenge's files imply a bias of {bias} everywhere; "
                "use save_npz_network"
            )
        if layer.edges == 0:
            raise InputError(
                f"layer {number} has no edges; the challenge's files need at least one; "
                "use save_npz_network"
            )
        path = layer_path(folder, neurons, number)
        output = np.repeat(np.arange(1, neurons + 1), np.diff(layer.start))
        source = layer.index.astype(np.int64) + 1
        _write_lines(path, source, output, layer.value, compress)


def write_images(inputs: Inputs, folder: str | PathLike[str], *, compress: bool = True) -> None:
    """Write input rows as image file of the challenge. InputError if all values are zero.

    compress: whether to gzip the file
    """
    if inputs.nonzeros == 0:
        raise InputError(
            "all input rows are zero; the challenge's image file needs at least one pixel"
        )
    csr = inputs.to_csr(inputs.dtype)
    image = np.repeat(np.arange(1, inputs.rows + 1), np.diff(csr.indptr))
    path = images_path(folder, inputs.neurons)
    value = csr.data if inputs.bits is None else None
    _write_lines(path, image, csr.indices.astype(np.int64) + 1, value, compress)


def write_categories(
    categories: NDArray[np.int64], folder: str | PathLike[str], neurons: int, layers: int
) -> None:
    """Write categories, row numbers from 1, ascending, as file of the challenge."""
    path = categories_path(folder, neurons, layers)
    with replace_file(path) as file:
        file.write("".join(f"{row}\n" for row in categories).encode())
    gzipped(path).unlink(missing_ok=True)


def _write_lines(
    path: Path, first: NDArray[Any], second: NDArray[Any], value: Floats | None, compress: bool
) -> None:
    """Write a file of three columns at `path`, or its gzipped form, and remove the other form."""
    write_triples(gzipped(path) if compress else path, first, second, value)
    # A file of the other form, from an earlier write, would be out of date.
    (path if compress else gzipped(path)).unlink(missing_ok=True)
