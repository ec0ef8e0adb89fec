"""What a cache folder holds, and removing entries that are no longer used."""

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
from kkspdnn.pk.build.cache import BUILDS_LOCK, MANIFEST, remove
from kkspdnn.pk.build.file_trust import VARIABLE, refuse_shared

_NAME = re.compile(r"(.+)-[0-9a-f]{32}")
_FILE = re.compile(r"[0-9a-f]{32}\.(?!lock)\w+")
DAY = 86400.0
"""Seconds."""


@dataclass(frozen=True)
class Entry:
    """An entry of the cache: a folder, see `cache.Cache`, or a file that another module keeps.

    name: without the digest; of a file `*` and its suffix
    size: bytes of its files; used: when it was last used, in seconds since the epoch
    """

    kind: str
    name: str
    place: Path
    size: int
    used: float

    @property
    def days(self) -> float:
        """Days since the last use."""
        return max(0.0, time() - self.used) / DAY


def entries(root: Path) -> list[Entry]:
    """All entries of a cache folder, sorted by kind and name, the last used ones first.

    Raises CacheError where others may write to the folder.
    """
    refuse_shared(root)
    found = []
    for place in root.glob("*/*"):
        # Another process may remove it meanwhile.
        with suppress(OSError):
            each = _entry(place)
            if each is not None:
                found.append(each)
    return sorted(found, key=lambda each: (each.kind, each.name, -each.used))


def _entry(place: Path) -> Entry | None:
    status, name = place.lstat(), _NAME.fullmatch(place.stem)
    if stat.S_ISDIR(status.st_mode) and name is not None:
        return Entry(place.parent.name, name[1], place, _size(place), _used(place))
    if stat.S_ISREG(status.st_mode) and _FILE.fullmatch(place.name):
        suffix = f"*{place.suffix}"
        return Entry(place.parent.name, suffix, place, status.st_size, status.st_mtime)
    return None


def clear(root: Path, unused_days: float = 0.0) -> list[Entry]:
    """Remove the entries that were not used for so many days, 0 for all; gives these.

    Raises CacheError where a process builds into the folder, or an entry cannot be removed.
    """
    if not root.is_dir():
        return []
    refuse_shared(root)
    removed = []
    try:
        with locks.try_exclusive(root / BUILDS_LOCK) as alone:
            if not alone:
                raise CacheError(
                    f"{_builder(root)} builds into the cache {root}; try again when it has finished"
                )
            for each in entries(root):
                if each.days >= unused_days and remove(each.place):
                    removed.append(each)
            _remove_leftovers(root)
    except OSError as error:
        if isinstance(error, CacheError):
            raise
        raise CacheError(
            f"cannot remove from the cache {root}: {error.strerror or error}; "
            f"run it as the folder's owner, or set {VARIABLE} to another folder"
        ) from error
    return removed


def _remove_leftovers(root: Path) -> None:
    """Folders of builds that were killed, and locks of entries that are gone; nobody holds one, as
    no build runs."""
    for beside in root.glob("*/.building-*"):
        shutil.rmtree(beside, ignore_errors=True)
    for lock in root.glob("*/*.lock"):
        if not lock.with_suffix("").exists():
            lock.unlink(missing_ok=True)


def _builder(root: Path) -> str:
    holders = (locks.holder_of(lock) for lock in root.glob("*/*.lock"))
    return next(filter(None, holders), "another process")


def _size(place: Path) -> int:
    return sum(path.lstat().st_size for path in _walk(place))


def _walk(place: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(place):
        yield from (Path(folder) / name for name in names)


def _used(place: Path) -> float:
    """The time of last use, see `cache.touch`; without a manifest, of the last change."""
    manifest = place / MANIFEST
    return (manifest if manifest.exists() else place).stat().st_mtime
