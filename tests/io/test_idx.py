"""IDX images as input rows, and invalid files."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from kkspdnn.device import memory
from kkspdnn.device.memory import Budget
from kkspdnn.errors import InputError
from kkspdnn.io.idx import idx_shape, read_idx_rows
from tests.io.idx_files import idx


def pixels(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width), np.uint8)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("shape", [(3, 28, 28), (2, 5, 7), (0, 4, 4), (1, 1, 1)])
def test_a_row_has_the_pixels_of_an_image(
    tmp_path: Path, shape: tuple[int, int, int], compress: bool
) -> None:
    raw, path = pixels(*shape), tmp_path / "images-idx3-ubyte"
    path.write_bytes(gzip.compress(idx(raw)) if compress else idx(raw))
    assert idx_shape(path) == shape
    inputs = read_idx_rows(path, None, Budget())
    assert (inputs.rows, inputs.neurons) == (shape[0], shape[1] * shape[2])
    assert inputs.dtype == np.float32
    expected = raw.reshape(inputs.shape).astype(np.float64) / 255
    assert (inputs.to_dense() == expected.astype(np.float32)).all()
    assert inputs.source == f"IDX file images-idx3-ubyte, {shape[1]}x{shape[2]} pixels / 255"


def test_the_first_rows(tmp_path: Path) -> None:
    raw, path = pixels(5, 2, 2), tmp_path / "images"
    path.write_bytes(idx(raw))
    assert read_idx_rows(path, 2, Budget()).rows == 2
    assert (
        read_idx_rows(path, 2, Budget()).to_dense()
        == read_idx_rows(path, None, Budget()).to_dense()[:2]
    ).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "images: it is empty; input rows are read from .npy, .npz, .tsv"),
        (b"\x00\x00", "images: its first bytes are those of another format; input rows are"),
        (idx(pixels(2, 2, 2))[:10], "images: its first bytes are those of another format"),
        (b"\x93NUMPY12", "images: it is one array of numpy.save; input rows are read from .npy"),
        (b"1,2,3\n", "images: its first bytes are those of another format; input rows are"),
        (
            b"\x00\x00\x08\x01\x00\x00\x00\x05\x01\x02\x03\x04\x05",
            "images: an IDX file of type 0x08 with 1 dimension(s); input rows are images",
        ),
        (idx(pixels(1, 2, 2), magic=0xD03), "images: an IDX file of type 0x0d with 3 dimension(s)"),
        (idx(pixels(3, 0, 2)), "images: images of 0 x 2; they have no pixel"),
        (idx(pixels(3, 2, 2))[:-5], "images: ends in image 2, but its header declares 3 images"),
        (idx(pixels(3, 2, 2), count=4), "images: ends in image 4, but its header declares 4"),
        (idx(pixels(3, 2, 2), count=2), "images: has more bytes than the 2 images"),
        (
            gzip.compress(idx(pixels(3, 9, 9)))[:-30],
            "images: cannot be read: Compressed file",
        ),
        (b"\x1f\x8b no gzip", "images: cannot be read: "),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_idx_rows(path, None, Budget())
    assert str(caught.value).startswith(f"{tmp_path}/{message}")


def test_a_header_that_declares_more_than_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 10**9)
    path = tmp_path / "images"
    path.write_bytes(idx(pixels(1, 2**16, 1), count=2**31))
    with pytest.raises(InputError, match=r"images: 2147483648 images of 65536 x 1 need"):
        read_idx_rows(path, None, Budget())
    assert read_idx_rows(path, 1, Budget()).rows == 1


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: no such file"):
        idx_shape(tmp_path / "none")
