"""The binary form beside the text: a shortcut that never changes an answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kkspdnn import layer_files
from kkspdnn.challenge import layer_path, read_layers, write_network
from kkspdnn.errors import InputError
from kkspdnn.layer_files import FileLayers
from kkspdnn.networks import Layer, network
from kkspdnn.radix_net import radixnet


def same(one: Layer, other: Layer) -> bool:
    names = ("start", "index", "value", "bias")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_network(radixnet(32, 3), tmp_path, compress=False)
    return tmp_path


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The text files that were really parsed."""
    seen: list[Path] = []
    parse = layer_files.read_layer

    def counting(path: Path, *rest: Any) -> Layer:
        seen.append(path)
        return parse(path, *rest)

    monkeypatch.setattr(layer_files, "read_layer", counting)
    return seen


def kept(folder: Path, number: int = 1) -> Path:
    path = layer_path(folder, 32, number)
    return path.with_name(path.name + ".kkspdnn.npz")


def check(folder: Path) -> None:
    expected = radixnet(32, 3).layers
    found = read_layers(folder, 32, 3)
    assert all(same(a, b) for a, b in zip(found, expected, strict=True))


def test_the_text_is_parsed_once(folder: Path, parses: list[Path]) -> None:
    check(folder)
    assert len(parses) == 3
    check(folder)
    assert len(parses) == 3
    # one weight stands for all: the file is the indices and little more
    assert kept(folder).stat().st_size < 2 * 1024 + 33 * 8 + 2000


def test_without_binary_nothing_is_written(folder: Path, parses: list[Path]) -> None:
    for _ in range(2):
        read_layers(folder, 32, 3, binary=False)
    assert len(parses) == 6
    assert sorted(folder.rglob("*.npz")) == []


def test_other_text_or_type_is_parsed_again(folder: Path, parses: list[Path]) -> None:
    check(folder)
    path = layer_path(folder, 32, 1)
    path.write_bytes(path.read_bytes().replace(b"0.0625", b"0.0125", 1))
    os.utime(path, ns=(1, 1))  # the same size: the time tells
    changed = read_layers(folder, 32, 3)
    assert len(parses) == 4
    assert np.float32(0.0125) in changed[0].value
    wide = read_layers(folder, 32, 3, np.float64)
    assert len(parses) == 7
    # from the text, not from what was rounded to float32
    assert 0.0125 in wide[0].value
    assert (changed.astype(np.float64)[0].value == wide[0].value).all()
    assert changed.astype(np.float32) is changed


def rewrite(**changes: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with np.load(path) as archive:
            arrays = dict(archive)
        for name, edit in changes.items():
            arrays[name] = edit(arrays[name])
        np.savez(path, **arrays)

    return change


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def pickled(path: Path) -> None:
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["value"] = np.array([{}], dtype=object)
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        pickled,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a zip file at all"),
        rewrite(index=lambda index: index + np.uint16(1)),
        rewrite(index=lambda index: index[::-1].copy()),
        rewrite(index=lambda index: index.astype(np.int64)),
        rewrite(index=lambda index: index[:-1]),
        rewrite(start=lambda start: start - 1),
        rewrite(start=lambda start: np.concatenate((start[:1], start[1:-1][::-1], start[-1:]))),
        rewrite(value=lambda value: value * np.nan),
        rewrite(value=lambda value: value.astype(np.float64)),
        rewrite(value=lambda value: value[:0]),
        rewrite(value=lambda value: value * 0),
    ],
)
def test_a_damaged_binary_is_ignored_and_made_again(
    folder: Path, parses: list[Path], damage: Callable[[Path], None]
) -> None:
    check(folder)
    damage(kept(folder, 2))
    check(folder)
    assert len(parses) == 4
    check(folder)
    assert len(parses) == 4


def test_a_folder_that_cannot_be_written_still_works(
    folder: Path, parses: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("kkspdnn.files.tempfile.mkstemp", refuse)
    check(folder)
    check(folder)
    assert len(parses) == 6
    with pytest.raises(InputError, match="cannot be written: Permission denied"):
        write_network(radixnet(32, 1), folder)


def test_layers_beyond_the_limit_are_read_when_asked_for(folder: Path, parses: list[Path]) -> None:
    paths = [layer_path(folder, 32, number) for number in (1, 2, 3)]
    size = 1024 * (2 + 4)
    layers = FileLayers(paths, 32, -0.175, np.dtype(np.float32), held_bytes=2 * size)
    assert layers.edges == 3 * 1024
    assert layers[0] is layers[0]
    assert layers[1] is layers[1]
    assert layers[2] is not layers[2]
    assert same(layers[2], radixnet(32, 3).layers[2])
    assert len(parses) == 3


def test_a_failed_write_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = layer_path(folder, 32, 1).read_bytes()

    def fail(*_: Any, **__: Any) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("polars.DataFrame.write_csv", fail)
    with pytest.raises(InputError, match=r"l1\.tsv: cannot be written: No space left on device"):
        write_network(radixnet(32, 1, seed=9), folder, compress=False)
    assert layer_path(folder, 32, 1).read_bytes() == before
    assert list(folder.rglob(".*")) == []


def test_binary_keeps_different_weights(tmp_path: Path, parses: list[Path]) -> None:
    rng = np.random.default_rng(0)
    layer = Layer.from_sparse(rng.standard_normal((32, 32)), -0.175)
    write_network(network([layer]), tmp_path)
    for _ in range(2):
        assert same(read_layers(tmp_path, 32, 1, np.float64)[0], layer)
    assert len(parses) == 1
