"""Listing the entries of a cache, and removing those that are not used."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kkspdnn.errors import CacheError
from kkspdnn.pk.build import locks
from kkspdnn.pk.build.cache import BUILDS_LOCK, Cache
from kkspdnn.pk.build.cache_cleanup import SECONDS_PER_DAY, clear_cache, list_entries


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def add_entry(store: Cache, category: str, name: str, days: float, size: int = 1000) -> Path:
    """Add an entry with this size in bytes that was last used this number of days ago."""
    entry = store.get_or_build(category, name, {}, lambda folder: (folder / "f").touch())
    manifest = entry / "manifest.json"
    (entry / "f").write_bytes(bytes(size - manifest.stat().st_size))
    then = time.time() - days * SECONDS_PER_DAY
    os.utime(manifest, (then, then))
    return entry


def test_entries_with_size_and_last_use(store: Cache) -> None:
    assert list_entries(store.root) == []
    add_entry(store, "workunits", "w-2", 2)
    add_entry(store, "kokkos", "openmp", 10, 5000)
    (store.root / "workunits" / "no entry").mkdir()
    (store.root / "workunits" / "a file").touch()
    entries = list_entries(store.root)
    assert [(each.category, each.name, each.size) for each in entries] == [
        ("kokkos", "openmp", 5000),
        ("workunits", "w-2", 1000),
    ]
    assert [each.days_unused for each in entries] == pytest.approx([10, 2], abs=0.01)
    (entries[0].path / "manifest.json").unlink()
    assert list_entries(store.root)[0].days_unused < 0.01


def test_unused_entries_are_removed(store: Cache) -> None:
    paths = [add_entry(store, "workunits", f"w{days}", days) for days in (1, 5, 40)]
    (store.root / "workunits" / ".building-w-1-x").mkdir()
    assert [each.name for each in clear_cache(store.root, 30)] == ["w40"]
    assert [path.exists() for path in paths] == [True, True, False]
    assert len(list(store.root.glob("*/*.lock"))) == 2
    assert not list(store.root.glob("*/.building*"))
    assert [each.name for each in clear_cache(store.root)] == ["w1", "w5"]
    assert [path.name for path in (store.root / "workunits").iterdir()] == []
    assert clear_cache(store.root) == []
    assert clear_cache(store.root / "nowhere") == []


def test_nothing_is_removed_while_a_process_builds(store: Cache) -> None:
    """A build reads other entries: Kokkos's headers, the runtime library."""
    entry = add_entry(store, "kokkos", "openmp", 1)

    def build(folder: Path) -> None:
        with pytest.raises(CacheError, match=f"^process {os.getpid()} .*builds into the cache"):
            clear_cache(store.root)
        (folder / "f").touch()

    store.get_or_build("workunits", "w", {}, build)
    assert entry.exists()
    with locks.shared(store.root / BUILDS_LOCK), pytest.raises(CacheError, match="try again when"):
        clear_cache(store.root)
    assert len(clear_cache(store.root)) == 2


def test_a_cache_that_others_may_write_to_is_not_cleared(store: Cache) -> None:
    add_entry(store, "kokkos", "openmp", 1)
    store.root.chmod(0o777)
    for action in (clear_cache, list_entries):
        with pytest.raises(CacheError, match="others may write to"):
            action(store.root)


def test_files_of_other_modules(store: Cache) -> None:
    """Such as parsed layers: an entry is a file, last used at its modification time."""
    add_entry(store, "workunits", "w", 1)
    folder = store.root / "layers"
    folder.mkdir()
    for number, days in ((1, 3), (2, 9)):
        file = folder / f"{number:032x}.layer"
        file.write_bytes(bytes(700))
        then = time.time() - days * SECONDS_PER_DAY
        os.utime(file, (then, then))
    (folder / ".writing-x").touch()
    entries = list_entries(store.root)[:2]
    assert [(each.category, each.name, each.size) for each in entries] == [
        ("layers", "*.layer", 700)
    ] * 2
    assert [each.days_unused for each in entries] == pytest.approx([3, 9], abs=0.01)
    assert [each.path.name for each in clear_cache(store.root, 5)] == [f"{2:032x}.layer"]
    assert len(clear_cache(store.root)) == 2
    assert [path.name for path in folder.iterdir()] == [".writing-x"]
