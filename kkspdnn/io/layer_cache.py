"""
Parsed layers on disk, so that a text file is parsed once.

An entry is one file, `layers/layer-KEY` in the cache folder. KEY is a hash of the text file's
bytes, the layer's size and dtype, and the format of the entry; names and times of files do not
count. An entry ends with a hash of all its bytes, which is checked before anything else is read
from it. An entry that is missing, damaged or cannot be written only means that the text is parsed.

The folder has a size limit: the least recently used entries leave. Entries that this process has
used stay, so that a network larger than the limit does not replace its own layers in turns.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import CacheError, InputError
from kkspdnn.io.content_hash import ContentHash
from kkspdnn.model.matrices import Floats
from kkspdnn.model.network import Indices, index_dtype
from kkspdnn.pk.build.cache import default_cache, make_private
from kkspdnn.pk.build.file_trust import check_private, refuse_shared
from kkspdnn.units import GB

VARIABLE = "KKSPDNN_LAYER_CACHE_GB"
DEFAULT_GB = 4.0
_FORMAT = 1
_MAGIC = b"kkspdnn layer\n\0\0"
_HEAD = len(_MAGIC) + 32 + 3 * 8  # magic, key, and three int64: starts, edges, values
_HASH = 32  # hexadecimal digits at the end
_ALIGNED = 64  # bytes, to which every array is padded

Arrays = tuple[NDArray[np.int64], Indices, Floats]


@dataclass(frozen=True)
class LayerKey:
    """A layer of neurons x neurons in `dtype`; `text` is the hash of its file's bytes."""

    text: ContentHash
    neurons: int
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        """32 hexadecimal digits."""
        parts = {
            "format": _FORMAT,
            "byte order": sys.byteorder,
            "hash": self.text.name,
            "text": self.text.hexdigest(),
            "neurons": self.neurons,
            "dtype": self.dtype.name,
        }
        given = json.dumps(parts, sort_keys=True).encode()
        return hashlib.blake2b(given, digest_size=16).hexdigest()


class LayerCache:
    """The parsed layers in a folder of at most `limit` bytes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._used: set[str] = set()
        self._full = False
        self._size: int | None = None  # of the folder, once it has been looked at

    def load(self, key: LayerKey) -> Arrays | None:
        """`start`, `index` and `value` as they were stored; None where there is no whole entry."""
        path = self._path(key)
        try:
            with path.open("rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                check_private(path, status)
                data = np.empty(status.st_size, np.uint8)
                whole = file.readinto(data.data) == data.size
        except OSError:  # of the system, or because others may write to the entry
            return None
        found = _unpacked(data, key) if whole else None
        if found is not None:
            self._used.add(path.name)
            with suppress(OSError):  # a folder that can only be read
                os.utime(path)
        return found

    def store(self, key: LayerKey, arrays: Arrays) -> None:
        """Keep these arrays, where the folder can be written and has room for them."""
        if self._full:
            return
        data = _packed(key, arrays)
        path = self._path(key)
        try:
            make_private(self._folder, self._folder.parent)
            if not self._make_room(data.size):
                self._full = True
                return
            handle, name = tempfile.mkstemp(dir=self._folder, prefix=".writing-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data.data)
                os.replace(name, path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            self._full = True
            _log(f"{self._folder} cannot be written: {error.strerror or error}")
            return
        self._used.add(path.name)
        self._size = (self._size or 0) + data.size

    def _path(self, key: LayerKey) -> Path:
        return self._folder / f"layer-{key.name}"

    def _make_room(self, size: int) -> bool:
        """Whether there is room for `size` bytes, now or after the oldest entries have left."""
        if self._size is not None and self._size + size <= self._limit:
            return True
        entries = sorted(self._entries())
        total = sum(each for _, each, _ in entries)
        fixed = sum(each for _, each, path in entries if path.name in self._used)
        self._size = total
        if fixed + size > self._limit:
            return False
        for _, freed, path in entries:
            if self._size + size <= self._limit:
                break
            if path.name not in self._used:
                path.unlink(missing_ok=True)
                self._size -= freed
        return True

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Time of the last use, size and path of every file, leftovers of killed writers too."""
        with os.scandir(self._folder) as found:
            for each in found:
                with suppress(FileNotFoundError):  # another process may take it away
                    status = each.stat(follow_symlinks=False)
                    yield status.st_mtime, status.st_size, Path(each.path)


def open_layer_cache(gigabytes: float | None = None) -> LayerCache | None:
    """
    The cache of parsed layers, in the folder `layers` of the cache folder.

    `gigabytes` (of 10^9 bytes) limits its size; None: KKSPDNN_LAYER_CACHE_GB, else 4. None where
    the limit is 0 or the cache folder cannot be trusted. InputError for a limit that is no number
    from 0.
    """
    given, name = os.environ.get(VARIABLE), f"{VARIABLE}="
    try:
        limit = float(given) if given and gigabytes is None else gigabytes
    except ValueError:
        limit = math.nan
    if gigabytes is not None:
        given, name = f"{gigabytes:g}", "layer cache "
    limit = DEFAULT_GB if limit is None else limit
    if not (math.isfinite(limit) and limit >= 0):
        raise InputError(f"{name}{given}: give its size in gigabytes, or 0 for no cache of layers")
    if limit == 0:
        return None
    try:
        root = default_cache().root
        refuse_shared(root)
        if (root / "layers").exists():
            refuse_shared(root / "layers")
    except CacheError as error:
        _log(str(error))
        return None
    return LayerCache(root / "layers", int(limit * GB))


def _log(reason: str) -> None:
    logging.getLogger("kkspdnn").info("parsed layers are not kept: %s", reason)


def _packed(key: LayerKey, arrays: Arrays) -> NDArray[np.uint8]:
    """The bytes of an entry."""
    start, index, value = arrays
    counts = np.array([start.size, index.size, value.size], np.int64)
    head = _MAGIC + key.name.encode("ascii") + counts.tobytes()
    assert len(head) == _HEAD
    places, end = _offsets([array.nbytes for array in arrays])
    data = np.zeros(end + _HASH, np.uint8)
    data[:_HEAD] = np.frombuffer(head, np.uint8)
    for place, array in zip(places, arrays, strict=True):
        data[place : place + array.nbytes] = np.ascontiguousarray(array).view(np.uint8)
    data[end:] = np.frombuffer(_hash_of(data[:end], key), np.uint8)
    return data


def _unpacked(data: NDArray[np.uint8], key: LayerKey) -> Arrays | None:
    """The arrays of an entry, or None where a byte of it is not what was stored."""
    end = data.size - _HASH
    if end < _HEAD or data[end:].tobytes() != _hash_of(data[:end], key):
        return None
    head = data[:_HEAD].tobytes()
    if not head.startswith(_MAGIC + key.name.encode("ascii")):
        return None
    counts = np.frombuffer(head[-24:], np.int64).tolist()
    kinds = (np.dtype(np.int64), index_dtype(key.neurons), key.dtype)
    sizes = [count * kind.itemsize for count, kind in zip(counts, kinds, strict=True)]
    places, needed = _offsets(sizes)
    if min(counts) < 0 or needed != end:
        return None
    start, index, value = (
        data[place : place + size].view(kind)
        for place, size, kind in zip(places, sizes, kinds, strict=True)
    )
    return start, index, value


def _offsets(sizes: list[int]) -> tuple[list[int], int]:
    """Where arrays of these sizes begin, and where the last one's padding ends."""
    places, place = [], -(-_HEAD // _ALIGNED) * _ALIGNED
    for size in sizes:
        places.append(place)
        place += -(-size // _ALIGNED) * _ALIGNED
    return places, place


def _hash_of(data: NDArray[np.uint8], key: LayerKey) -> bytes:
    # by the algorithm of the key: a small text needs no compiler, however many neurons it has
    content = key.text.fresh()
    content.update(data.data)
    return content.hexdigest().encode("ascii")
