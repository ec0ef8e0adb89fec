"""
Compiled files on disk: Kokkos, the runtime library, workunits.

An entry is a folder `kind/name-DIGEST`; the digest is of its key, which names all that its content
depends on and no path of this machine. An entry may be copied to another cache folder. It is made
beside its place, its manifest (the key, and the SHA-256 of every file) is written last, and one
rename puts it there, under a lock that other processes wait for. On every use the files are checked
against the manifest, and who may write to them, see `trust`: an incomplete or damaged entry is
built again and never loaded.

An entry that is whole is used without writing anything but its time of last use, the modification
time of its manifest, where that can be written. What is missing in a cache that this user may only
read is built in the user's own cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import time

from platformdirs import user_cache_path

from kkspdnn.errors import CacheError
from kkspdnn.pk.build import locks
from kkspdnn.pk.build.file_trust import VARIABLE, check_private, refuse_shared
from kkspdnn.pk.system.paths import unsupported_path
from kkspdnn.pk.system.progress_log import log_progress
from kkspdnn.pk.system.termination import exit_on_signals

MANIFEST = "manifest.json"
BUILDS_LOCK = ".builds.lock"
"""In the cache folder: held shared by every build, and alone by what removes entries, since a build
reads other entries."""
_USE_SECONDS = 3600.0
"""The time of last use is written at most this often."""

Key = Mapping[str, str]


@dataclass(frozen=True)
class Cache:
    """The cache folder; it is made on the first write.

    spare: where to build what is missing if `root` can only be read; None: nowhere
    """

    root: Path
    spare: Path | None = None

    def entry(self, kind: str, name: str, key: Key, build: Callable[[Path], None]) -> Path:
        """The folder `kind/name-DIGEST`, built by `build(folder)` where no whole one exists.

        key: everything the content depends on. Raises CacheError where the folder cannot be
        used, and whatever `build` raises; then nothing is left behind.
        """
        found = self.find(kind, name, key)
        if found is not None:
            return found
        root = self._writable(kind)
        place = root / kind / _folder_name(name, key)
        try:
            make_private(place.parent, root)
            with (
                exit_on_signals(),
                locks.shared(root / BUILDS_LOCK),
                locks.exclusive(_lock_of(place), f"build {kind}/{name}"),
            ):
                if not is_whole(place, key):
                    _build_beside(place, key, build)
        except OSError as error:
            if isinstance(error, CacheError):
                raise
            raise CacheError(
                f"cannot write to the cache {root}: {error.strerror or error}; "
                f"set {VARIABLE} to a folder of your own"
            ) from error
        return place

    def find(self, kind: str, name: str, key: Key) -> Path | None:
        """The whole entry with this key, marked as used now; None where there is none.

        Raises CacheError where others may write to it.
        """
        for folder in self._folders(kind):
            place = folder / _folder_name(name, key)
            if is_whole(place, key):
                touch(place)
                return place
        return None

    def keys(self, kind: str, name: str) -> Iterator[dict[str, str]]:
        """The keys of all entries with this name, whole or not."""
        for folder in self._folders(kind):
            for place in sorted(folder.glob(f"{name}-*")):
                key = key_of(place)
                if key is not None and place.name == _folder_name(name, key):
                    yield key

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders to look for entries in."""
        return (self.root,) if self.spare is None else (self.root, self.spare)

    def _folders(self, kind: str) -> Iterator[Path]:
        """Where entries of this kind are. CacheError where others may write to `root`."""
        if _is_trusted(self.root, kind):
            yield self.root / kind
        # What is wrong with the spare folder matters once something is built there.
        with suppress(CacheError):
            if self.spare is not None and _is_trusted(self.spare, kind):
                yield self.spare / kind

    def _writable(self, kind: str) -> Path:
        """Where to build entries of this kind."""
        if self.spare is None or _can_write(self.root / kind):
            return self.root
        _tell_once(f"the cache {self.root} cannot be written to; building in {self.spare}")
        refuse_shared(self.spare)
        return self.spare


def default_cache() -> Cache:
    """The cache in `KKSPDNN_CACHE`, else in the user's cache folder (XDG on Linux).

    Raises CacheError where there is no such user, or the tools cannot take the folder's name.
    """
    chosen = os.environ.get(VARIABLE)
    own = user_cache_path("kkspdnn").absolute()
    try:
        root = Path(chosen).expanduser() if chosen else own
    except RuntimeError as error:  # ~name of a user that does not exist
        raise CacheError(f"{VARIABLE}={chosen}: {error}; name a folder of your own") from error
    root = root.absolute()
    odd = unsupported_path(root)
    if odd is not None:
        raise CacheError(f"the cache {odd}; set {VARIABLE} to another folder")
    read_only = root != own and root.is_dir() and not os.access(root, os.W_OK | os.X_OK)
    return Cache(root, own if read_only and unsupported_path(own) is None else None)


def is_whole(place: Path, key: Key) -> bool:
    """Is this the entry for `key`, and are its files those of its manifest, no more and no fewer?

    Raises CacheError where others may write to one of them.
    """
    try:
        if place.is_symlink():
            return False
        check_private(place, place.lstat())
        found = set(_files(place))
        manifest = json.loads((place / MANIFEST).read_bytes())
        files = manifest["files"]
        return (
            manifest["key"] == dict(key)
            and bool(files)
            and found == {*files, MANIFEST}
            and all(_digest(place / name) == digest for name, digest in files.items())
        )
    except CacheError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def key_of(place: Path) -> dict[str, str] | None:
    """The key that an entry's manifest names; None where it cannot be read."""
    try:
        found = json.loads((place / MANIFEST).read_bytes())["key"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def touch(place: Path) -> None:
    """Mark an entry as used now, unless it was marked within the last hour or cannot be."""
    manifest = place / MANIFEST
    with suppress(OSError):
        if abs(time() - manifest.stat().st_mtime) > _USE_SECONDS:
            os.utime(manifest)


def remove(place: Path) -> bool:
    """Remove an entry or a file, unless another process is building it; gives whether it is gone.

    Raises OSError where it cannot be removed. A process that has loaded its files keeps them.
    """
    with locks.try_exclusive(_lock_of(place)) as alone:
        if alone:
            _take_away(place)
        return alone


@cache
def _tell_once(text: str) -> None:
    log_progress(text)


def _folder_name(name: str, key: Key) -> str:
    text = json.dumps(dict(key), sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _lock_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def _is_trusted(root: Path, kind: str) -> bool:
    """Whether there is a folder of this kind; CacheError where it or `root` is not this user's."""
    refuse_shared(root)
    folder = root / kind
    try:
        status = folder.lstat()
    except OSError:
        return False
    if stat.S_ISLNK(status.st_mode):
        raise CacheError(
            f"{folder} is a symbolic link; remove it, or set {VARIABLE} to another folder"
        )
    check_private(folder, status)
    return True


def _can_write(folder: Path) -> bool:
    """Can this folder be written to, or made where it is missing?"""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def _files(place: Path) -> Iterator[str]:
    """The relative names of all files and symbolic links in an entry.

    Raises CacheError where others may write to one, or to a folder, and ValueError for a link that
    leads out of the entry.
    """
    folders = [place]
    while folders:
        with os.scandir(folders.pop()) as found:
            for each in found:
                path, status = Path(each.path), each.stat(follow_symlinks=False)
                if each.is_symlink():
                    target = os.path.normpath(path.parent / os.readlink(path))
                    if not Path(target).is_relative_to(place):
                        raise ValueError(f"{path} leads out of the entry")
                else:
                    check_private(path, status)
                if each.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif not each.name.startswith(".nfs"):  # removed, and open elsewhere
                    yield str(path.relative_to(place))


def make_private(folder: Path, root: Path) -> None:
    """Make a folder that only its owner may write to, whatever the umask, and those above it.

    Only the owner may read it, but below `root` whoever may read that.
    """
    if not folder.is_dir():
        make_private(folder.parent, root)
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder != root and folder.is_relative_to(root):
            folder.chmod(0o700 | _readers(root))


def _readers(root: Path) -> int:
    """The bits by which group and others may read this folder."""
    return stat.S_IMODE(root.stat().st_mode) & 0o055


def _build_beside(place: Path, key: Key, build: Callable[[Path], None]) -> None:
    """Build and put in place; the caller holds the lock, so what lies beside is a leftover."""
    for leftover in place.parent.glob(f".building-{place.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    beside = Path(tempfile.mkdtemp(prefix=f".building-{place.name}-", dir=place.parent))
    try:
        build(beside)
        _close_to_others(beside, _readers(place.parent))
        files = {name: _digest(beside / name) for name in sorted(_files(beside))}
        manifest = json.dumps({"key": dict(key), "files": files}, indent=1)
        (beside / MANIFEST).write_text(manifest, encoding="ascii")
        (beside / MANIFEST).chmod(0o600 | _readers(place.parent) & 0o044)
        _take_away(place)
        os.rename(beside, place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _close_to_others(place: Path, readers: int) -> None:
    """Let only the owner write to what is in a folder, and those who may read the folder read it,
    whatever the umask of the build was."""
    for folder, _, names in os.walk(place):
        for path in (Path(folder), *(Path(folder) / name for name in names)):
            if not path.is_symlink():
                own = stat.S_IMODE(path.stat().st_mode) & 0o700
                path.chmod(own | (own >> 3 | own >> 6) & readers)


def _take_away(place: Path) -> None:
    """Remove an entry, or whatever else has its name."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    """Of a file's content, or of where a symbolic link leads."""
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    return hashlib.sha256(path.read_bytes()).hexdigest()
