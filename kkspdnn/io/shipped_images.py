"""The input rows that kkspdnn ships: 60,000 MNIST images of 32 x 32 bits, also in other sizes."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.checks import check_whole
from kkspdnn.model.inputs import Inputs

_SIDE = 32
_BLOCK = 4096  # images to convert at a time
_MAX_NEURONS = 16 << 20


def images(neurons: int = 1024, rows: int | None = None) -> Inputs:
    """
    The shipped images as input rows of bits.

    neurons: a power of two from 32 to 2^24. 2^a neurons are an image of 2^(a // 2) rows; the number
    of columns is the same, or twice as large if a is odd
    rows: the number of images, from the first one on; None: all 60,000

    The images of 1024 neurons reproduce those of the challenge closely (see kkspdnn.io.mnist).
    Larger images repeat each pixel, smaller ones are the OR over the pixels of each block. They are
    not the challenge's images of these sizes, which `mnist_images` computes. The neuron of a pixel
    is column * image rows + row, as in the challenge. InputError for another size, or for rows
    outside 0..60000.
    """
    check_whole("neurons", neurons)
    if neurons < 32 or neurons > _MAX_NEURONS or neurons & (neurons - 1):
        raise InputError(
            f"{neurons} neurons: the shipped images come in powers of two, 32 to {_MAX_NEURONS}"
        )
    shipped = _load("bits")
    count = row_count(rows, shipped.shape[0])
    bits = shipped[:count]
    source = "shipped MNIST images, 32x32"
    exponent = neurons.bit_length() - 1
    height, width = 1 << (exponent // 2), 1 << (exponent - exponent // 2)
    if neurons > _SIDE * _SIDE:
        bits = _repeat_pixels(bits, height // _SIDE, width // _SIDE)
        source = f"made from the shipped 32x32 MNIST images by pixel replication, {height}x{width}"
    elif neurons < _SIDE * _SIDE:
        bits = _or_blocks(bits, height, width)
        source = f"made from the shipped 32x32 MNIST images by OR over blocks, {height}x{width}"
    return Inputs(rows=count, neurons=neurons, source=source, bits=np.ascontiguousarray(bits))


def image_labels() -> NDArray[np.uint8]:
    """The digits that the 60,000 shipped images show, uint8[60000], in the order of `images`."""
    return _load("labels")


def row_count(rows: int | None, available: int) -> int:
    """
    The number of rows to read: `rows`, or `available` if it is None. InputError if out of range.
    """
    if rows is None:
        return available
    count = check_whole("rows", rows, 0)
    if count > available:
        raise InputError(
            f"{rows} input rows: there are {available} images; use at most rows={available}"
        )
    return count


def _load(name: str) -> NDArray[np.uint8]:
    path = resources.files("kkspdnn") / "data" / "images-1024.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        loaded: NDArray[np.uint8] = archive[name]
    return loaded


def _repeat_pixels(bits: NDArray[np.uint8], down: int, across: int) -> NDArray[np.uint8]:
    """Repeat each pixel of 32 x 32 images, bits[rows, 128], `down` times `across` times."""
    # A column of 32 pixels is 4 bytes. A table maps each byte to `down` bytes.
    all_bytes = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    table = np.packbits(np.repeat(all_bytes, down, axis=1), axis=1)
    column = _SIDE // 8 * down
    repeated = np.empty((bits.shape[0], _SIDE, across, column), np.uint8)
    for begin in range(0, bits.shape[0], _BLOCK):
        block = bits[begin : begin + _BLOCK]
        repeated[begin : begin + _BLOCK] = table[block].reshape(block.shape[0], _SIDE, 1, column)
    return repeated.reshape(bits.shape[0], -1)


def _or_blocks(bits: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Reduce 32 x 32 images to `height` x `width`: a pixel is the OR over those of its block."""
    shape = (width, _SIDE // width, height, _SIDE // height)
    reduced = np.empty((bits.shape[0], height * width // 8), np.uint8)
    for begin in range(0, bits.shape[0], _BLOCK):
        pixels = np.unpackbits(bits[begin : begin + _BLOCK], axis=1).reshape(-1, *shape)
        small = pixels.max(axis=(2, 4))
        reduced[begin : begin + _BLOCK] = np.packbits(small.reshape(small.shape[0], -1), axis=1)
    return reduced
