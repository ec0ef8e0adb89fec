"""Built things on disk: Kokkos, the runtime library, compiled workunits.

An entry is a folder named by a digest of everything that went into it. It is made beside its
place, its manifest (the SHA-256 of every file) is written last, and one rename puts it there,
under a lock that other processes wait for. On every use the manifest is checked, so a cut-off or
damaged entry is built again and never loaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from kkspdnn.errors import CacheError
from kkspdnn.pk.paths import misread
from kkspdnn.pk.termination import cleaning_up

VARIABLE = "KKSPDNN_CACHE"
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Cache:
    """The cache folder; it is made on the first write."""

    root: Path

    def entry(
        self, kind: str, name: str, key: Mapping[str, str], build: Callable[[Path], None]
    ) -> Path:
        """The folder `kind/name-DIGEST`, built by `build(folder)` where no valid one exists.

        key: everything the content depends on. Raises CacheError where the folder cannot be
        used, and whatever `build` raises; then nothing is left behind.
        """
        text = json.dumps(dict(key), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        place = self.root / kind / f"{name}-{digest}"
        refuse_shared(self.root)
        if is_whole(place, key):
            return place
        try:
            _make_private(place.parent)
            with cleaning_up(), FileLock(f"{place}.lock"):
                if not is_whole(place, key):
                    _build_beside(place, key, build)
        except OSError as error:
            if isinstance(error, CacheError):
                raise
            raise CacheError(
                f"cannot write to the cache {self.root}: {error.strerror or error}; "
                f"set {VARIABLE} to a folder of your own"
            ) from error
        return place


def default_cache() -> Cache:
    """The cache in `KKSPDNN_CACHE`, else in the user's cache folder (XDG on Linux).

    Raises CacheError where there is no such user, or the tools cannot take the folder's name.
    """
    chosen = os.environ.get(VARIABLE)
    try:
        root = Path(chosen).expanduser() if chosen else user_cache_path("kkspdnn")
    except RuntimeError as error:  # ~name of a user that does not exist
        raise CacheError(f"{VARIABLE}={chosen}: {error}; name a folder of your own") from error
    root = root.absolute()
    odd = misread(root)
    if odd is not None:
        raise CacheError(f"the cache {odd}; set {VARIABLE} to another folder")
    return Cache(root)


def refuse_shared(folder: Path) -> None:
    """Raise CacheError where another user could put a library of theirs in our place."""
    for place in (folder, *folder.parents):
        try:
            status = place.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise CacheError(
                f"cannot look at the cache {folder}: {error.strerror}; "
                f"set {VARIABLE} to a folder of your own"
            ) from error
        if not stat.S_ISDIR(status.st_mode):
            raise CacheError(f"{place} is not a folder; set {VARIABLE} to a folder of your own")
        # Below a sticky folder such as /tmp, and below a folder of a private group, only the
        # owner can swap what is there; the cache folder itself must be the owner's alone.
        sticky = bool(status.st_mode & stat.S_ISVTX)
        if place == folder:
            open_to_others = bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
            if status.st_uid != os.getuid():
                raise CacheError(
                    f"{place} belongs to another user; set {VARIABLE} to a folder of your own"
                )
        else:
            open_to_others = bool(status.st_mode & stat.S_IWOTH) and not sticky
        if open_to_others:
            raise CacheError(
                f"others may write to {place} (mode {stat.S_IMODE(status.st_mode):04o}): "
                f"run chmod go-w on it, or set {VARIABLE} to a folder of your own"
            )


def is_whole(place: Path, key: Mapping[str, str]) -> bool:
    """Is this the entry for `key`, and has every file the content that its manifest says?"""
    try:
        manifest = json.loads((place / _MANIFEST).read_bytes())
        files = manifest["files"]
        return manifest["key"] == dict(key) and all(
            _digest(place / name) == digest for name, digest in files.items()
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def _make_private(folder: Path) -> None:
    """Make a folder that only its owner may write to, whatever the umask, and those above it."""
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _build_beside(place: Path, key: Mapping[str, str], build: Callable[[Path], None]) -> None:
    """Build and put in place; the caller holds the lock, so what lies beside is a leftover."""
    for leftover in place.parent.glob(f".building-{place.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    beside = Path(tempfile.mkdtemp(prefix=f".building-{place.name}-", dir=place.parent))
    try:
        build(beside)
        files = {
            str(path.relative_to(beside)): _digest(path)
            for path in sorted(beside.rglob("*"))
            if path.is_symlink() or path.is_file()
        }
        manifest = json.dumps({"key": dict(key), "files": files}, indent=1)
        (beside / _MANIFEST).write_text(manifest, encoding="ascii")
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        os.rename(beside, place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _digest(path: Path) -> str:
    """Of a file's content, or of where a symbolic link leads."""
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    return hashlib.sha256(path.read_bytes()).hexdigest()
