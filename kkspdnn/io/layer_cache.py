"""
The layer cache: parsed layers on disk, so that each text file is parsed once.

An entry is a file `layers/layer-KEY` in the cache folder. KEY is a hash of the bytes of the text
file, the size and dtype of the layer, and the format of the entry; names and times of files have no
effect. An entry ends with a hash of its other bytes, which is checked before the entry is used. If
an entry is missing or damaged, or cannot be written, the text is parsed.

The folder has a size limit. The least recently used entries are evicted, except those that this
process has used: a network larger than the limit would otherwise evict its own layers before they
are needed again.
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
from kkspdnn.model.layers import Indices, index_dtype
from kkspdnn.model.matrices import Floats
from kkspdnn.pk.build.cache import default_cache, make_private_folder
from kkspdnn.pk.build.file_trust import check_private, check_trusted
from kkspdnn.units import GB

SIZE_VARIABLE = "KKSPDNN_LAYER_CACHE_GB"
"""The environment variable with the size limit of the cache, in gigabytes."""

DEFAULT_GB = 4.0
_FORMAT = 1
_MAGIC = b"kkspdnn layer\n\0\0"
_HEADER_BYTES = len(_MAGIC) + 32 + 3 * 8  # magic, key, and the sizes of three arrays as int64
_HASH_BYTES = 32  # hexadecimal digits at the end
_ALIGNMENT = 64  # bytes, a multiple of which each array is padded to

Arrays = tuple[NDArray[np.int64], Indices, Floats]
"""`start`, `index` and `value` of a layer; `value` has one element if all weights are equal."""


@dataclass(frozen=True)
class LayerKey:
    """A layer of neurons x neurons in `dtype`. `text` is the hash of the bytes of its text file."""

    text: ContentHash
    neurons: int
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        """The key as 32 hexadecimal digits."""
        fields = {
            "format": _FORMAT,
            "byte order": sys.byteorder,
            "hash": self.text.name,
            "text": self.text.hexdigest(),
            "neurons": self.neurons,
            "dtype": self.dtype.name,
        }
        content = json.dumps(fields, sort_keys=True).encode()
        return hashlib.blake2b(content, digest_size=16).hexdigest()


class LayerCache:
    """Parsed layers in a folder of at most `limit` bytes."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._used: set[str] = set()
        self._closed = False  # whether to store no more layers
        self._size: int | None = None  # of the folder, once it has been measured

    def load(self, key: LayerKey) -> Arrays | None:
        """The arrays that were stored, or None if there is no valid entry."""
        path = self._path(key)
        try:
            with path.open("rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                check_private(path, status)
                data = np.empty(status.st_size, np.uint8)
                complete = file.readinto(data.data) == data.size
        except OSError:  # also raised by check_private if other users may write to the entry
            return None
        arrays = _decode(data, key) if complete else None
        if arrays is not None:
            self._used.add(path.name)
            with suppress(OSError):  # a read-only folder
                os.utime(path)
        return arrays

    def store(self, key: LayerKey, arrays: Arrays) -> None:
        """Store arrays, unless the folder cannot be written or has no space for them."""
        if self._closed:
            return
        data = _encode(key, arrays)
        path = self._path(key)
        try:
            make_private_folder(self._folder, self._folder.parent)
            if not self._evict_for(data.size):
                self._closed = True
                return
            descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".writing-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data.data)
                os.replace(name, path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            self._closed = True
            _log(f"{self._folder} cannot be written: {error.strerror or error}")
            return
        self._used.add(path.name)
        self._size = (self._size or 0) + data.size

    def _path(self, key: LayerKey) -> Path:
        return self._folder / f"layer-{key.name}"

    def _evict_for(self, size: int) -> bool:
        """Evict the oldest entries until `size` bytes fit. Returns whether they fit."""
        if self._size is not None and self._size + size <= self._limit:
            return True
        entries = sorted(self._entries())
        used = sum(entry_size for _, entry_size, path in entries if path.name in self._used)
        self._size = sum(entry_size for _, entry_size, _ in entries)
        if used + size > self._limit:
            return False
        for _, entry_size, path in entries:
            if self._size + size <= self._limit:
                break
            if path.name not in self._used:
                path.unlink(missing_ok=True)
                self._size -= entry_size
        return True

    def _entries(self) -> Iterator[tuple[float, int, Path]]:
        """Time of the last use, size and path of each file, including those of aborted writers."""
        with os.scandir(self._folder) as files:
            for file in files:
                with suppress(FileNotFoundError):  # another process may have removed it
                    status = file.stat(follow_symlinks=False)
                    yield status.st_mtime, status.st_size, Path(file.path)


def open_layer_cache(gigabytes: float | None = None) -> LayerCache | None:
    """
    The layer cache in the folder `layers` of the cache folder.

    gigabytes: the size limit in 10^9 bytes; None: KKSPDNN_LAYER_CACHE_GB, else 4

    Returns None if the limit is 0, or if other users may write to the cache folder. InputError
    unless the limit is a number from 0 on.
    """
    text, name = os.environ.get(SIZE_VARIABLE), f"{SIZE_VARIABLE}="
    try:
        limit = float(text) if text and gigabytes is None else gigabytes
    except ValueError:
        limit = math.nan
    if gigabytes is not None:
        text, name = f"{gigabytes:g}", "layer cache "
    limit = DEFAULT_GB if limit is None else limit
    if not (math.isfinite(limit) and limit >= 0):
        raise InputError(f"{name}{text}: give its size in gigabytes, or 0 for no cache of layers")
    if limit == 0:
        return None
    try:
        root = default_cache().root
        check_trusted(root)
        if (root / "layers").exists():
            check_trusted(root / "layers")
    except CacheError as error:
        _log(str(error))
        return None
    return LayerCache(root / "layers", int(limit * GB))


def _log(reason: str) -> None:
    logging.getLogger("kkspdnn").info("parsed layers are not kept: %s", reason)


def _encode(key: LayerKey, arrays: Arrays) -> NDArray[np.uint8]:
    """The bytes of an entry."""
    start, index, value = arrays
    counts = np.array([start.size, index.size, value.size], np.int64)
    header = _MAGIC + key.name.encode("ascii") + counts.tobytes()
    assert len(header) == _HEADER_BYTES
    offsets, end = _offsets([array.nbytes for array in arrays])
    data = np.zeros(end + _HASH_BYTES, np.uint8)
    data[:_HEADER_BYTES] = np.frombuffer(header, np.uint8)
    for offset, array in zip(offsets, arrays, strict=True):
        data[offset : offset + array.nbytes] = np.ascontiguousarray(array).view(np.uint8)
    data[end:] = np.frombuffer(_hash_of(data[:end], key), np.uint8)
    return data


def _decode(data: NDArray[np.uint8], key: LayerKey) -> Arrays | None:
    """The arrays of an entry, or None if a byte differs from those that were stored."""
    end = data.size - _HASH_BYTES
    if end < _HEADER_BYTES or data[end:].tobytes() != _hash_of(data[:end], key):
        return None
    header = data[:_HEADER_BYTES].tobytes()
    if not header.startswith(_MAGIC + key.name.encode("ascii")):
        return None
    counts = np.frombuffer(header[-24:], np.int64).tolist()
    dtypes = (np.dtype(np.int64), index_dtype(key.neurons), key.dtype)
    sizes = [count * dtype.itemsize for count, dtype in zip(counts, dtypes, strict=True)]
    offsets, needed = _offsets(sizes)
    if min(counts) < 0 or needed != end:
        return None
    start, index, value = (
        data[offset : offset + size].view(dtype)
        for offset, size, dtype in zip(offsets, sizes, dtypes, strict=True)
    )
    return start, index, value


def _offsets(sizes: list[int]) -> tuple[list[int], int]:
    """The offsets in an entry of arrays of these sizes, and the end of the last one's padding."""
    offsets, offset = [], -(-_HEADER_BYTES // _ALIGNMENT) * _ALIGNMENT
    for size in sizes:
        offsets.append(offset)
        offset += -(-size // _ALIGNMENT) * _ALIGNMENT
    return offsets, offset


def _hash_of(data: NDArray[np.uint8], key: LayerKey) -> bytes:
    # Use the algorithm of the key: the entry of a small text must not need a compiler.
    content = key.text.new()
    content.update(data.data)
    return content.hexdigest().encode("ascii")
