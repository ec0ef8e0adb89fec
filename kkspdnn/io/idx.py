"""
Images in an IDX file, the format of MNIST, as input rows (LeCun, Cortes, Burges).

The file begins with the magic number 0x00000803 (unsigned bytes, three dimensions), the number of
images and their height and width, as big-endian 32-bit integers. The pixels follow, one byte each,
row by row.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.numpy_files import describe_content
from kkspdnn.io.tsv import open_text
from kkspdnn.model.inputs import Inputs

_IMAGES = 0x803
_HEAD_BYTES = 16
_FORMATS = (
    "input rows are read from .npy, .npz, .tsv and .tsv.gz files, and from IDX files of images"
)


def idx_shape(path: Path) -> tuple[int, int, int]:
    """The number, height and width of the images in an IDX file. InputError as in `read_idx`.

    path: plain or gzipped
    """
    with open_text(path) as file:
        try:
            return _shape(path, file)
        except (OSError, EOFError, zlib.error) as error:
            raise _read_error(path, error) from error


def read_idx(path: Path, rows: int | None, budget: Budget) -> NDArray[np.uint8]:
    """
    The images in an IDX file, uint8[images, height, width].

    path: plain or gzipped
    rows: the maximum number of images, from the first one on; None: all

    InputError for another file, one that ends early or has trailing bytes, and if the images need
    more memory than the budget.
    """
    with open_text(path) as file:
        try:
            count, height, width = _shape(path, file)
            read, pixels = count if rows is None else min(rows, count), height * width
            budget.require(read * pixels, f"{path}: {read} images of {height} x {width}")
            body = file.read(read * pixels)
            trailing = rows is None and len(body) == read * pixels and file.read(1)
        except (OSError, EOFError, zlib.error) as error:
            raise _read_error(path, error) from error
    if len(body) < read * pixels:
        raise InputError(
            f"{path}: ends in image {len(body) // pixels + 1}, but its header declares {count} "
            "images; download the file again"
        )
    if trailing:
        raise InputError(f"{path}: has more bytes than the {count} images that its header declares")
    return np.frombuffer(body, np.uint8).reshape(read, height, width)


def read_idx_rows(path: Path, rows: int | None, budget: Budget) -> Inputs:
    """
    The images in an IDX file as dense input rows of float32. InputError as in `read_idx`.

    A row is an image. Its neuron `image row * width + image column` has the value pixel / 255.
    """
    images = read_idx(path, rows, budget)
    count, height, width = images.shape
    neurons = height * width
    budget.require(4 * images.size, f"{path}: {count} input rows of {neurons} neurons")
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    source = f"IDX file {path.name}, {height}x{width} pixels / 255"
    return Inputs(
        rows=count, neurons=neurons, source=source, dense=values[images.reshape(count, neurons)]
    )


def _read_error(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: cannot be read: {error}; download or unpack the file again")


def _shape(path: Path, file: BinaryIO) -> tuple[int, int, int]:
    """Read the header of an IDX file."""
    head = file.read(_HEAD_BYTES)
    magic = int.from_bytes(head[:4], "big")
    if len(head) >= 4 and magic >> 16 == 0 and magic >> 8 in (8, 9, 11, 12, 13, 14):
        if magic != _IMAGES:
            raise InputError(
                f"{path}: an IDX file of type {magic >> 8:#04x} with {magic & 255} dimension(s); "
                "input rows are images: unsigned bytes (0x08) with 3 dimensions"
            )
        if len(head) == _HEAD_BYTES:
            count, height, width = struct.unpack(">III", head[4:])
            if height * width == 0:
                raise InputError(f"{path}: images of {height} x {width}; they have no pixel")
            return int(count), int(height), int(width)
    content = describe_content(head)
    found = f"it is {content}" if content else "its first bytes are those of another format"
    raise InputError(f"{path}: {found}; {_FORMATS}")
