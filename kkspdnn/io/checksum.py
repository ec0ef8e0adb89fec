"""Files that end with a SHA-256 checksum of their content, to detect damage before use."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any, BinaryIO

_MARK = b"\nkkspdnn sha256 "
_LENGTH = len(_MARK) + 64
_CHUNK = 1 << 20


class _HashingWriter(io.RawIOBase):
    """A sequential writer that computes the SHA-256 of the bytes written."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._position = file, 0
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.hash.update(data)
        self._file.write(data)
        self._position += size
        return size

    def tell(self) -> int:
        return self._position


def write_with_checksum(file: BinaryIO, write: Callable[[Any], object]) -> None:
    """
    Call `write` with a writer to `file`, and append the SHA-256 of the bytes written.

    The writer supports neither reading nor seeking. A zip archive stays readable: readers search
    its directory from the end of the file and skip bytes after it.
    """
    writer = _HashingWriter(file)
    write(writer)
    file.write(_MARK + writer.hash.hexdigest().encode())


def verify_checksum(file: BinaryIO) -> None:
    """
    Raise ValueError unless `file` ends with the checksum of its content.

    Reads the file in chunks and returns with the position at its begin.
    """
    length = file.seek(0, 2) - _LENGTH
    if length < 0:
        raise ValueError("truncated")
    computed, remaining = hashlib.sha256(), length
    file.seek(0)
    while remaining:
        chunk = file.read(min(remaining, _CHUNK))
        if not chunk:
            raise ValueError("truncated")
        computed.update(chunk)
        remaining -= len(chunk)
    if file.read() != _MARK + computed.hexdigest().encode():
        raise ValueError("the checksum does not match the content")
    file.seek(0)
