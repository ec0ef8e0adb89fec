"""What a cache holds, and removing what is not used."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kkspdnn.errors import CacheError
from kkspdnn.pk import locks
from kkspdnn.pk.cache import BUILDS_LOCK, Cache
from kkspdnn.pk.upkeep import DAY, clear, entries, trim


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
    assert [each.name for each in entries(store.root, "workunits")] == ["w-2"]
    (found[0].place / "manifest.json").unlink()
    assert entries(store.root, "kokkos")[0].days < 0.01


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


def test_the_least_recently_used_leave_first(store: Cache) -> None:
    places = [put(store, "layers", f"n{days}", days) for days in (3, 1, 2, 4)]
    kept = put(store, "workunits", "w", 100)
    trim(store.root, "layers", 4000)
    assert all(place.exists() for place in places)
    trim(store.root, "layers", 2500)
    assert [place.exists() for place in places] == [False, True, True, False]
    building = places[2].with_name(f"{places[2].name}.lock")
    with locks.exclusive(building, "build it"):
        trim(store.root, "layers", 1000)
    assert [place.exists() for place in places] == [False, False, True, False]
    trim(store.root, "layers", 0)
    assert not any(place.exists() for place in places)
    assert kept.exists()
