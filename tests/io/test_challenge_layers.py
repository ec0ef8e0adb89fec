"""Layers from files are parsed once, and cached layers equal parsed ones."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kkspdnn.errors import InputError
from kkspdnn.io import challenge_layers
from kkspdnn.io.challenge import read_layers, read_network, write_network
from kkspdnn.io.challenge_layers import FileLayers, load_layer
from kkspdnn.io.challenge_names import layer_path
from kkspdnn.io.layer_cache import LayerCache
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import challenge_bias

BIAS = challenge_bias(32)


def random_network(seed: int = 0, layers: int = 3) -> Network:
    """A network whose layer files differ but have the same length."""
    rng = np.random.default_rng(seed)
    # Input neurons with two digits.
    sources = [rng.permuted(np.tile(np.arange(9, 32), (32, 1)), axis=1) for _ in range(layers)]
    return network(
        [Layer.from_fan_in(each[:, :8], np.float32(0.0625), BIAS, 32) for each in sources]
    )


def same(one: Layer, other: Layer) -> bool:
    names = ("start", "index", "value", "bias")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.fixture
def entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of cached layers in a temporary cache folder."""
    (tmp_path / "cache").mkdir(mode=0o700)
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KKSPDNN_LAYER_CACHE_GB")
    return tmp_path / "cache" / "layers"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_network(random_network(), tmp_path / "data", compress=False)
    return tmp_path / "data"


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The text files that were parsed, in order."""
    parsed: list[Path] = []
    parse = challenge_layers.read_layer

    def counting(path: Path, *rest: Any) -> Layer:
        parsed.append(path)
        return parse(path, *rest)

    monkeypatch.setattr(challenge_layers, "read_layer", counting)
    return parsed


def check(folder: Path, seed: int = 0) -> None:
    expected = random_network(seed).layers
    layers = read_layers(folder, 32, 3)
    assert all(same(a, b) for a, b in zip(layers, expected, strict=True))


def test_the_text_is_parsed_once(folder: Path, parses: list[Path], entries: Path) -> None:
    check(folder)
    assert len(parses) == 3
    check(folder)
    assert len(parses) == 3
    # One weight is stored for all, so an entry is little more than the indices.
    assert all(each.stat().st_size < 2 * 256 + 33 * 8 + 400 for each in entries.iterdir())
    assert [each.name for each in folder.rglob("*") if each.suffix != ".tsv"] == ["neuron32"]


def test_gz_is_parsed_once(tmp_path: Path, parses: list[Path], entries: Path) -> None:
    write_network(random_network(), tmp_path / "data", compress=True)
    check(tmp_path / "data")
    check(tmp_path / "data")
    assert len(parses) == 3
    assert len(list(entries.iterdir())) == 3


def test_other_content_of_the_same_size_and_time(
    folder: Path, parses: list[Path], entries: Path
) -> None:
    """As from two archives with the same time for all files."""
    for seed in (0, 1, 0):
        write_network(random_network(seed), folder, compress=False)
        paths = [layer_path(folder, 32, number) for number in (1, 2, 3)]
        for path in paths:
            os.utime(path, (1704067200, 1704067200))
        check(folder, seed)
        assert len({path.stat().st_size for path in paths}) == 1
    assert len(parses) == len(list(entries.iterdir())) == 6


def test_a_renamed_text_is_found_in_the_cache(
    folder: Path, parses: list[Path], entries: Path, tmp_path: Path
) -> None:
    check(folder)
    folder.rename(tmp_path / "moved")
    check(tmp_path / "moved")
    assert len(parses) == 3


@pytest.mark.parametrize("how", ["argument", "variable", "no cache folder"])
def test_without_a_cache_nothing_is_written(
    folder: Path, parses: list[Path], entries: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = None
    if how == "argument":
        size = 0.0
    elif how == "variable":
        monkeypatch.setenv("KKSPDNN_LAYER_CACHE_GB", "0")
    else:
        entries.parent.chmod(0o777)  # other users could write entries
    for _ in range(2):
        read_network(folder, 32, 3, layer_cache=size)
    assert len(parses) == 6
    assert not entries.exists()


def test_binary_files_of_earlier_versions_are_ignored(
    folder: Path, parses: list[Path], entries: Path
) -> None:
    for number in (1, 2, 3):
        path = layer_path(folder, 32, number)
        path.with_name(path.name + ".kkspdnn.npz").write_bytes(b"whatever")
    check(folder)
    assert len(parses) == 3
    assert path.with_name(path.name + ".kkspdnn.npz").read_bytes() == b"whatever"


def test_other_text_or_type_is_parsed_again(
    folder: Path, parses: list[Path], entries: Path
) -> None:
    check(folder)
    path = layer_path(folder, 32, 1)
    path.write_bytes(path.read_bytes().replace(b"0.0625", b"0.0125", 1))
    changed = read_layers(folder, 32, 3)
    assert len(parses) == 4
    assert np.float32(0.0125) in changed[0].value
    wide = read_layers(folder, 32, 3, np.float64)
    assert len(parses) == 7
    # From the text, not from numbers rounded to float32.
    assert 0.0125 in wide[0].value
    assert (changed.astype(np.float64)[0].value == wide[0].value).all()
    assert changed.astype(np.float32) is changed
    assert len(parses) == 7


def test_an_entry_is_for_one_number_of_neurons(
    tmp_path: Path, parses: list[Path], entries: Path
) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"1\t2\t0.5\n")
    for neurons in (32, 64, 32, 64):
        assert read_layers_of(path, neurons, entries).outputs == neurons
    assert len(parses) == 2


def read_layers_of(path: Path, neurons: int, entries: Path) -> Layer:
    cache = LayerCache(entries, 1 << 30)
    return load_layer(path, neurons, BIAS, np.dtype(np.float32), cache)[0]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


@pytest.mark.parametrize(
    "damage",
    [
        cut,
        longer,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a layer at all"),
        lambda path: path.write_bytes(bytes(1000)),
        lambda path: (path.unlink(), path.mkdir()),
    ],
)
def test_a_damaged_entry_is_ignored_and_made_again(
    folder: Path, parses: list[Path], entries: Path, damage: Callable[[Path], None]
) -> None:
    check(folder)
    entry = sorted(entries.iterdir())[1]
    damage(entry)
    check(folder)
    assert len(parses) == 4
    if entry.is_dir():
        entry.rmdir()
        return
    check(folder)
    assert len(parses) == 4


def test_each_flipped_bit_is_detected(tmp_path: Path, entries: Path, parses: list[Path]) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "a.tsv"
    edges = sorted({(int(a), int(b)) for a, b in rng.integers(1, 33, (100, 2))})
    path.write_text("".join(f"{a}\t{b}\t{rng.normal():.3f}1\n" for a, b in edges))
    cache = LayerCache(entries, 1 << 30)
    expected, key = load_layer(path, 32, BIAS, np.dtype(np.float32), cache)
    assert key is not None
    (entry,) = entries.iterdir()
    content = entry.read_bytes()
    for offset in range(len(content)):
        damaged = bytearray(content)
        damaged[offset] ^= 1 << int(rng.integers(8))
        entry.write_bytes(damaged)
        assert cache.load(key) is None, offset
    assert same(read_layers_of(path, 32, entries), expected)
    assert len(parses) == 2
    assert entry.read_bytes() == content


@pytest.mark.parametrize(
    "change",
    [
        lambda start, index, value: (start, index[::-1].copy(), value),
        lambda start, index, value: (start, index + np.uint16(1), value),
        lambda start, index, value: (start, index[:-1], value),
        lambda start, index, value: (start - 1, index, value),
        lambda start, index, value: (start[:-1], index, value),
        lambda start, index, value: (start, index, value * np.float32(np.nan)),
        lambda start, index, value: (start, index, value * 0),
        lambda start, index, value: (start, index, value[:0]),
    ],
)
def test_an_entry_that_is_not_a_valid_layer_is_ignored(
    folder: Path, parses: list[Path], entries: Path, change: Callable[..., Any]
) -> None:
    """Entries as a version with a bug would have stored them."""
    path, dtype = layer_path(folder, 32, 2), np.dtype(np.float32)
    cache = LayerCache(entries, 1 << 30)
    _, key = load_layer(path, 32, BIAS, dtype, cache)
    assert key is not None
    arrays = cache.load(key)
    assert arrays is not None
    cache.store(key, change(*arrays))
    check(folder)
    assert len(parses) == 4


def test_a_cache_that_cannot_be_written(
    folder: Path, parses: list[Path], entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("kkspdnn.io.layer_cache.tempfile.mkstemp", refuse)
        check(folder)
        check(folder)
    assert len(parses) == 6
    monkeypatch.setattr("kkspdnn.io.atomic_write.tempfile.mkstemp", refuse)
    with pytest.raises(InputError, match="cannot be written: Permission denied"):
        write_network(random_network(), folder)


def no_resident_layers(folder: Path, entries: Path | None) -> FileLayers:
    paths = [layer_path(folder, 32, number) for number in (1, 2, 3)]
    cache = None if entries is None else LayerCache(entries, 1 << 30)
    return FileLayers(paths, 32, BIAS, np.dtype(np.float32), cache=cache, resident_bytes=0)


def test_layers_beyond_the_limit_are_read_on_each_access(
    folder: Path, parses: list[Path], entries: Path
) -> None:
    paths = [layer_path(folder, 32, number) for number in (1, 2, 3)]
    size = 256 * (2 + 4)
    dtype = np.dtype(np.float32)
    cache = LayerCache(entries, 1 << 30)
    layers = FileLayers(paths, 32, BIAS, dtype, cache=cache, resident_bytes=2 * size)
    assert layers.edges == 3 * 256
    assert layers[0] is layers[0]
    assert layers[1] is layers[1]
    assert layers[2] is not layers[2]
    assert same(layers[2], random_network().layers[2])
    assert len(parses) == 3
    assert same(no_resident_layers(folder, None)[2], random_network().layers[2])
    assert len(parses) == 7


def test_a_text_that_changes_between_accesses(
    folder: Path, parses: list[Path], entries: Path
) -> None:
    layers = no_resident_layers(folder, entries)
    path = layer_path(folder, 32, 2)
    old = path.read_bytes()
    path.write_bytes(old.replace(b"0.0625", b"0.0125", 1))
    # The cached layer of the text that was read is used.
    assert same(layers[1], random_network().layers[1])
    for entry in entries.iterdir():
        entry.unlink()
    assert same(layers[0], random_network().layers[0])
    with pytest.raises(InputError, match=r"l2\.tsv: the file has changed since it was read"):
        layers[1]
    path.write_bytes(old)
    assert same(layers[1], random_network().layers[1])


def test_a_text_that_changes_before_it_is_parsed(
    folder: Path, parses: list[Path], entries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of the entry is that of the text that was parsed, not of the one hashed before."""
    path = layer_path(folder, 32, 1)
    old = path.read_bytes()
    new = old.replace(b"0.0625", b"0.0125", 1)
    hash_file = challenge_layers.hash_file

    def then_change(path: Path) -> Any:
        result = hash_file(path)
        path.write_bytes(new)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(challenge_layers, "hash_file", then_change)
        assert np.float32(0.0125) in read_layers_of(path, 32, entries).value
    path.write_bytes(old)
    assert same(read_layers_of(path, 32, entries), read_layers(folder, 32, 1, layer_cache=0)[0])
    path.write_bytes(new)
    before = len(parses)
    assert np.float32(0.0125) in read_layers_of(path, 32, entries).value
    assert len(parses) == before


def test_different_weights_are_kept(tmp_path: Path, parses: list[Path], entries: Path) -> None:
    rng = np.random.default_rng(0)
    layer = Layer.from_sparse(rng.standard_normal((32, 32)), BIAS)
    write_network(network([layer]), tmp_path / "data")
    for _ in range(2):
        assert same(read_layers(tmp_path / "data", 32, 1, np.float64)[0], layer)
    assert len(parses) == 1


def test_a_cached_layer_with_weights_of_0_only(
    tmp_path: Path, parses: list[Path], entries: Path
) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(gzip.compress(b"1\t2\t0\n"))
    for _ in range(2):
        assert read_layers_of(path, 32, entries).edges == 0
    assert len(parses) == 1


def test_a_failed_write_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = layer_path(folder, 32, 1).read_bytes()

    def fail(*_: Any, **__: Any) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("kkspdnn.io.tsv.format_triples", fail)
    with pytest.raises(InputError, match=r"l1\.tsv: cannot be written: No space left on device"):
        write_network(random_network(9, 1), folder, compress=False)
    assert layer_path(folder, 32, 1).read_bytes() == before
    assert list(folder.rglob(".*")) == []
