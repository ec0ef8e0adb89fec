"""The challenge's images from a raw file, against SciPy, and invalid files."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.signal
from hypothesis import given

from kkspdnn.errors import InputError
from kkspdnn.io.mnist import fourier_resampled, mnist_images
from tests.io.idx_files import idx


def blobs(count: int, seed: int = 0) -> np.ndarray:
    """Images of random bright blobs on black, similar to digits."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:28, :28]
    raw = np.zeros((count, 28, 28))
    for image in raw:
        for _ in range(4):
            cy, cx = rng.uniform(6, 22, 2)
            image += 200 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 6)
    return np.minimum(raw, 255).astype(np.uint8)


def by_scipy(raw: np.ndarray, side: int) -> np.ndarray:
    """The method with SciPy's resampling and all images in memory: rows [images, side * side]."""
    count = raw.shape[0]
    down = scipy.signal.resample(raw.astype(np.float64), side, axis=1)
    side_by_side = down.transpose(1, 0, 2).reshape(side, count * 28)
    across = scipy.signal.resample(side_by_side, count * side, axis=1)
    pixels: np.ndarray = across >= across.max() / 2
    return pixels.reshape(side, count, side).transpose(1, 2, 0).reshape(count, side * side)


@pytest.mark.parametrize(("neurons", "side"), [(1024, 32), (4096, 64), (16384, 128), (65536, 256)])
@pytest.mark.parametrize("compress", [False, True])
def test_images_equal_those_by_scipy(
    tmp_path: Path, neurons: int, side: int, compress: bool
) -> None:
    raw = blobs(7)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(idx(raw)) if compress else idx(raw))
    inputs = mnist_images(path, neurons)
    expected = by_scipy(raw, side)
    assert 0.01 < expected.mean() < 0.6
    assert (inputs.to_dense(np.float32) == expected).all()
    assert inputs.source == f"MNIST file {path.name}, Fourier resampled to {side}x{side}"


def test_the_first_rows_depend_on_all_images(tmp_path: Path) -> None:
    raw = blobs(6)
    raw[:3] //= 2  # so that the largest value lies in the later images
    path = tmp_path / "raw"
    path.write_bytes(idx(raw))
    expected = by_scipy(raw, 32)
    assert (mnist_images(path, 1024, 3).to_dense(np.float32) == expected[:3]).all()
    assert (by_scipy(raw[:3], 32) != expected[:3]).any()
    assert mnist_images(path, 1024, 0).rows == 0


def test_black_images_stay_black(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    for count in (0, 3):
        path.write_bytes(idx(np.zeros((count, 28, 28), np.uint8)))
        inputs = mnist_images(path, 1024)
        assert (inputs.rows, inputs.nonzeros) == (count, 0)


@given(
    hnp.arrays(
        np.float64, hnp.array_shapes(min_dims=1, max_dims=2, max_side=12), elements=st.floats(-9, 9)
    ),
    st.integers(0, 30),
)
def test_resampling_is_scipys(signal: np.ndarray, more: int) -> None:
    samples = signal.shape[-1] + more
    expected = scipy.signal.resample(signal, samples, axis=-1)
    np.testing.assert_allclose(fourier_resampled(signal, samples), expected, atol=1e-12)


GOOD = idx(blobs(2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty; input rows are read from"),
        (GOOD[:15], "its first bytes are those of another format"),
        (idx(blobs(2), magic=0x801), r"type 0x08 with 1 dimension\(s\); input rows are images"),
        (b"\x89PNG" + GOOD, "its first bytes are those of another format"),
        (GOOD[:-1], "ends in image 2, but its header declares 2 images"),
        (GOOD + b"x", "has more bytes than the 2 images"),
        (idx(blobs(2), count=2**32 - 1), "4294967295 images of 28 x 28 need .* of memory"),
        (idx(blobs(2)[:, :27]), "images of 27 x 28; MNIST's are 28 x 28"),
        (gzip.compress(GOOD)[:-20], "cannot be read: Compressed file ended"),
        (gzip.compress(GOOD)[:-8] + bytes(8), "cannot be read: CRC check failed"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "raw"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        mnist_images(path, 1024)
    assert str(caught.value).startswith(f"{path}:")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2048,), "2048 neurons: use 1024, 4096, 16384, 65536"),
        ((1024, 3), "3 input rows: there are 2 images"),
        ((1024, -1), "rows=-1: give a whole number from 0"),
    ],
)
def test_invalid_sizes_are_refused(
    tmp_path: Path, arguments: tuple[Any, ...], message: str
) -> None:
    path = tmp_path / "raw"
    path.write_bytes(GOOD)
    with pytest.raises(InputError, match=message):
        mnist_images(path, *arguments)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file"):
        mnist_images(tmp_path / "nowhere", 1024)
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        mnist_images(tmp_path, 1024)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"\0\0\x08\x01" + bytes(12), "type 0x08 with 1 dimension"),
        (GOOD[:16], "has more bytes than the 2 images"),
    ],
)
def test_the_header_is_checked_before_the_rest_is_decompressed(
    tmp_path: Path, head: bytes, message: str
) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(head + bytes(100_000_000), 1))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            mnist_images(path, 1024)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
