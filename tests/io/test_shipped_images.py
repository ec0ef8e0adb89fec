"""The shipped images and the sizes computed from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kkspdnn.errors import InputError
from kkspdnn.io.shipped_images import image_labels, images


def pictures(neurons: int, rows: int, height: int, width: int) -> np.ndarray:
    """[image, image row, image column], from neuron = column * height + row."""
    dense = images(neurons, rows).to_dense(np.float32)
    return dense.reshape(rows, width, height).transpose(0, 2, 1)


def test_the_shipped_bits_are_the_official_ones(challenge_data: Path) -> None:
    with np.load(challenge_data / "images-1024.npz") as archive:
        assert (images(1024).bits == archive["bits"]).all()
        assert (image_labels() == archive["labels"]).all()


def test_there_are_60000_images_and_digits() -> None:
    inputs = images()
    assert (inputs.rows, inputs.neurons, inputs.nonzeros) == (60_000, 1024, 6_373_995)
    assert inputs.source == "shipped MNIST images, 32x32"
    assert image_labels().shape == (60_000,)
    assert image_labels()[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def test_neurons_are_in_column_order() -> None:
    # Image 4 is a 1, which is higher than wide. Image 2 is a 0, which is empty in the middle.
    zero, _, one = pictures(1024, 4, 32, 32)[1:4]
    rows, columns = np.flatnonzero(one.any(axis=1)), np.flatnonzero(one.any(axis=0))
    assert np.ptp(rows) > np.ptp(columns)
    assert zero.any()
    assert not zero[15:17, 15:17].any()


@pytest.mark.parametrize(
    ("neurons", "height", "width"),
    [(2048, 32, 64), (4096, 64, 64), (8192, 64, 128), (65536, 256, 256)],
)
def test_larger_images_repeat_each_pixel(neurons: int, height: int, width: int) -> None:
    small = pictures(1024, 5, 32, 32)
    expected = np.kron(small, np.ones((height // 32, width // 32)))
    assert (pictures(neurons, 5, height, width) == expected).all()
    assert f"pixel replication, {height}x{width}" in images(neurons, 1).source


@pytest.mark.parametrize(
    ("neurons", "height", "width"),
    [(32, 4, 8), (64, 8, 8), (128, 8, 16), (256, 16, 16), (512, 16, 32)],
)
def test_smaller_images_are_an_or_over_blocks(neurons: int, height: int, width: int) -> None:
    small, big = pictures(neurons, 5, height, width), pictures(1024, 5, 32, 32)
    down, across = 32 // height, 32 // width
    for row in range(height):
        for column in range(width):
            block = big[:, row * down : (row + 1) * down, column * across : (column + 1) * across]
            assert (small[:, row, column] == block.any(axis=(1, 2))).all()
    assert f"OR over blocks, {height}x{width}" in images(neurons, 1).source


@pytest.mark.parametrize("neurons", [128, 1024, 2048])
def test_the_result_does_not_depend_on_blocks_of_rows(neurons: int) -> None:
    # 5000 rows are more than one block.
    many, few = images(neurons, 5000).bits, images(neurons, 100).bits
    assert many is not None
    assert few is not None
    assert many.shape[0] == 5000
    assert (many[:100] == few).all()
    assert many[4096:].any(axis=1).all()


@pytest.mark.parametrize("neurons", [0, -1024, 1024.0, "1024", True])
def test_only_whole_numbers_are_sizes(neurons: Any) -> None:
    with pytest.raises(InputError, match=f"neurons={neurons!r}: give a whole number from 1"):
        images(neurons)


@pytest.mark.parametrize("neurons", [1, 16, 1000, 1536, 1 << 30])
def test_other_sizes_are_refused(neurons: int) -> None:
    with pytest.raises(InputError, match=f"{neurons} neurons: the shipped images come in powers"):
        images(neurons)


@pytest.mark.parametrize(
    ("rows", "words"),
    [(-1, "rows=-1: give a whole number from 0"), (60_001, "images; use at most rows=60000")],
)
def test_other_numbers_of_rows_are_refused(rows: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        images(1024, rows)
    assert images(1024, 0).rows == 0
