"""Input rows from the lines `image TAB neuron TAB value`, as bits or CSR."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.tsv import Block


def packed(
    path: Path, blocks: Iterable[Block], neurons: int, rows: int | None, budget: Budget
) -> NDArray[np.uint8] | None:
    """
    Bits [rows, ceil(neurons/8)] of the images up to `rows` (None: the largest number there is).

    None where a value other than 1 turns up. Needs memory for the bits and one block only.
    InputError with `file:line` where a pixel is given twice, or an image number makes more rows
    than fit into the budget.
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
            what = f"{path}:{line[last]}: image {image[last]}: that many rows of {neurons} neurons"
            budget.require(int(image[last]) * width, what)
            # rows without a pixel are not touched, so they take no memory yet
            more = np.zeros((max(int(image[last]), 2 * bits.shape[0]), width), np.uint8)
            more[:largest] = bits[:largest]
            bits = more
        largest = max(largest, int(image[last]))
        _set(path, bits.reshape(-1), image, neuron, line, 8 * width)
    return bits if rows is not None else bits[:largest]


def _set(
    path: Path,
    flat: NDArray[np.uint8],
    image: NDArray[np.int32],
    neuron: NDArray[np.int32],
    line: NDArray[np.int64],
    stride: int,
) -> None:
    """Set the bit of every pixel; InputError for one that is set already."""
    key = (image.astype(np.int64) - 1) * stride + (neuron - 1)
    if not bool((key[1:] > key[:-1]).all()):
        order = np.argsort(key, kind="stable")
        key, line, image, neuron = key[order], line[order], image[order], neuron[order]
    byte, bit = key >> 3, (0x80 >> (key & 7)).astype(np.uint8)
    again = np.concatenate(([False], key[1:] == key[:-1])) | ((flat[byte] & bit) != 0)
    if again.any():
        where = np.flatnonzero(again)
        raise _twice(path, image, neuron, line, int(where[np.argmin(line[where])]))
    # keys ascend, so the bits of one byte are neighbours
    begin = np.flatnonzero(np.concatenate(([True], byte[1:] != byte[:-1])))
    flat[byte[begin]] |= np.bitwise_or.reduceat(bit, begin)


def sparse(
    path: Path, blocks: Iterable[Block], neurons: int, rows: int | None, budget: Budget
) -> sp.csr_array:
    """The images up to `rows` as CSR of float64; InputError as in `packed`."""
    every = list(blocks)
    image = np.concatenate([block.first for block in every])
    neuron = np.concatenate([block.second for block in every])
    value = np.concatenate([block.value for block in every])
    line = np.arange(1, image.size + 1)  # every line is one value
    if rows is not None:
        inside = image <= rows
        image, neuron, value, line = image[inside], neuron[inside], value[inside], line[inside]
    height = rows if rows is not None else int(image.max(initial=0))
    # an offset for every row, twice while it is sorted
    budget.require(16 * height, f"{path}: {height} input rows of {neurons} neurons")
    coo = sp.coo_array((value, (image - 1, neuron - 1)), shape=(height, neurons))
    csr = coo.tocsr()
    if csr.nnz != value.size:
        order = np.lexsort((line, neuron, image))
        same = (np.diff(image[order]) == 0) & (np.diff(neuron[order]) == 0)
        where = order[1:][same]
        raise _twice(path, image, neuron, line, int(where[np.argmin(line[where])]))
    csr.sort_indices()
    csr.eliminate_zeros()
    return csr


def _twice(
    path: Path,
    image: NDArray[np.int32],
    neuron: NDArray[np.int32],
    line: NDArray[np.int64],
    place: int,
) -> InputError:
    return InputError(
        f"{path}:{line[place]}: neuron {neuron[place]} of image {image[place]} was given before"
    )
