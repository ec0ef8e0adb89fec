"""Files that end with a SHA-256 of all their bytes, so that damage is seen before they are used."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any, BinaryIO

_MARK = b"\nkkspdnn sha256 "
_LENGTH = len(_MARK) + 64
_CHUNK = 1 << 20


class _Hashing(io.RawIOBase):
    """A file that is written from its begin to its end, and what its bytes add up to."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._place = file, 0
        self.hash = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.hash.update(data)
        self._file.write(data)
        self._place += size
        return size

    def tell(self) -> int:
        return self._place


def write_with_checksum(file: BinaryIO, write: Callable[[Any], object]) -> None:
    """
    Write what `write` writes to the file that it is given, and then a SHA-256 of that.

    The file cannot be read or sought in. A zip archive remains one: readers look for its directory
    from the end, and pass over what follows.
    """
    hashing = _Hashing(file)
    write(hashing)
    file.write(_MARK + hashing.hash.hexdigest().encode())


def verify_checksum(file: BinaryIO) -> None:
    """
    Raise ValueError unless a file, from its begin on, is as `write_with_checksum` wrote it.

    The file is at its begin again then. Nothing is held in memory.
    """
    length = file.seek(0, 2) - _LENGTH
    if length < 0:
        raise ValueError("cut off")
    made, left = hashlib.sha256(), length
    file.seek(0)
    while left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            raise ValueError("cut off")
        made.update(chunk)
        left -= len(chunk)
    if file.read() != _MARK + made.hexdigest().encode():
        raise ValueError("its bytes are not those that were written")
    file.seek(0)
