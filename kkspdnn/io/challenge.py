"""
The files of the Sparse DNN Graph Challenge: layers, images and categories under their official
names.

Formats: Kepner et al., "Sparse Deep Neural Network Graph Challenge" (HPEC 2019),
graphchallenge.mit.edu. In a folder DIR, each file plain or with .gz after its name:

    DIR/neuron1024/n1024-l1.tsv ...      input neuron TAB output neuron TAB weight, from 1
    DIR/sparse-images-1024.tsv           image TAB neuron TAB value, from 1
    DIR/neuron1024-l120-categories.tsv   one row number a line, from 1, ascending

The files hold neither bias nor ymax: these are the challenge's, `challenge_bias(neurons)` and 32.
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
from kkspdnn.io.challenge_images import packed, sparse
from kkspdnn.io.challenge_layers import RESIDENT_BYTES, FileLayers
from kkspdnn.io.layer_cache import open_layer_cache
from kkspdnn.io.tsv import INT32_MAX, open_text, read_blocks, unreadable, write_triples
from kkspdnn.io.tsv_lines import Form
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import Floats, float_dtype
from kkspdnn.model.network import Network
from kkspdnn.model.radixnet import challenge_bias

YMAX = 32.0
_LONGEST_LINE = 1000  # characters of a line of categories
_MOST_IMAGES = 10_000_000  # beyond it a number is rather a mistake than an image


def read_layers(
    folder: str | PathLike[str],
    neurons: int,
    layers: int,
    dtype: DTypeLike = np.float32,
    *,
    layer_cache: float | None = None,
    resident_bytes: int = RESIDENT_BYTES,
) -> FileLayers:
    """
    The first `layers` layers in DIR. All are read and checked now. Layers up to a total of
    `resident_bytes` stay in memory; later ones are read again on each access.

    Parsed layers are kept in the cache folder, and later calls read them from there as long as the
    bytes of the text stay the same. `layer_cache` limits their size on disk, in gigabytes of 10^9
    bytes: 0 for no cache; None for KKSPDNN_LAYER_CACHE_GB, else 4.

    InputError naming the first missing file, or `file:line` of what is wrong.
    """
    bias = challenge_bias(neurons)
    if layers < 0:
        raise InputError(f"{layers} layers: the number must not be negative")
    names = [layer_path(folder, neurons, number) for number in range(1, layers + 1)]
    found = [_existing(name) for name in names]
    for name, path in zip(names, found, strict=True):
        if path is None:
            raise InputError(
                f"{name}: no such file, nor {name.name}.gz; {layers} layers are needed"
            )
    paths = [path for path in found if path is not None]
    cache = open_layer_cache(layer_cache)
    return FileLayers(
        paths, neurons, bias, float_dtype(dtype), cache=cache, resident_bytes=resident_bytes
    )


def read_network(
    folder: str | PathLike[str],
    neurons: int,
    layers: int,
    dtype: DTypeLike = np.float32,
    *,
    layer_cache: float | None = None,
    resident_bytes: int = RESIDENT_BYTES,
) -> Network:
    """
    The network in DIR with the challenge's bias and ymax; see `read_layers` for the arguments and
    for what is raised.
    """
    read = read_layers(
        folder, neurons, layers, dtype, layer_cache=layer_cache, resident_bytes=resident_bytes
    )
    return Network(
        layers=read,
        inputs=neurons,
        ymax=YMAX,
        name=f"challenge-{neurons}x{layers}",
        source="challenge",
    )


def layer_path(folder: str | PathLike[str], neurons: int, number: int) -> Path:
    """DIR/neuron1024/n1024-l1.tsv for layer 1 of 1024 neurons."""
    return Path(folder) / f"neuron{neurons}" / f"n{neurons}-l{number}.tsv"


def images_path(folder: str | PathLike[str], neurons: int) -> Path:
    """DIR/sparse-images-1024.tsv for 1024 neurons."""
    return Path(folder) / f"sparse-images-{neurons}.tsv"


def categories_path(folder: str | PathLike[str], neurons: int, layers: int) -> Path:
    """DIR/neuron1024-l120-categories.tsv for 120 layers of 1024 neurons."""
    return Path(folder) / f"neuron{neurons}-l{layers}-categories.tsv"


@ieee_arithmetic()
def read_images(
    folder: str | PathLike[str],
    neurons: int,
    rows: int | None = None,
    *,
    budget: Budget | None = None,
) -> Inputs:
    """
    The images in DIR as input rows: bits where every value is 1, else CSR of float64.

    `rows` is the number of input rows: images beyond it are left out, rows without a line are zero.
    None: as many as the largest image number in the file (trailing zero rows cannot be seen in it).
    Lines may come in any order. InputError with `file:line`, for a pixel given twice too, and for
    more rows than fit into the budget of memory (None: what is free).
    """
    if rows is not None and rows < 0:
        raise InputError(f"{rows} input rows: the number must not be negative")
    if neurons < 1:
        raise InputError(f"{neurons} neurons: at least 1 is needed")
    name = images_path(folder, neurons)
    path = _existing(name)
    if path is None:
        raise InputError(f"{name}: no such file, nor {name.name}.gz")
    most = _MOST_IMAGES if rows is None else INT32_MAX
    form = Form(("image", "neuron", "value"), (most, neurons), np.float64)
    source = f"challenge images {path.name}"
    memory = Budget() if budget is None else budget
    bits = packed(path, read_blocks(path, form), neurons, rows, memory)
    if bits is not None:
        return Inputs(rows=bits.shape[0], neurons=neurons, source=source, bits=bits)
    csr = sparse(path, read_blocks(path, form), neurons, rows, memory)
    return Inputs(rows=csr.shape[0], neurons=neurons, source=source, csr=csr)


def read_categories(
    folder: str | PathLike[str], neurons: int, layers: int
) -> NDArray[np.int64] | None:
    """
    The true categories: rows from 1, ascending; None where the file is absent.

    An empty file is legal (no row is left). InputError with `file:line` for anything that is not
    one whole number from 1 a line, each larger than the one before.
    """
    path = _existing(categories_path(folder, neurons, layers))
    if path is None:
        return None
    found: list[int] = []
    with open_text(path) as file:
        text = TextIOWrapper(file, encoding="utf-8-sig", errors="replace")
        try:
            # a longer line is none: a file without line ends must not fill the memory
            for number, line in enumerate(iter(lambda: text.readline(_LONGEST_LINE), ""), start=1):
                _append_row(found, line.strip(string.whitespace), f"{path}:{number}")
        except (OSError, EOFError, zlib.error) as error:
            raise unreadable(path, error) from error
    return np.array(found, dtype=np.int64)


def _append_row(found: list[int], text: str, where: str) -> None:
    if not (text.isdecimal() and text.isascii() and len(text) <= 18 and int(text) >= 1):
        raise InputError(f"{where}: {text[:40]!r} is not a row number, from 1")
    if found and int(text) <= found[-1]:
        raise InputError(f"{where}: row {text} after row {found[-1]}; rows must ascend")
    found.append(int(text))


def write_network(network: Network, folder: str | PathLike[str], *, compress: bool = True) -> None:
    """
    Write a network as the challenge's layer files, gzipped where `compress`.

    InputError for what the format cannot hold: a bias, its rule, activation or ymax other than the
    challenge's, layers that are not square, a layer without edges.
    """
    neurons = network.inputs
    bias = challenge_bias(neurons)
    if any(layer.activation != "relu" or layer.bias_to != "nonzero" for layer in network.layers):
        raise InputError(
            "the challenge's files imply a ReLU and a bias on nonzero sums in every layer; "
            "use save_npz_network"
        )
    if network.ymax != YMAX:
        raise InputError(f"ymax {network.ymax}: the challenge's files imply {YMAX}")
    for number, layer in enumerate(network.layers, start=1):
        if (layer.inputs, layer.outputs) != (neurons, neurons):
            raise InputError(
                f"layer {number} has {layer.inputs} x {layer.outputs} neurons; "
                f"the challenge's files need {neurons} x {neurons}"
            )
        if bool((layer.bias != layer.dtype.type(bias)).any()):
            raise InputError(
                f"layer {number}: the challenge's files imply a bias of {bias} everywhere"
            )
        if layer.edges == 0:
            raise InputError(
                f"layer {number} has no edges; the challenge's files need at least one"
            )
        path = layer_path(folder, neurons, number)
        output = np.repeat(np.arange(1, neurons + 1), np.diff(layer.start))
        source = layer.index.astype(np.int64) + 1
        _write_one(path, source, output, layer.value, compress)


def write_images(inputs: Inputs, folder: str | PathLike[str], *, compress: bool = True) -> None:
    """Write input rows as the challenge's image file; InputError where all are zero."""
    if inputs.nonzeros == 0:
        raise InputError("the input rows are all zero; the challenge's image file cannot say that")
    csr = inputs.to_csr(inputs.dtype)
    image = np.repeat(np.arange(1, inputs.rows + 1), np.diff(csr.indptr))
    path = images_path(folder, inputs.neurons)
    value = csr.data if inputs.bits is None else None
    _write_one(path, image, csr.indices.astype(np.int64) + 1, value, compress)


def write_categories(
    categories: NDArray[np.int64], folder: str | PathLike[str], neurons: int, layers: int
) -> None:
    """Write categories (rows from 1, ascending) as the challenge's file."""
    path = categories_path(folder, neurons, layers)
    with replace_file(path) as file:
        file.write("".join(f"{row}\n" for row in categories).encode())
    _spellings(path)[1].unlink(missing_ok=True)


def _spellings(path: Path) -> tuple[Path, Path]:
    return path, path.with_name(path.name + ".gz")


def _existing(path: Path) -> Path | None:
    return next((each for each in _spellings(path) if each.is_file()), None)


def _write_one(
    path: Path, first: NDArray[Any], second: NDArray[Any], value: Floats | None, compress: bool
) -> None:
    plain, zipped = _spellings(path)
    write_triples(zipped if compress else plain, first, second, value)
    # what is left over from before under the other spelling would be read instead
    (plain if compress else zipped).unlink(missing_ok=True)
