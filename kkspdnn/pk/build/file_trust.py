"""Which files may be loaded: those that only their owner, this user or root, can change."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from kkspdnn.errors import CacheError

VARIABLE = "KKSPDNN_CACHE"
_REMEDY = f"set {VARIABLE} to a folder of your own"
_MOST_LINKS = 40
"""Symbolic links in one path that Linux follows."""


def refuse_shared(folder: Path) -> None:
    """Raise CacheError where another user could put a library of theirs into this cache folder.

    The folder may be missing. Every folder on the way is checked, those that symbolic links lead
    through too. Below a sticky folder such as /tmp, and below a folder of a private group, only the
    owner can replace an entry; the cache folder itself must not be writable by others at all.
    """
    try:
        for place in _walked(folder):
            status = place.lstat()
            if stat.S_ISLNK(status.st_mode):
                check_owner(place, status)
            elif not stat.S_ISDIR(status.st_mode):
                raise CacheError(f"{place} is not a folder; {_REMEDY}")
            elif status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
                _refuse_writable(place, status)
        status = folder.stat()
    except FileNotFoundError:
        return
    except CacheError:
        raise
    except OSError as error:
        raise CacheError(
            f"cannot look at the cache {folder}: {error.strerror}; {_REMEDY}"
        ) from error
    check_private(folder, status)


def check_private(place: Path, status: os.stat_result) -> None:
    """Raise CacheError unless a file or folder of the cache belongs to this user or to root, and
    nobody else may write to it."""
    check_owner(place, status)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        _refuse_writable(place, status)


def check_owner(place: Path, status: os.stat_result) -> None:
    """Raise CacheError unless `place` belongs to this user or to root."""
    if status.st_uid not in (os.getuid(), 0):
        raise CacheError(f"{place} belongs to another user; {_REMEDY}")


def _refuse_writable(place: Path, status: os.stat_result) -> None:
    raise CacheError(
        f"others may write to {place} (mode {stat.S_IMODE(status.st_mode):04o}): "
        f"run chmod -R go-w on it, or {_REMEDY}"
    )


def _walked(path: Path) -> Iterator[Path]:
    """Every folder and symbolic link on the way to `path`, itself too, as the kernel goes."""
    parts, current, links = list(reversed(path.absolute().parts[1:])), Path("/"), 0
    yield current
    while parts:
        name = parts.pop()
        if name == "..":
            current = current.parent
            continue
        place = current / name
        yield place
        if not place.is_symlink():
            current = place
            continue
        links += 1
        if links > _MOST_LINKS:
            raise CacheError(f"{path}: too many symbolic links; {_REMEDY}")
        target = Path(os.readlink(place))
        current = Path("/") if target.is_absolute() else current
        parts += reversed(target.parts[1:] if target.is_absolute() else target.parts)
