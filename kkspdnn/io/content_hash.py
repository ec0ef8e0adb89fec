"""
A hash of a file's content, several times as fast as reading the text in it.

It tells files apart, and finds damage. It is no protection against a file made to collide.
"""

from __future__ import annotations

import ctypes
import hashlib
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np

from kkspdnn.io.tsv_parser import compiled_library

_BLOCK = 32
_READ_BYTES = 1 << 20  # stays in the caches of the processor until it is hashed


class ContentHash(Protocol):
    """A hash that is fed piece by piece."""

    name: str
    """Of the algorithm: two hashes can be compared where it is the same."""

    def update(self, data: bytes | memoryview) -> None:
        """Take in the next piece, of any length."""

    def hexdigest(self) -> str:
        """The hash of all pieces so far, as 32 hexadecimal digits."""

    def fresh(self) -> ContentHash:
        """A new hash by the same algorithm."""


def content_hash(size: int) -> ContentHash:
    """A new hash for a content of about `size` bytes: XXH64 twice, or BLAKE2 where not compiled."""
    library = compiled_library(size)
    return _Blake2() if library is None else _Xxh64(library)


def hash_file(path: Path) -> ContentHash:
    """The hash of a file's bytes; OSError where it cannot be read."""
    with path.open("rb", buffering=0) as file:
        content = content_hash(path.stat().st_size)
        piece = bytearray(_READ_BYTES)
        while read := file.readinto(piece):
            content.update(memoryview(piece)[:read])
    return content


class HashedReader:
    """Reads from a file and feeds a hash with every byte that is read."""

    def __init__(self, file: BinaryIO, content: ContentHash) -> None:
        self._file, self._content = file, content

    def read(self, size: int = -1) -> bytes:
        """As a file's `read`."""
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

    def fresh(self) -> ContentHash:
        return _Blake2()


class _Xxh64:
    name = "xxh64-twice"

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library, self._state = library, (ctypes.c_uint64 * 8)()
        self._total, self._rest = 0, b""
        library.kkspdnn_hash_start(self._state)

    def update(self, data: bytes | memoryview) -> None:
        self._total += len(data)
        if self._rest:
            data = self._rest + bytes(data)
        blocks = len(data) // _BLOCK
        array = np.frombuffer(data, np.uint8)
        pointer = ctypes.c_void_p(array.ctypes.data)
        self._library.kkspdnn_hash_blocks(self._state, pointer, ctypes.c_int64(blocks))
        self._rest = bytes(data[blocks * _BLOCK :])

    def hexdigest(self) -> str:
        found = (ctypes.c_uint64 * 2)()
        rest = (self._rest, ctypes.c_int64(len(self._rest)))
        self._library.kkspdnn_hash_end(self._state, ctypes.c_int64(self._total), *rest, found)
        return "".join(f"{each:016x}" for each in found)

    def fresh(self) -> ContentHash:
        return _Xxh64(self._library)
