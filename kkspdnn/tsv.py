"""
Tab-separated triples, plain or gzipped, read fast and checked whole.

Blocks of whole lines are parsed by the compiled parser where every line is plain, else by Polars.
Whatever is wrong with a block, another, slow pass over that block alone finds the line, so that
every message says `file:line`.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import polars as pl
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError
from kkspdnn.files import replacing
from kkspdnn.matrices import Floats, float_dtype
from kkspdnn.triples import plain_triples

BLOCK_BYTES = 1 << 22  # larger ones leave the caches
INT32_MAX = 2**31 - 1
_WRITE_LINES = 1 << 22
_GZIP_MAGIC = b"\x1f\x8b"
_INTEGER = re.compile(rb"[+-]?[0-9]+")
_REAL = re.compile(
    rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(nan|inf(inity)?)", re.I
)


@dataclass(frozen=True)
class Form:
    """What a file holds: the names of its three columns, the largest indices (from 1), the type."""

    names: tuple[str, str, str]
    most: tuple[int, int]
    dtype: DTypeLike = np.float32


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive lines: `line` is the number of the first; indices are from 1, as in the file."""

    line: int
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    value: Floats


def read_blocks(path: Path, form: Form) -> Iterator[Block]:
    """
    The lines of a file, block by block, in file order; every line has exactly three numbers.

    InputError with `file:line` for another number of columns (a blank line too), what is no number,
    an index outside 1..most, a value that is not finite in the type, cut off or corrupt gzip data,
    and a file without lines.
    """
    empty = True
    for line, lines, text in _texts(path):
        empty = False
        yield _parsed(path, line, lines, text, form)
    if empty:
        raise InputError(f"{path}: the file is empty; lines of {_columns(form)} are needed")


def write_triples(
    path: Path, first: NDArray[Any], second: NDArray[Any], value: Floats | None
) -> None:
    """
    Write lines `first TAB second TAB value` (1 where None), gzipped where `path` ends in .gz.

    Floats are written with the fewest digits that read back as the same number of their type.
    """
    with replacing(path) as file, _deflating(file, path.suffix == ".gz") as target:
        for begin in range(0, first.size, _WRITE_LINES):
            part = slice(begin, begin + _WRITE_LINES)
            frame = pl.DataFrame({"first": first[part], "second": second[part]}).with_columns(
                value=pl.lit(1) if value is None else pl.Series(value[part])
            )
            target.write(frame.write_csv(separator="\t", include_header=False).encode())


def _deflating(file: BinaryIO, compress: bool) -> AbstractContextManager[BinaryIO]:
    if not compress:
        return nullcontext(file)
    # no name and no time inside: the same lines make the same file
    return cast(BinaryIO, gzip.GzipFile("", "wb", 6, file, mtime=0))


def open_text(path: Path) -> BinaryIO:
    """Open a plain or gzipped file (told by its first two bytes) for reading its text as bytes."""
    try:
        with path.open("rb") as file:
            magic = file.read(2)
        return cast(BinaryIO, gzip.open(path)) if magic == _GZIP_MAGIC else path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def unreadable(path: Path, error: Exception) -> InputError:
    """The InputError for an error while reading the file, with the line that it ends in."""
    line = 1
    with suppress(OSError, EOFError, zlib.error), open_text(path) as file:
        # line by line: a larger read would lose the last lines together with the error
        for _ in file:
            line += 1
    if isinstance(error, EOFError):
        return InputError(f"{path}:{line}: the gzip data is cut off here; fetch the file again")
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        return InputError(f"{path}:{line}: the gzip data is corrupt: {error}; fetch the file again")
    return InputError(f"{path}:{line}: cannot be read: {error}")


def _texts(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Blocks of whole lines: the number of the first, how many there are, the text."""
    line, rest = 1, b""
    with open_text(path) as file:
        while True:
            try:
                read = file.read(BLOCK_BYTES)
            except (OSError, EOFError, zlib.error) as error:
                raise unreadable(path, error) from error
            end = read.rfind(b"\n") + 1
            if read and not end and len(rest) + len(read) > BLOCK_BYTES:
                raise InputError(f"{path}:{line}: {BLOCK_BYTES} bytes without a line end")
            if read and not end:
                rest += read
                continue
            text, rest = rest + read[:end], read[end:]
            if text:
                # four times as fast as bytes.count
                ends = int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))
                lines = ends + (not text.endswith(b"\n"))
                yield line, lines, text
                line += lines
            if not read:
                return


def _parsed(path: Path, line: int, lines: int, text: bytes, form: Form) -> Block:
    dtype = float_dtype(form.dtype)
    columns = plain_triples(text, lines, form.most, dtype)
    if columns is not None:
        return Block(line, *columns)
    kind = pl.Float32 if dtype == np.float32 else pl.Float64
    schema = {form.names[0]: pl.Int32, form.names[1]: pl.Int32, form.names[2]: kind}
    try:
        frame = pl.read_csv(
            io.BytesIO(text), has_header=False, separator="\t", schema=schema, quote_char=None
        )
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise _fault(path, line, text, form, str(error).split("\n")[0]) from error
    sound = frame.height == lines and all(series.null_count() == 0 for series in frame)
    if sound:
        first, second, value = (series.to_numpy() for series in frame)
        inside = min(first.min(), second.min()) >= 1
        inside = inside and first.max() <= form.most[0] and second.max() <= form.most[1]
        if inside and bool(np.isfinite(value).all()):
            return Block(line=line, first=first, second=second, value=value)
    raise _fault(path, line, text, form, "not lines of three numbers")


def _fault(path: Path, line: int, text: bytes, form: Form, otherwise: str) -> InputError:
    """The error for the first bad line of a block that is known to have one."""
    lines = text.removesuffix(b"\n").split(b"\n")
    for number, each in enumerate(lines, start=line):
        what = _line_fault(each.removesuffix(b"\r"), form)
        if what:
            return InputError(f"{path}:{number}: {what}")
    return InputError(f"{path}:{line}: in this line or the {len(lines) - 1} after it: {otherwise}")


def _line_fault(line: bytes, form: Form) -> str | None:
    fields = line.split(b"\t")
    if len(fields) != 3:
        return f"{len(fields) if line else 0} columns; 3 are needed: {_columns(form)}"
    for field, name, most in zip(fields[:2], form.names[:2], form.most, strict=True):
        if not _INTEGER.fullmatch(field):
            return f"{name} {_shown(field)} is not a whole number"
        if len(field) > 20 or not 1 <= int(field) <= most:
            return f"{name} {_shown(field)} is outside 1..{most}"
    name, field = form.names[2], fields[2]
    if not _REAL.fullmatch(field):
        return f"{name} {_shown(field)} is not a number"
    number = float(field)
    if np.isfinite(number) and abs(number) > float(np.finfo(float_dtype(form.dtype)).max):
        return f"{name} {_shown(field)} is too large for {np.dtype(form.dtype)}"
    return None if np.isfinite(number) else f"{name} {_shown(field)} is not finite"


def _columns(form: Form) -> str:
    return " TAB ".join(form.names)


def _shown(field: bytes) -> str:
    text = field.decode("utf-8", "replace")
    return repr(text if len(text) <= 40 else text[:37] + "...")
