"""Listing the entries of a cache folder, and removing those that are no longer used."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time

from kkspdnn.errors import CacheError
from kkspdnn.pk.build import locks
from kkspdnn.pk.build.cache import BUILDS_LOCK, MANIFEST, remove_entry
from kkspdnn.pk.build.file_trust import CACHE_VARIABLE, check_trusted

_ENTRY_NAME = re.compile(r"(.+)-[0-9a-f]{32}")
_FILE_NAME = re.compile(r"[0-9a-f]{32}\.(?!lock)\w+")
SECONDS_PER_DAY = 86400.0


@dataclass(frozen=True)
class CacheEntry:
    """An entry of the cache: a folder of `cache.Cache`, or a file of another module.

    name: without the digest; for a file, `*` and its suffix
    size: of all its files, in bytes; last_used: in seconds since the epoch
    """

    category: str
    name: str
    path: Path
    size: int
    last_used: float

    @property
    def days_unused(self) -> float:
        """Days since the last use."""
        return max(0.0, time() - self.last_used) / SECONDS_PER_DAY


def list_entries(root: Path) -> list[CacheEntry]:
    """Return all entries of a cache folder, sorted by category, name and descending last use.

    Raises CacheError if others may write to the folder.
    """
    check_trusted(root)
    entries = []
    for path in root.glob("*/*"):
        # Another process may remove it meanwhile.
        with suppress(OSError):
            entry = _read_entry(path)
            if entry is not None:
                entries.append(entry)
    return sorted(entries, key=lambda each: (each.category, each.name, -each.last_used))


def _read_entry(path: Path) -> CacheEntry | None:
    status, name = path.lstat(), _ENTRY_NAME.fullmatch(path.stem)
    category = path.parent.name
    if stat.S_ISDIR(status.st_mode) and name is not None:
        return CacheEntry(category, name[1], path, _total_size(path), _last_used(path))
    if stat.S_ISREG(status.st_mode) and _FILE_NAME.fullmatch(path.name):
        return CacheEntry(category, f"*{path.suffix}", path, status.st_size, status.st_mtime)
    return None


def clear_cache(root: Path, unused_days: float = 0.0) -> list[CacheEntry]:
    """Remove the entries that were not used for this number of days, 0 for all; return them.

    Raises CacheError if a process builds into the folder, or if an entry cannot be removed.
    """
    if not root.is_dir():
        return []
    check_trusted(root)
    removed = []
    try:
        with locks.try_exclusive(root / BUILDS_LOCK) as acquired:
            if not acquired:
                raise CacheError(
                    f"{_building_process(root)} builds into the cache {root}; "
                    "try again when it has finished"
                )
            for entry in list_entries(root):
                if entry.days_unused >= unused_days and remove_entry(entry.path):
                    removed.append(entry)
            _remove_leftovers(root)
    except OSError as error:
        if isinstance(error, CacheError):
            raise
        raise CacheError(
            f"cannot remove from the cache {root}: {error.strerror or error}; "
            f"run it as the folder's owner, or set {CACHE_VARIABLE} to another folder"
        ) from error
    return removed


def _remove_leftovers(root: Path) -> None:
    """Remove the folders of killed builds and the locks of removed entries.

    Nobody holds one of these locks, as no build runs.
    """
    for folder in root.glob("*/.building-*"):
        shutil.rmtree(folder, ignore_errors=True)
    for lock in root.glob("*/*.lock"):
        if not lock.with_suffix("").exists():
            lock.unlink(missing_ok=True)


def _building_process(root: Path) -> str:
    holders = (locks.holder_of(lock) for lock in root.glob("*/*.lock"))
    return next(filter(None, holders), "another process")


def _total_size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in _walk(folder))


def _walk(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder) / name for name in names)


def _last_used(folder: Path) -> float:
    """Return the time of last use, see `cache.mark_used`, or without a manifest of last change."""
    manifest = folder / MANIFEST
    return (manifest if manifest.exists() else folder).stat().st_mtime
