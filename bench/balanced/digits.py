"""Handwritten digits with labels: the MNIST training images that kkspdnn ships."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PIXELS, CLASSES = 1024, 10
_TEST_ROWS = 10_000


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of 32 x 32 binary pixels, as packed bits uint8[rows, 128], and their labels."""

    bits: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def pixels(self) -> NDArray[np.float32]:
        """Return the images as float32 values 0 and 1, (rows, 1024)."""
        return np.unpackbits(self.bits, axis=1).astype(np.float32)


def digits() -> tuple[Digits, Digits]:
    """Return the first 50,000 images for training and the last 10,000 for testing.

    kkspdnn does not ship the MNIST test images, so the accuracies are not comparable with published
    ones.
    """
    with as_file(files("kkspdnn") / "data" / "images-1024.npz") as path:
        return read_digits(path)


def read_digits(path: Path) -> tuple[Digits, Digits]:
    """Read the images for training and for testing from kkspdnn's archive of images."""
    with np.load(path) as archive:
        bits, labels = archive["bits"], archive["labels"]
    train, test = slice(0, len(bits) - _TEST_ROWS), slice(len(bits) - _TEST_ROWS, None)
    return Digits(bits[train], labels[train]), Digits(bits[test], labels[test])
