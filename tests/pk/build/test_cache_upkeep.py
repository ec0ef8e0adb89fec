"""What a cache holds, and removing what is not used."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kkspdnn.errors import CacheError
from kkspdnn.pk.build import locks
from kkspdnn.pk.build.cache import BUILDS_LOCK, Cache
from kkspdnn.pk.build.cache_upkeep import DAY, clear, entries


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def put(store: Cache, kind: str, name: str, days: float, size: int = 1000) -> Path:
    """An entry of so many bytes, with its manifest, that was used so many days ago."""
    place = store.entry(kind, name, {}, lambda folder: (folder / "f").touch())
    manifest = place / "manifest.json"
    (place / "f").write_bytes(bytes(size - manifest.stat().st_size))
    then = time.time() - days * DAY
    os.utime(manifest, (then, then))
    return place


def test_entries_with_size_and_last_use(store: Cache) -> None:
    assert entries(store.root) == []
    put(store, "workunits", "w-2", 2)
    put(store, "kokkos", "openmp", 10, 5000)
    (store.root / "workunits" / "no entry").mkdir()
    (store.root / "workunits" / "a file").touch()
    found = entries(store.root)
    assert [(each.kind, each.name, each.size) for each in found] == [
        ("kokkos", "openmp", 5000),
        ("workunits", "w-2", 1000),
    ]
    assert [each.days for each in found] == pytest.approx([10, 2], abs=0.01)
    (found[0].place / "manifest.json").unlink()
    assert entries(store.root)[0].days < 0.01


def test_clearing_what_is_not_used(store: Cache) -> None:
    places = [put(store, "workunits", f"w{days}", days) for days in (1, 5, 40)]
    (store.root / "workunits" / ".building-w-1-x").mkdir()
    assert [each.name for each in clear(store.root, 30)] == ["w40"]
    assert [place.exists() for place in places] == [True, True, False]
    assert len(list(store.root.glob("*/*.lock"))) == 2
    assert not list(store.root.glob("*/.building*"))
    assert [each.name for each in clear(store.root)] == ["w1", "w5"]
    assert [path.name for path in (store.root / "workunits").iterdir()] == []
    assert clear(store.root) == []
    assert clear(store.root / "nowhere") == []


def test_not_while_a_process_builds(store: Cache) -> None:
    """A build reads other entries: Kokkos' headers, the runtime library."""
    place = put(store, "kokkos", "openmp", 1)

    def build(folder: Path) -> None:
        with pytest.raises(CacheError, match=f"^process {os.getpid()} .*builds into the cache"):
            clear(store.root)
        (folder / "f").touch()

    store.entry("workunits", "w", {}, build)
    assert place.exists()
    with locks.shared(store.root / BUILDS_LOCK), pytest.raises(CacheError, match="try again when"):
        clear(store.root)
    assert len(clear(store.root)) == 2


def test_a_cache_of_others_is_not_cleared(store: Cache) -> None:
    put(store, "kokkos", "openmp", 1)
    store.root.chmod(0o777)
    for action in (clear, entries):
        with pytest.raises(CacheError, match="others may write to"):
            action(store.root)


def test_files_that_other_modules_keep(store: Cache) -> None:
    """Such as parsed layers: one file each, its time of last use its modification time."""
    put(store, "workunits", "w", 1)
    folder = store.root / "layers"
    folder.mkdir()
    for number, days in ((1, 3), (2, 9)):
        file = folder / f"{number:032x}.layer"
        file.write_bytes(bytes(700))
        then = time.time() - days * DAY
        os.utime(file, (then, then))
    (folder / ".writing-x").touch()
    found = entries(store.root)[:2]
    assert [(each.kind, each.name, each.size) for each in found] == [("layers", "*.layer", 700)] * 2
    assert [each.days for each in found] == pytest.approx([3, 9], abs=0.01)
    assert [each.place.name for each in clear(store.root, 5)] == [f"{2:032x}.layer"]
    assert len(clear(store.root)) == 2
    assert [path.name for path in folder.iterdir()] == [".writing-x"]
