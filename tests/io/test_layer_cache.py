"""The layer cache: size limit, eviction and permissions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kkspdnn.errors import InputError
from kkspdnn.io.content_hash import content_hash
from kkspdnn.io.layer_cache import Arrays, LayerCache, LayerKey, open_layer_cache

DTYPE = np.dtype(np.float32)
ENTRY = 608  # bytes of an entry of `layer`


def key(number: int) -> LayerKey:
    text = content_hash(1)
    text.update(str(number).encode())
    return LayerKey(text, 4, DTYPE)


def layer(number: int) -> Arrays:
    start = np.array([0, 1, 2, 3, 60], np.int64)
    return start, np.full(60, number, np.uint16), np.full(60, number, np.float32)


def store(cache: LayerCache, *numbers: int) -> None:
    for number in numbers:
        cache.store(key(number), layer(number))


def kept(cache: LayerCache, limit: int = 20) -> list[int]:
    numbers = []
    for number in range(limit):
        arrays = cache.load(key(number))
        if arrays is not None:
            expected = layer(number)
            for one, other in zip(arrays, expected, strict=True):
                assert (one.dtype, one.tobytes()) == (other.dtype, other.tobytes())
            numbers.append(number)
    return numbers


def age(folder: Path, **seconds: int) -> None:
    """Set the time of the last use of entries to seconds after a date in 2001."""
    for name, each in seconds.items():
        path = folder / f"layer-{key(int(name[1:])).name}"
        os.utime(path, (10**9 + each, 10**9 + each))


def test_stored_layers_are_loaded(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path / "a" / "layers", 1 << 30)
    assert kept(cache) == []
    store(cache, 3, 5)
    assert kept(cache) == [3, 5]
    assert kept(LayerCache(tmp_path / "a" / "layers", 1 << 30)) == [3, 5]
    sizes = {each.stat().st_size for each in (tmp_path / "a" / "layers").iterdir()}
    assert sizes == {ENTRY}
    arrays = cache.load(key(3))
    assert arrays is not None
    assert all(array.flags.aligned for array in arrays)


def test_an_entry_under_another_key_is_ignored(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path, 1 << 30)
    store(cache, 1)
    (entry,) = tmp_path.iterdir()
    entry.rename(tmp_path / f"layer-{key(2).name}")
    assert kept(cache) == []


def test_an_entry_that_other_users_may_write_to_is_ignored(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path, 1 << 30)
    store(cache, 1)
    (entry,) = tmp_path.iterdir()
    entry.chmod(0o666)
    assert kept(cache) == []
    store(cache, 1)
    assert kept(cache) == [1]


def test_the_least_recently_used_are_evicted(tmp_path: Path) -> None:
    store(LayerCache(tmp_path, 1 << 30), 1, 2, 3, 4)
    age(tmp_path, n1=30, n2=10, n3=20, n4=40)
    (tmp_path / ".writing-left").write_bytes(bytes(ENTRY))  # of an aborted writer
    os.utime(tmp_path / ".writing-left", (10**9, 10**9))
    cache = LayerCache(tmp_path, 4 * ENTRY + 10)
    assert cache.load(key(2)) is not None
    store(cache, 5)
    # The file of the aborted writer and 3 are evicted; 2 was just used.
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(
        f"layer-{key(number).name}" for number in (1, 2, 4, 5)
    )
    store(cache, 6, 7)
    assert kept(LayerCache(tmp_path, 1 << 30)) == [2, 5, 6, 7]


def test_a_network_does_not_evict_its_own_layers(tmp_path: Path) -> None:
    """Read in order, each layer would otherwise be evicted just before it is needed again."""
    for _ in range(3):
        cache = LayerCache(tmp_path, 4 * ENTRY + 10)
        for number in range(10):
            if cache.load(key(number)) is None:
                store(cache, number)
    assert kept(LayerCache(tmp_path, 1 << 30)) == [0, 1, 2, 3]
    other = LayerCache(tmp_path, 4 * ENTRY + 10)
    store(other, *range(10, 20))
    assert kept(LayerCache(tmp_path, 1 << 30)) == [10, 11, 12, 13]


def test_a_layer_larger_than_the_limit(tmp_path: Path) -> None:
    store(LayerCache(tmp_path, 1 << 30), 1)
    store(LayerCache(tmp_path, ENTRY - 1), 2)
    assert kept(LayerCache(tmp_path, 1 << 30)) == [1]


def test_an_entry_that_is_removed_while_it_is_read(tmp_path: Path) -> None:
    cache = LayerCache(tmp_path, 1 << 30)
    store(cache, 1)
    arrays = cache.load(key(1))
    for each in tmp_path.iterdir():
        each.unlink()
    assert arrays is not None
    assert (arrays[1] == 1).all()
    assert kept(cache) == []
    store(cache, 1)
    assert kept(cache) == [1]


@pytest.mark.slow
def test_processes_that_store_and_evict_at_once(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from test_layer_cache import ENTRY, kept, key, store\n"
        "from kkspdnn.io.layer_cache import LayerCache\n"
        "for turn in range(30):\n"
        "    cache = LayerCache(Path(sys.argv[1]), 5 * ENTRY)\n"
        "    store(cache, *[(turn * 7 + 3 * k) % 20 for k in range(4)])\n"
        "    kept(cache)\n"
    )
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    command = [sys.executable, "-c", program, str(tmp_path)]
    started = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(3)]
    for process in started:
        assert process.communicate()[1] == b""
    names = [each.name for each in tmp_path.iterdir()]
    assert all(name.startswith("layer-") for name in names)
    # Each process measures the folder itself, so together they may exceed the limit briefly.
    assert len(names) <= 5 + 3 * 4


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("KKSPDNN_CACHE", str(folder))
    monkeypatch.delenv("KKSPDNN_LAYER_CACHE_GB")
    return folder


def limit(cache: LayerCache | None) -> int:
    assert cache is not None
    return cache._limit


def test_the_limit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limit(open_layer_cache()) == 4_000_000_000
    assert limit(open_layer_cache(0.5)) == 500_000_000
    assert open_layer_cache(0) is None
    monkeypatch.setenv("KKSPDNN_LAYER_CACHE_GB", "1.5")
    assert limit(open_layer_cache()) == 1_500_000_000
    assert limit(open_layer_cache(2)) == 2_000_000_000
    monkeypatch.setenv("KKSPDNN_LAYER_CACHE_GB", "0")
    assert open_layer_cache() is None
    assert limit(open_layer_cache(2)) == 2_000_000_000
    monkeypatch.setenv("KKSPDNN_LAYER_CACHE_GB", "")
    assert limit(open_layer_cache()) == 4_000_000_000


@pytest.mark.parametrize("text", ["lots", "-1", "nan", "inf"])
def test_an_invalid_limit_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("KKSPDNN_LAYER_CACHE_GB", text)
    with pytest.raises(InputError, match=f"KKSPDNN_LAYER_CACHE_GB={text}: give its size in giga"):
        open_layer_cache()
    if text != "lots":
        with pytest.raises(InputError, match=f"layer cache {text}: give its size in gigabytes"):
            open_layer_cache(float(text))


def test_a_folder_that_other_users_may_write_to_is_not_used(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kkspdnn")
    (root / "layers").mkdir(mode=0o700)
    assert open_layer_cache() is not None
    (root / "layers").chmod(0o777)
    assert open_layer_cache() is None
    root.chmod(0o777)
    assert open_layer_cache() is None
    assert [each.startswith("parsed layers are not kept: ") for each in caplog.messages] == [
        True,
        True,
    ]


def test_a_cache_that_cannot_be_written_logs_it_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kkspdnn")
    (tmp_path / "file").write_bytes(b"")
    cache = LayerCache(tmp_path / "file" / "layers", 1 << 30)
    store(cache, 1, 2)
    assert kept(cache) == []
    assert len(caplog.messages) == 1
    assert "layers cannot be written: " in caplog.messages[0]


def test_folders_are_private_for_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store(LayerCache(tmp_path / "a" / "b" / "layers", 1 << 30), 1)
    finally:
        os.umask(before)
    for each in ("a", "a/b", "a/b/layers"):
        assert (tmp_path / each).stat().st_mode & 0o777 == 0o700
    (entry,) = (tmp_path / "a" / "b" / "layers").iterdir()
    assert entry.stat().st_mode & 0o777 == 0o600
