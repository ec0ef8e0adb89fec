"""
The format of a line of a triples file, and a parser and a writer of such lines in NumPy.

A line is two integers and a finite real number, with a TAB after each integer and LF or CR LF at
the end:

    integer   [+-]?[0-9]+, within the range of the column
    real      [+-]?([0-9]+(.[0-9]*)?|.[0-9]+)([eE][+-]?[0-9]+)?, finite in the dtype of the column

A real number is rounded once, to the nearest float32 or float64. Spaces, quotes, comments and blank
lines are not allowed. The compiled parser (`kkspdnn.io.tsv_parser`) accepts the same lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kkspdnn.model.matrices import Floats, float_dtype

Triples = tuple[NDArray[np.int32], NDArray[np.int32], Floats]

# Matching takes linear time, because a digit can belong to one repetition only.
_INTEGER = rb"[+-]?[0-9]+"
_REAL = rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_BAD_LINE = re.compile(rb"^(?!%b\t%b\t%b\r?\n)(?=[\s\S])" % (_INTEGER, _INTEGER, _REAL), re.M)
_IS_INTEGER, _IS_REAL = re.compile(_INTEGER), re.compile(_REAL)
_IS_INFINITE = re.compile(rb"[+-]?(?:nan|inf|infinity)", re.I)
_MAX_SHOWN = 40
"""The maximum number of characters of a field in a message."""


@dataclass(frozen=True)
class TripleFormat:
    """
    The columns of a triples file.

    names: of the three columns, for messages
    largest: the largest value of each integer column, below 2^31; the smallest is 1
    dtype: of the third column, float32 or float64
    """

    names: tuple[str, str, str]
    largest: tuple[int, int]
    dtype: DTypeLike = np.float32


def parse_lines(text: bytes, largest: tuple[int, int], dtype: np.dtype[Any]) -> tuple[Triples, int]:
    """
    The three columns of the lines before the first invalid one, and the number of these lines.

    text: complete lines, each ending in LF
    largest, dtype: as in `TripleFormat`
    """
    bad = _BAD_LINE.search(text)
    good = text[: bad.start()] if bad else text
    # float64 represents each integer in range exactly, and larger ones stay out of range.
    numbers = np.fromstring(good, np.float64, sep=" ") if good else np.empty(0)
    first, second, wide = numbers.reshape(-1, 3).T
    value = _narrowed(wide, good, dtype)
    valid = (first >= 1) & (first <= largest[0]) & (second >= 1) & (second <= largest[1])
    valid &= np.isfinite(value)
    count = first.size if valid.all() else int(np.argmin(valid))
    columns = (first[:count].astype(np.int32), second[:count].astype(np.int32), value[:count])
    return columns, count


def line_error(line: bytes, columns: TripleFormat) -> str | None:
    """The error in a line (without its LF), as text for a message, or None for a valid line."""
    fields = line.removesuffix(b"\r").split(b"\t")
    if len(fields) != 3:
        count = len(fields) if line.removesuffix(b"\r") else 0
        return f"{count} columns; 3 are needed: {column_names(columns)}"
    for field, name, largest in zip(fields[:2], columns.names[:2], columns.largest, strict=True):
        if not _IS_INTEGER.fullmatch(field):
            return f"{name} {_shown(field)} is not a whole number"
        digits = field.lstrip(b"+-").lstrip(b"0")
        if field.startswith(b"-") or len(digits) > 10 or not 1 <= int(digits or b"0") <= largest:
            return f"{name} {_shown(field)} is outside 1..{largest}"
    name, field = columns.names[2], fields[2]
    if not _IS_REAL.fullmatch(field):
        expected = "finite" if _IS_INFINITE.fullmatch(field) else "a number"
        return f"{name} {_shown(field)} is not {expected}"
    dtype = float_dtype(columns.dtype)
    (value,) = _narrowed(np.array([float(field)]), b"1\t1\t" + field + b"\n", dtype)
    return None if np.isfinite(value) else f"{name} {_shown(field)} is too large for {dtype}"


def column_names(columns: TripleFormat) -> str:
    """The names of the columns in the order of a line, separated by TAB."""
    return " TAB ".join(columns.names)


def format_lines(
    first: NDArray[np.int64], second: NDArray[np.int64], value: Floats | None
) -> bytes:
    """Lines of these columns, each value with its shortest digits, or 1 if `value` is None."""
    if value is None:
        texts: Sequence[str] = ["1"] * first.size
    else:
        # repr of a Python float formats the digits of a float32 like those of a float64.
        unique_bits, indices = np.unique(value.view(f"u{value.itemsize}"), return_inverse=True)
        formatted = [repr(float(str(number))) for number in unique_bits.view(value.dtype)]
        texts = [formatted[index] for index in indices.tolist()]
    lines = zip(first.tolist(), second.tolist(), texts, strict=True)
    return "".join([f"{a}\t{b}\t{text}\n" for a, b, text in lines]).encode()


def _narrowed(wide: NDArray[np.float64], text: bytes, dtype: np.dtype[Any]) -> Floats:
    """
    The third column of `text`, rounded to the nearest `dtype`. `wide` is the nearest float64.

    Rounding twice, to float64 and then to float32, may give the wrong neighbour if the float64 lies
    halfway between two float32. In this case the decimal number decides.
    """
    if dtype == np.float64:
        return np.ascontiguousarray(wide)
    with np.errstate(over="ignore", under="ignore"):
        narrow = wide.astype(np.float32)
        back = _float64(narrow)
        towards = np.where(wide > back, np.float32(np.inf), np.float32(-np.inf))
        other = np.nextafter(narrow, towards)
    halfway = (wide != back) & ((back + _float64(other)) / 2 == wide)
    if halfway.any():
        lines = text.split(b"\n")
        for row in np.flatnonzero(halfway):
            exact = Decimal(lines[row].removesuffix(b"\r").split(b"\t")[2].decode("ascii"))
            if exact != Decimal(wide[row]):
                outer = max if exact > Decimal(wide[row]) else min
                narrow[row] = outer(narrow[row], other[row])
    return narrow


def _float64(narrow: NDArray[np.float32]) -> NDArray[np.float64]:
    """As float64, with 2^128 for infinity, the next number after the largest float32."""
    wide = narrow.astype(np.float64)
    return np.where(np.isinf(wide), np.copysign(2.0**128, wide), wide)


def _shown(field: bytes) -> str:
    text = field.decode("utf-8", "replace")
    return repr(text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "...")
