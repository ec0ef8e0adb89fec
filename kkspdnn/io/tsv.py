"""
Reader and writer of tab-separated triples, plain or gzipped.

A file is read in blocks of complete lines, and each line is checked. Messages about a line begin
with `file:line`.
"""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.io.atomic_write import replace_file
from kkspdnn.io.content_hash import ContentHash, HashedReader
from kkspdnn.io.tsv_lines import TripleFormat, column_names, line_error
from kkspdnn.io.tsv_parser import format_triples, parse_triples
from kkspdnn.model.matrices import Floats, float_dtype

BLOCK_BYTES = 1 << 22
"""Bytes of text to read at a time. Larger blocks do not fit into the processor's caches."""

MAX_LINE_BYTES = BLOCK_BYTES
"""At least BLOCK_BYTES, so that the lines that are accepted do not depend on the block bounds."""

INT32_MAX = 2**31 - 1
_WRITE_LINES = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, eq=False)
class Block:
    """The columns of consecutive lines. `line` is the number of the first; indices start at 1."""

    line: int
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    value: Floats


def read_blocks(
    path: Path, columns: TripleFormat, content: ContentHash | None = None
) -> Iterator[Block]:
    """
    The lines of a file in blocks, in the order of the file.

    content: updated with the bytes of the file, which are compressed if the file is

    `kkspdnn.io.tsv_lines` defines the format of a line. A byte order mark at the start and a last
    line without a line end are accepted. InputError with `file:line` for an invalid line, truncated
    or corrupt gzip data, and an empty file.
    """
    dtype, empty = float_dtype(columns.dtype), True
    for line, lines, text in _line_blocks(path, content):
        empty = False
        triples, valid = parse_triples(text, lines, columns.largest, dtype)
        if valid < lines:
            reason = line_error(text.split(b"\n", valid + 1)[valid], columns)
            assert reason is not None, f"{path}:{line + valid}: refused without a reason"
            raise InputError(f"{path}:{line + valid}: {reason}")
        yield Block(line, *triples)
    if empty:
        raise InputError(f"{path}: the file is empty; lines of {column_names(columns)} are needed")


def write_triples(
    path: Path, first: NDArray[Any], second: NDArray[Any], value: Floats | None
) -> None:
    """
    Write lines `first TAB second TAB value`, gzipped if `path` ends in .gz.

    value: None to write 1 in each line. Numbers are written with the fewest digits that are read
    back as the same number of their dtype
    """
    with replace_file(path) as file, _compressed(file, path.suffix == ".gz") as target:
        for begin in range(0, first.size, _WRITE_LINES):
            lines = slice(begin, begin + _WRITE_LINES)
            values = None if value is None else value[lines]
            target.write(format_triples(first[lines], second[lines], values))


def _compressed(file: BinaryIO, compress: bool) -> AbstractContextManager[BinaryIO]:
    if not compress:
        return nullcontext(file)
    # Without name and time in the header, the same lines give the same bytes.
    return cast(BinaryIO, gzip.GzipFile("", "wb", 6, file, mtime=0))


@contextmanager
def open_text(path: Path, content: ContentHash | None = None) -> Iterator[BinaryIO]:
    """
    Open a file and read its bytes, decompressed if its first two bytes are those of gzip.

    content: updated with the bytes of the file as they are read

    InputError if the file cannot be opened.
    """
    try:
        file = path.open("rb")
        try:
            magic = file.peek(2)[:2]
        except BaseException:
            file.close()
            raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    with file:
        source: Any = file if content is None else HashedReader(file, content)
        yield (
            cast(BinaryIO, gzip.GzipFile("", "rb", fileobj=source))
            if (magic == _GZIP_MAGIC)
            else source
        )


def read_error(path: Path, error: Exception) -> InputError:
    """The InputError for `error`, raised while reading `path`, with the line where it occurred."""
    line = 1
    with suppress(OSError, EOFError, zlib.error), open_text(path) as file:
        # Line by line, because a larger read would lose the lines before the error.
        while text := file.readline(MAX_LINE_BYTES):
            line += text.endswith(b"\n")
    if isinstance(error, EOFError):
        return InputError(
            f"{path}:{line}: the gzip data is truncated here; download the file again"
        )
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        return InputError(
            f"{path}:{line}: the gzip data is corrupt: {error}; download the file again"
        )
    return InputError(f"{path}:{line}: cannot be read: {error}")


def _line_blocks(path: Path, content: ContentHash | None) -> Iterator[tuple[int, int, bytes]]:
    """Blocks of complete lines: the number of the first, the number of lines, and the text."""
    line, rest = 1, b""
    with open_text(path, content) as file:
        while True:
            try:
                read = file.read(BLOCK_BYTES)
            except (OSError, EOFError, zlib.error) as error:
                raise read_error(path, error) from error
            end = read.rfind(b"\n") + 1
            first_end = read.find(b"\n") if end else len(read)
            if len(rest) + first_end > MAX_LINE_BYTES:
                raise InputError(
                    f"{path}:{line}: more than {MAX_LINE_BYTES} bytes without a line end"
                )
            if read and not end:
                rest += read
                continue
            text, rest = rest + read[:end], read[end:]
            if line == 1:
                text = text.removeprefix(BOM_UTF8)
            if text and not text.endswith(b"\n"):
                text += b"\n"
            if text:
                # Four times as fast as bytes.count.
                lines = int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))
                yield line, lines, text
                line += lines
            if not read:
                return
