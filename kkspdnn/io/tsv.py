"""
Tab-separated triples, plain or gzipped, read fast and checked whole.

The text is read in blocks of whole lines. Every message about a line says `file:line`.
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
from kkspdnn.io.tsv_lines import Form, columns, line_fault
from kkspdnn.io.tsv_parser import parse_triples, spell_triples
from kkspdnn.model.matrices import Floats, float_dtype

BLOCK_BYTES = 1 << 22  # larger ones leave the caches
LONGEST_LINE = BLOCK_BYTES  # not less: what one line is must not depend on where blocks end
INT32_MAX = 2**31 - 1
_WRITE_LINES = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive lines: `line` is the number of the first; indices are from 1, as in the file."""

    line: int
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    value: Floats


def read_blocks(path: Path, form: Form, content: ContentHash | None = None) -> Iterator[Block]:
    """
    The lines of a file, block by block, in file order; `tsv_lines` says what a line may be.

    `content` is fed with the bytes of the file, compressed where it is. A byte order mark at the
    start and a last line without a line end are accepted. InputError with `file:line` for any other
    line, cut off or corrupt gzip data, and a file without lines.
    """
    dtype, empty = float_dtype(form.dtype), True
    for line, lines, text in _texts(path, content):
        empty = False
        triples, good = parse_triples(text, lines, form.most, dtype)
        if good < lines:
            what = line_fault(text.split(b"\n", good + 1)[good], form)
            assert what is not None, f"{path}:{line + good}: refused without a reason"
            raise InputError(f"{path}:{line + good}: {what}")
        yield Block(line, *triples)
    if empty:
        raise InputError(f"{path}: the file is empty; lines of {columns(form)} are needed")


def write_triples(
    path: Path, first: NDArray[Any], second: NDArray[Any], value: Floats | None
) -> None:
    """
    Write lines `first TAB second TAB value` (1 where None), gzipped where `path` ends in .gz.

    Floats are written with the fewest digits that read back as the same number of their type.
    """
    with replace_file(path) as file, _deflating(file, path.suffix == ".gz") as target:
        for begin in range(0, first.size, _WRITE_LINES):
            part = slice(begin, begin + _WRITE_LINES)
            values = None if value is None else value[part]
            target.write(spell_triples(first[part], second[part], values))


def _deflating(file: BinaryIO, compress: bool) -> AbstractContextManager[BinaryIO]:
    if not compress:
        return nullcontext(file)
    # no name and no time inside: the same lines make the same file
    return cast(BinaryIO, gzip.GzipFile("", "wb", 6, file, mtime=0))


@contextmanager
def open_text(path: Path, content: ContentHash | None = None) -> Iterator[BinaryIO]:
    """
    A plain or gzipped file (told by its first two bytes), open for reading its text as bytes.

    `content` is fed with the bytes of the file as they are read. InputError where the file cannot
    be opened.
    """
    try:
        file = path.open("rb")
        try:
            magic = file.peek(2)[:2]
        except BaseException:
            file.close()
            raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    with file:
        source: Any = file if content is None else HashedReader(file, content)
        yield (
            cast(BinaryIO, gzip.GzipFile("", "rb", fileobj=source))
            if (magic == _GZIP_MAGIC)
            else source
        )


def unreadable(path: Path, error: Exception) -> InputError:
    """The InputError for an error while reading the file, with the line that it ends in."""
    line = 1
    with suppress(OSError, EOFError, zlib.error), open_text(path) as file:
        # line by line: a larger read would lose the last lines together with the error
        while piece := file.readline(LONGEST_LINE):
            line += piece.endswith(b"\n")
    if isinstance(error, EOFError):
        return InputError(f"{path}:{line}: the gzip data is cut off here; fetch the file again")
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        return InputError(f"{path}:{line}: the gzip data is corrupt: {error}; fetch the file again")
    return InputError(f"{path}:{line}: cannot be read: {error}")


def _texts(path: Path, content: ContentHash | None) -> Iterator[tuple[int, int, bytes]]:
    """Blocks of whole lines: the number of the first, how many there are, the text with its LFs."""
    line, rest = 1, b""
    with open_text(path, content) as file:
        while True:
            try:
                read = file.read(BLOCK_BYTES)
            except (OSError, EOFError, zlib.error) as error:
                raise unreadable(path, error) from error
            end = read.rfind(b"\n") + 1
            first_end = read.find(b"\n") if end else len(read)
            if len(rest) + first_end > LONGEST_LINE:
                raise InputError(
                    f"{path}:{line}: more than {LONGEST_LINE} bytes without a line end"
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
                # four times as fast as bytes.count
                lines = int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))
                yield line, lines, text
                line += lines
            if not read:
                return
