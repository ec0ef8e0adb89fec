"""
A 128-bit hash of the content of files, several times faster to compute than parsing their text.

It distinguishes files and detects damage. It is not cryptographic: a file can be made to collide.
"""

from __future__ import annotations

import ctypes
import hashlib
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from kkspdnn.io.tsv_parser import compiled_library

_BLOCK = 32
_READ_BYTES = 1 << 20  # fits into the caches of the processor


class ContentHash(Protocol):
    """A hash that is updated chunk by chunk."""

    name: str
    """The name of the algorithm. Hashes of different algorithms cannot be compared."""

    def update(self, data: bytes | memoryview) -> None:
        """Update the hash with the next chunk, of any length."""

    def hexdigest(self) -> str:
        """The hash of all chunks so far, as 32 hexadecimal digits."""

    def new(self) -> ContentHash:
        """A new hash of the same algorithm."""


def content_hash(size: int) -> ContentHash:
    """A new hash for a content of about `size` bytes: compiled XXH64 with two seeds, or BLAKE2b."""
    library = compiled_library(size)
    return _Blake2() if library is None else _Xxh64(library)


def hash_file(path: Path) -> ContentHash:
    """The hash of the bytes of a file. OSError if it cannot be read."""
    with path.open("rb", buffering=0) as file:
        content = content_hash(path.stat().st_size)
        buffer = bytearray(_READ_BYTES)
        while size := file.readinto(buffer):
            content.update(memoryview(buffer)[:size])
    return content


class HashedReader:
    """A reader of a file that updates a hash with all bytes that are read."""

    def __init__(self, file: BinaryIO, content: ContentHash) -> None:
        self._file, self._content = file, content

    def read(self, size: int = -1) -> bytes:
        """Read as `read` of a binary file."""
        data = self._file.read(size)
        self._content.update(data)
        return data


class _Blake2:
    name = "blake2b-128"

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def update(self, data: bytes | memoryview) -> None:
        self._hash.update(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    def new(self) -> ContentHash:
        return _Blake2()


class _Xxh64:
    name = "xxh64-twice"

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library, self._state = library, (ctypes.c_uint64 * 8)()
        self._total, self._pending = 0, b""  # bytes of an incomplete block
        library.kkspdnn_hash_start(self._state)

    def update(self, data: bytes | memoryview) -> None:
        self._total += len(data)
        if self._pending:
            data = self._pending + bytes(data)
        blocks = len(data) // _BLOCK
        array = np.frombuffer(data, np.uint8)
        pointer = ctypes.c_void_p(array.ctypes.data)
        self._library.kkspdnn_hash_blocks(self._state, pointer, ctypes.c_int64(blocks))
        self._pending = bytes(data[blocks * _BLOCK :])

    def hexdigest(self) -> str:
        hashes = (ctypes.c_uint64 * 2)()
        total, pending = ctypes.c_int64(self._total), ctypes.c_int64(len(self._pending))
        self._library.kkspdnn_hash_end(self._state, total, self._pending, pending, hashes)
        return "".join(f"{half:016x}" for half in hashes)

    def new(self) -> ContentHash:
        return _Xxh64(self._library)
