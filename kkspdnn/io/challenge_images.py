"""Input rows from lines `image TAB neuron TAB value`, as bits or CSR."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.tsv import INT32_MAX, Block, read_blocks
from kkspdnn.io.tsv_lines import TripleFormat
from kkspdnn.model.inputs import Inputs

_MAX_IMAGES = 10_000_000
"""The maximum image number if the number of rows is not given. A larger one is likely an error."""


def read_image_lines(
    path: Path, neurons: int, rows: int | None, *, budget: Budget, source: str
) -> Inputs:
    """
    The images in a file of lines `image TAB neuron TAB value`, plain or gzipped, as input rows.

    rows: None for the largest image number
    source: a short description for the record

    The rows are bits if all values are 1, else CSR of float64. InputError as in
    `kkspdnn.io.challenge.read_images`.
    """
    check_size(neurons, rows)
    columns = _columns(neurons, rows)
    bits = read_bits(path, read_blocks(path, columns), neurons, rows, budget)
    if bits is not None:
        return Inputs(rows=bits.shape[0], neurons=neurons, source=source, bits=bits)
    csr = read_csr(path, read_blocks(path, columns), neurons, rows, budget)
    return Inputs(rows=csr.shape[0], neurons=neurons, source=source, csr=csr)


def largest_neuron(path: Path) -> int:
    """The largest neuron number in the lines of a file. InputError for an invalid line."""
    return max(int(block.second.max()) for block in read_blocks(path, _columns(INT32_MAX, None)))


def check_size(neurons: int, rows: int | None) -> None:
    """Raise InputError unless there is a neuron, and `rows` is None or not negative."""
    if rows is not None and rows < 0:
        raise InputError(f"{rows} input rows: the number must not be negative")
    if neurons < 1:
        raise InputError(f"{neurons} neurons: at least 1 is needed")


def _columns(neurons: int, rows: int | None) -> TripleFormat:
    max_images = _MAX_IMAGES if rows is None else INT32_MAX
    return TripleFormat(("image", "neuron", "value"), (max_images, neurons), np.float64)


def read_bits(
    path: Path, blocks: Iterable[Block], neurons: int, rows: int | None, budget: Budget
) -> NDArray[np.uint8] | None:
    """
    Bits [rows, ceil(neurons / 8)] of images 1 to `rows`, or None if a value is not 1.

    path: for messages
    rows: None for the largest image number

    Needs memory for the bits and one block only. InputError with `file:line` for a duplicate pixel,
    and for an image number that needs more memory than the budget.
    """
    width = -(-neurons // 8)
    if rows is not None:
        budget.require(rows * width, f"{path}: {rows} input rows of {neurons} neurons")
    bits = np.zeros((rows or 0, width), np.uint8)
    largest = 0
    for block in blocks:
        if bool((block.value != 1).any()):
            return None
        image, neuron, line = block.first, block.second, np.arange(block.first.size) + block.line
        if rows is not None:
            inside = image <= rows
            if not inside.all():
                image, neuron, line = image[inside], neuron[inside], line[inside]
        if image.size == 0:
            continue
        last = int(image.argmax())
        if image[last] > bits.shape[0]:
            label = (
                f"{path}:{line[last]}: image {image[last]}: {image[last]} rows of {neurons} neurons"
            )
            budget.require(int(image[last]) * width, label)
            # Pages of zeros take no memory until they are written.
            larger = np.zeros((max(int(image[last]), 2 * bits.shape[0]), width), np.uint8)
            larger[:largest] = bits[:largest]
            bits = larger
        largest = max(largest, int(image[last]))
        _set_bits(path, bits.reshape(-1), image, neuron, line, 8 * width)
    return bits if rows is not None else bits[:largest]


def _set_bits(
    path: Path,
    flat: NDArray[np.uint8],
    image: NDArray[np.int32],
    neuron: NDArray[np.int32],
    line: NDArray[np.int64],
    stride: int,
) -> None:
    """Set the bit of each pixel in `flat`. InputError for a duplicate pixel.

    stride: the number of bits of a row in `flat`
    """
    key = (image.astype(np.int64) - 1) * stride + (neuron - 1)
    if not bool((key[1:] > key[:-1]).all()):
        order = np.argsort(key, kind="stable")
        key, line, image, neuron = key[order], line[order], image[order], neuron[order]
    byte, bit = key >> 3, (0x80 >> (key & 7)).astype(np.uint8)
    duplicate = np.concatenate(([False], key[1:] == key[:-1])) | ((flat[byte] & bit) != 0)
    if duplicate.any():
        duplicates = np.flatnonzero(duplicate)
        first = int(duplicates[np.argmin(line[duplicates])])
        raise _duplicate_pixel(path, image, neuron, line, first)
    # Keys ascend, so the bits of a byte are adjacent.
    begin = np.flatnonzero(np.concatenate(([True], byte[1:] != byte[:-1])))
    flat[byte[begin]] |= np.bitwise_or.reduceat(bit, begin)


def read_csr(
    path: Path, blocks: Iterable[Block], neurons: int, rows: int | None, budget: Budget
) -> sp.csr_array:
    """Images 1 to `rows` as CSR of float64. Parameters and errors are those of `read_bits`."""
    all_blocks = list(blocks)
    image = np.concatenate([block.first for block in all_blocks])
    neuron = np.concatenate([block.second for block in all_blocks])
    value = np.concatenate([block.value for block in all_blocks])
    line = np.arange(1, image.size + 1)  # each line is one value
    if rows is not None:
        inside = image <= rows
        image, neuron, value, line = image[inside], neuron[inside], value[inside], line[inside]
    height = rows if rows is not None else int(image.max(initial=0))
    # The row offsets, twice while SciPy sorts.
    budget.require(16 * height, f"{path}: {height} input rows of {neurons} neurons")
    coo = sp.coo_array((value, (image - 1, neuron - 1)), shape=(height, neurons))
    csr = coo.tocsr()
    if csr.nnz != value.size:
        order = np.lexsort((line, neuron, image))
        same = (np.diff(image[order]) == 0) & (np.diff(neuron[order]) == 0)
        duplicates = order[1:][same]
        first = int(duplicates[np.argmin(line[duplicates])])
        raise _duplicate_pixel(path, image, neuron, line, first)
    csr.sort_indices()
    csr.eliminate_zeros()
    return csr


def _duplicate_pixel(
    path: Path,
    image: NDArray[np.int32],
    neuron: NDArray[np.int32],
    line: NDArray[np.int64],
    index: int,
) -> InputError:
    return InputError(
        f"{path}:{line[index]}: neuron {neuron[index]} of image {image[index]} occurs "
        "twice; remove one of the lines"
    )
