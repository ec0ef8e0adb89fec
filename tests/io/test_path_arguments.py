"""Arguments that are no paths: an InputError instead of a TypeError."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kkspdnn as kk
from kkspdnn.errors import InputError
from kkspdnn.io.challenge import read_categories, read_images
from kkspdnn.io.mnist import mnist_images
from kkspdnn.io.npz import read_npz_inputs
from kkspdnn.io.path_arguments import to_path
from kkspdnn.model.radixnet import radixnet

READERS: list[Callable[[Any], object]] = [
    kk.read_rows,
    kk.read_dense_network,
    kk.read_npz_network,
    read_npz_inputs,
    lambda path: kk.read_network(path, 64, 1),
    lambda path: read_images(path, 64),
    lambda path: read_categories(path, 64, 1),
    lambda path: mnist_images(path, 1024),
    lambda path: kk.save_npz_network(radixnet(64, 1), path),
]


@pytest.mark.parametrize("path", [None, 3, b"rows.npy", ["rows.npy"]])
@pytest.mark.parametrize("read", READERS)
def test_other_objects_are_refused(read: Callable[[Any], object], path: object) -> None:
    with pytest.raises(InputError, match=r"^path .*: give the name of a file or folder, a str or"):
        read(path)


def test_text_and_paths() -> None:
    assert to_path("a/b") == to_path(Path("a/b")) == Path("a/b")


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "r.npy").touch()
    with pytest.raises(InputError, match=r"r\.npy: not a folder"):
        kk.read_npz_network(tmp_path / "r.npy")
