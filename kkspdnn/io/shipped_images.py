"""The shipped inputs: 60,000 MNIST images at 32 x 32 as bits, and other sizes made of them."""

from __future__ import annotations

from importlib import resources

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs

_SIDE = 32
_BLOCK = 4096  # images at a time
_MOST_NEURONS = 16 << 20


def images(neurons: int = 1024, rows: int | None = None) -> Inputs:
    """
    The first `rows` (all 60,000 where None) shipped images as input rows of `neurons` bits.

    1024 neurons: the shipped images, a close rebuild of the challenge's. Other powers of two from
    32 on: 2^a neurons are an image of 2^(a//2) rows and 2^(a-a//2) columns, made by repeating every
    pixel of the 32 x 32 image or, where it is smaller, by an OR over the pixels of each block.
    These are not the challenge's images of those sizes; `mnist_images` makes those. Neuron = column
    * image rows + row, as in the challenge. `source` says which. InputError for other sizes or rows
    outside 0..60000.
    """
    if neurons < 32 or neurons > _MOST_NEURONS or neurons & (neurons - 1):
        raise InputError(
            f"{neurons} neurons: the shipped images come in powers of two, 32 to {_MOST_NEURONS}"
        )
    shipped = _load("bits")
    count = take_rows(rows, shipped.shape[0])
    bits = shipped[:count]
    text = "shipped MNIST images, 32x32"
    exponent = neurons.bit_length() - 1
    height, width = 1 << (exponent // 2), 1 << (exponent - exponent // 2)
    if neurons > _SIDE * _SIDE:
        bits = _replicated(bits, height // _SIDE, width // _SIDE)
        text = f"made from the shipped 32x32 MNIST images by pixel replication, {height}x{width}"
    elif neurons < _SIDE * _SIDE:
        bits = _reduced(bits, height, width)
        text = f"made from the shipped 32x32 MNIST images by OR over blocks, {height}x{width}"
    return Inputs(rows=count, neurons=neurons, source=text, bits=np.ascontiguousarray(bits))


def labels() -> NDArray[np.uint8]:
    """The digits of the 60,000 images, uint8[60000]."""
    return _load("labels")


def take_rows(rows: int | None, available: int) -> int:
    """
    How many images to take: all where None; InputError for more than there are or fewer than 0.
    """
    if rows is None:
        return available
    if not 0 <= rows <= available:
        raise InputError(
            f"{rows} input rows: there are {available} images; use --inputs 0..{available}"
        )
    return int(rows)


def _load(name: str) -> NDArray[np.uint8]:
    path = resources.files("kkspdnn") / "data" / "images-1024.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        loaded: NDArray[np.uint8] = archive[name]
    return loaded


def _replicated(bits: NDArray[np.uint8], down: int, across: int) -> NDArray[np.uint8]:
    """Every pixel of 32 x 32 images, bits[rows, 128], repeated `down` x `across` times."""
    # 32 pixels of a column are 4 bytes, so all can be done on bytes: each byte becomes `down` bytes
    every = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    table = np.packbits(np.repeat(every, down, axis=1), axis=1)
    column = _SIDE // 8 * down
    made = np.empty((bits.shape[0], _SIDE, across, column), np.uint8)
    for begin in range(0, bits.shape[0], _BLOCK):
        block = bits[begin : begin + _BLOCK]
        made[begin : begin + _BLOCK] = table[block].reshape(block.shape[0], _SIDE, 1, column)
    return made.reshape(bits.shape[0], -1)


def _reduced(bits: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """32 x 32 images made `height` x `width`: a pixel is 1 where any pixel of its block is."""
    shape = (width, _SIDE // width, height, _SIDE // height)
    made = np.empty((bits.shape[0], height * width // 8), np.uint8)
    for begin in range(0, bits.shape[0], _BLOCK):
        pixels = np.unpackbits(bits[begin : begin + _BLOCK], axis=1).reshape(-1, *shape)
        small = pixels.max(axis=(2, 4))
        made[begin : begin + _BLOCK] = np.packbits(small.reshape(small.shape[0], -1), axis=1)
    return made
