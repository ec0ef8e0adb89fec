"""The cache of compiled files: Kokkos, the runtime library, workunits.

An entry is a folder `category/name-DIGEST`. The digest is of its key, which contains everything
that its content depends on and no path of this machine; an entry may therefore be copied to another
cache folder. It is built in a temporary folder beside it, under a lock that other processes wait
for. The manifest, with the key and the SHA-256 of each file, is written last, and the folder is
then renamed. On each use the files are compared with the manifest, and their owner and permissions
are checked, see `file_trust`. An incomplete or damaged entry is built again and never loaded.

Using an intact entry writes nothing but its time of last use, the modification time of its
manifest. If the user may only read the cache, missing entries are built in the user's own cache
folder.
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
from kkspdnn.pk.build.file_trust import CACHE_VARIABLE, check_private, check_trusted
from kkspdnn.pk.system.paths import unsupported_path
from kkspdnn.pk.system.progress_log import log_progress
from kkspdnn.pk.system.termination import exit_on_signals

MANIFEST = "manifest.json"
BUILDS_LOCK = ".builds.lock"
"""A file in the cache folder. Each build holds its shared lock, as a build reads other entries; the
removal of entries holds the exclusive lock."""
_USE_SECONDS = 3600.0
"""The minimum interval between two updates of an entry's time of last use."""

Key = Mapping[str, str]


@dataclass(frozen=True)
class Cache:
    """A cache folder, which is created on the first write.

    fallback: the folder for missing entries if `root` is read-only, or None
    """

    root: Path
    fallback: Path | None = None

    def get_or_build(
        self, category: str, name: str, key: Key, build: Callable[[Path], None]
    ) -> Path:
        """Return the entry `category/name-DIGEST`; if it is not intact, build it first.

        Raises CacheError if the folder cannot be used, and the errors of `build`; no files remain
        then.

        key: everything that the content depends on; build: writes the files into an empty folder
        """
        intact = self.find(category, name, key)
        if intact is not None:
            return intact
        root = self._writable_root(category)
        entry = root / category / _folder_name(name, key)
        try:
            make_private_folder(entry.parent, root)
            with (
                exit_on_signals(),
                locks.shared(root / BUILDS_LOCK),
                locks.exclusive(_lock_of(entry), f"build {category}/{name}"),
            ):
                if not is_intact(entry, key):
                    _build_entry(entry, key, build)
        except OSError as error:
            if isinstance(error, CacheError):
                raise
            raise CacheError(
                f"cannot write to the cache {root}: {error.strerror or error}; "
                f"set {CACHE_VARIABLE} to a folder of your own"
            ) from error
        return entry

    def find(self, category: str, name: str, key: Key) -> Path | None:
        """Return the intact entry with this key and mark it as used now; None if there is none.

        Raises CacheError if others may write to it.
        """
        for folder in self._folders(category):
            entry = folder / _folder_name(name, key)
            if is_intact(entry, key):
                mark_used(entry)
                return entry
        return None

    def keys(self, category: str, name: str) -> Iterator[dict[str, str]]:
        """Yield the keys of all entries with this name, also of damaged ones."""
        for folder in self._folders(category):
            for entry in sorted(folder.glob(f"{name}-*")):
                key = read_key(entry)
                if key is not None and entry.name == _folder_name(name, key):
                    yield key

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders that are searched for entries."""
        return (self.root,) if self.fallback is None else (self.root, self.fallback)

    def _folders(self, category: str) -> Iterator[Path]:
        """Yield the folders of a category; raise CacheError if others may write to `root`."""
        if _has_trusted_folder(self.root, category):
            yield self.root / category
        # Errors of the fallback folder are raised only when something is built there.
        with suppress(CacheError):
            if self.fallback is not None and _has_trusted_folder(self.fallback, category):
                yield self.fallback / category

    def _writable_root(self, category: str) -> Path:
        """Return the folder in which to build entries of a category."""
        if self.fallback is None or _can_write(self.root / category):
            return self.root
        _log_once(f"the cache {self.root} is read-only; building in {self.fallback}")
        check_trusted(self.fallback)
        return self.fallback


def default_cache() -> Cache:
    """Return the cache in `KKSPDNN_CACHE`, else in the user's cache folder (XDG on Linux).

    Raises CacheError if `~name` in the variable names no user, or if the build tools do not support
    the path.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    own = user_cache_path("kkspdnn").absolute()
    try:
        root = Path(chosen).expanduser() if chosen else own
    except RuntimeError as error:  # ~name of a user that does not exist
        raise CacheError(
            f"{CACHE_VARIABLE}={chosen}: {error}; name a folder of your own"
        ) from error
    root = root.absolute()
    problem = unsupported_path(root)
    if problem is not None:
        raise CacheError(f"the cache {problem}; set {CACHE_VARIABLE} to another folder")
    read_only = root != own and root.is_dir() and not os.access(root, os.W_OK | os.X_OK)
    return Cache(root, own if read_only and unsupported_path(own) is None else None)


def is_intact(entry: Path, key: Key) -> bool:
    """Return whether a folder is the entry for `key` and has exactly the files of its manifest.

    Raises CacheError if others may write to one of them.
    """
    try:
        if entry.is_symlink():
            return False
        check_private(entry, entry.lstat())
        names = set(_list_files(entry))
        manifest = json.loads((entry / MANIFEST).read_bytes())
        files = manifest["files"]
        return (
            manifest["key"] == dict(key)
            and bool(files)
            and names == {*files, MANIFEST}
            and all(_digest(entry / name) == digest for name, digest in files.items())
        )
    except CacheError:
        raise
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def read_key(entry: Path) -> dict[str, str] | None:
    """Return the key in the manifest of an entry; None if it cannot be read."""
    try:
        key = json.loads((entry / MANIFEST).read_bytes())["key"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return key if isinstance(key, dict) else None


def mark_used(entry: Path) -> None:
    """Set the time of last use of an entry, unless it is less than an hour ago or read-only."""
    manifest = entry / MANIFEST
    with suppress(OSError):
        if abs(time() - manifest.stat().st_mtime) > _USE_SECONDS:
            os.utime(manifest)


def remove_entry(entry: Path) -> bool:
    """Remove an entry or a file and return True; return False if another process builds it.

    Raises OSError if it cannot be removed. Processes that have loaded its files can still use them.
    """
    with locks.try_exclusive(_lock_of(entry)) as acquired:
        if acquired:
            _delete(entry)
        return acquired


@cache
def _log_once(text: str) -> None:
    log_progress(text)


def _folder_name(name: str, key: Key) -> str:
    text = json.dumps(dict(key), sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _lock_of(entry: Path) -> Path:
    return entry.with_name(f"{entry.name}.lock")


def _has_trusted_folder(root: Path, category: str) -> bool:
    """Return whether the folder of a category exists.

    Raises CacheError if others may write to it or to `root`.
    """
    check_trusted(root)
    folder = root / category
    try:
        status = folder.lstat()
    except OSError:
        return False
    if stat.S_ISLNK(status.st_mode):
        raise CacheError(
            f"{folder} is a symbolic link; remove it, or set {CACHE_VARIABLE} to another folder"
        )
    check_private(folder, status)
    return True


def _can_write(folder: Path) -> bool:
    """Return whether this folder can be written to, or created if it is missing."""
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK | os.X_OK)


def _list_files(entry: Path) -> Iterator[str]:
    """Yield the relative names of all files and symbolic links in an entry.

    Raises CacheError if others may write to a file or folder, and ValueError for a symbolic link
    to a path outside the entry.
    """
    folders = [entry]
    while folders:
        with os.scandir(folders.pop()) as items:
            for item in items:
                path, status = Path(item.path), item.stat(follow_symlinks=False)
                if item.is_symlink():
                    target = os.path.normpath(path.parent / os.readlink(path))
                    if not Path(target).is_relative_to(entry):
                        raise ValueError(f"{path} leads out of the entry")
                else:
                    check_private(path, status)
                if item.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif not item.name.startswith(".nfs"):  # removed, but open in a process
                    yield str(path.relative_to(entry))


def make_private_folder(folder: Path, root: Path) -> None:
    """Create a folder, and those above it, that only its owner may write to, whatever the umask.

    Below `root`, the users who may read `root` may read it; elsewhere only its owner may.
    """
    if not folder.is_dir():
        make_private_folder(folder.parent, root)
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder != root and folder.is_relative_to(root):
            folder.chmod(0o700 | _read_bits(root))


def _read_bits(folder: Path) -> int:
    """Return the permission bits with which group and others may read a folder."""
    return stat.S_IMODE(folder.stat().st_mode) & 0o055


def _build_entry(entry: Path, key: Key, build: Callable[[Path], None]) -> None:
    """Build an entry in a temporary folder, then rename it; the caller holds the lock.

    A temporary folder that already exists is therefore left from a killed process.
    """
    for leftover in entry.parent.glob(f".building-{entry.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".building-{entry.name}-", dir=entry.parent))
    try:
        build(temporary)
        _restrict_permissions(temporary, _read_bits(entry.parent))
        files = {name: _digest(temporary / name) for name in sorted(_list_files(temporary))}
        manifest = json.dumps({"key": dict(key), "files": files}, indent=1)
        (temporary / MANIFEST).write_text(manifest, encoding="ascii")
        (temporary / MANIFEST).chmod(0o600 | _read_bits(entry.parent) & 0o044)
        _delete(entry)
        os.rename(temporary, entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _restrict_permissions(root: Path, read_bits: int) -> None:
    """Let only the owner write to the files in a folder, whatever the umask of the build was.

    read_bits: the permission bits that group and others keep
    """
    for folder, _, names in os.walk(root):
        for path in (Path(folder), *(Path(folder) / name for name in names)):
            if not path.is_symlink():
                own = stat.S_IMODE(path.stat().st_mode) & 0o700
                path.chmod(own | (own >> 3 | own >> 6) & read_bits)


def _delete(entry: Path) -> None:
    """Delete an entry, or a file or symbolic link with its name."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or the target of a symbolic link."""
    if path.is_symlink():
        return f"-> {os.readlink(path)}"
    return hashlib.sha256(path.read_bytes()).hexdigest()
