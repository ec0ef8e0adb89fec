"""Ownership and permissions of cached files: only this user or root may be able to change them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from kkspdnn.errors import CacheError

CACHE_VARIABLE = "KKSPDNN_CACHE"
_REMEDY = f"set {CACHE_VARIABLE} to a folder of your own"
_MAX_SYMLINKS = 40
"""The maximum number of symbolic links that Linux follows in a path."""


def check_trusted(folder: Path) -> None:
    """Raise CacheError if another user could put a library into this cache folder.

    The folder may be missing. All folders above it are checked, also those that symbolic links lead
    through. In a sticky folder such as /tmp, and in a folder of a private group, only the owner can
    replace an entry. The cache folder itself must not be writable by others.
    """
    try:
        for path in _resolve_steps(folder):
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                check_owner(path, status)
            elif not stat.S_ISDIR(status.st_mode):
                raise CacheError(f"{path} is not a folder; {_REMEDY}")
            elif status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
                _raise_writable(path, status)
        status = folder.stat()
    except FileNotFoundError:
        return
    except CacheError:
        raise
    except OSError as error:
        raise CacheError(
            f"cannot access the cache {folder}: {error.strerror}; {_REMEDY}"
        ) from error
    check_private(folder, status)


def check_private(path: Path, status: os.stat_result) -> None:
    """Raise CacheError unless `path` belongs to this user or root and only the owner may write.

    status: of the file or folder `path`
    """
    check_owner(path, status)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        _raise_writable(path, status)


def check_owner(path: Path, status: os.stat_result) -> None:
    """Raise CacheError unless `path`, with this status, belongs to this user or to root."""
    if status.st_uid not in (os.getuid(), 0):
        raise CacheError(f"{path} belongs to another user; {_REMEDY}")


def _raise_writable(path: Path, status: os.stat_result) -> None:
    raise CacheError(
        f"others may write to {path} (mode {stat.S_IMODE(status.st_mode):04o}): "
        f"run chmod -R go-w on it, or {_REMEDY}"
    )


def _resolve_steps(path: Path) -> Iterator[Path]:
    """Yield each folder and symbolic link that the kernel visits to resolve `path`, and itself."""
    names, current, links = list(reversed(path.absolute().parts[1:])), Path("/"), 0
    yield current
    while names:
        name = names.pop()
        if name == "..":
            current = current.parent
            continue
        step = current / name
        yield step
        if not step.is_symlink():
            current = step
            continue
        links += 1
        if links > _MAX_SYMLINKS:
            raise CacheError(f"{path}: too many symbolic links; {_REMEDY}")
        target = Path(os.readlink(step))
        current = Path("/") if target.is_absolute() else current
        names += reversed(target.parts[1:] if target.is_absolute() else target.parts)
