"""
What a line of a triples file may be, and how NumPy reads such lines.

A line is two integers and a finite real number, a TAB after each integer, and LF or CR LF at the
end:

    integer   [+-]?[0-9]+, and in the range that the column allows
    real      [+-]?([0-9]+(.[0-9]*)?|.[0-9]+)([eE][+-]?[0-9]+)?, and finite in the column's dtype

A real number is rounded once, to the nearest float32 or float64. There are no spaces, no quotes, no
comments and no blank lines. The compiled parser (`kkspdnn.io.tsv_parser`) accepts the same lines.
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

# Every part is linear in the length of the line: a digit belongs to one repetition only.
_INTEGER = rb"[+-]?[0-9]+"
_REAL = rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_BAD_LINE = re.compile(rb"^(?!%b\t%b\t%b\r?\n)(?=[\s\S])" % (_INTEGER, _INTEGER, _REAL), re.M)
_IS_INTEGER, _IS_REAL = re.compile(_INTEGER), re.compile(_REAL)
_IS_INFINITE = re.compile(rb"[+-]?(?:nan|inf|infinity)", re.I)
_SHOWN = 40


@dataclass(frozen=True)
class Form:
    """
    What a file holds: the names of its columns, the largest integers (from 1), the reals' dtype.
    """

    names: tuple[str, str, str]
    most: tuple[int, int]
    dtype: DTypeLike = np.float32


def parse_lines(text: bytes, most: tuple[int, int], dtype: np.dtype[Any]) -> tuple[Triples, int]:
    """
    The three columns of the lines before the first bad one, and the number of these lines.

    `text` is whole lines, each with its LF. `most` are the largest integers, below 2^31. `dtype` is
    float32 or float64.
    """
    bad = _BAD_LINE.search(text)
    good = text[: bad.start()] if bad else text
    # float64 holds every integer in range exactly; a larger one stays out of range
    numbers = np.fromstring(good, np.float64, sep=" ") if good else np.empty(0)
    first, second, wide = numbers.reshape(-1, 3).T
    value = _narrowed(wide, good, dtype)
    sound = (first >= 1) & (first <= most[0]) & (second >= 1) & (second <= most[1])
    sound &= np.isfinite(value)
    count = first.size if sound.all() else int(np.argmin(sound))
    columns = (first[:count].astype(np.int32), second[:count].astype(np.int32), value[:count])
    return columns, count


def line_fault(line: bytes, form: Form) -> str | None:
    """What is wrong with a line (without its LF), or None for a good line."""
    fields = line.removesuffix(b"\r").split(b"\t")
    if len(fields) != 3:
        count = len(fields) if line.removesuffix(b"\r") else 0
        return f"{count} columns; 3 are needed: {columns(form)}"
    for field, name, most in zip(fields[:2], form.names[:2], form.most, strict=True):
        if not _IS_INTEGER.fullmatch(field):
            return f"{name} {_shown(field)} is not a whole number"
        digits = field.lstrip(b"+-").lstrip(b"0")
        if field.startswith(b"-") or len(digits) > 10 or not 1 <= int(digits or b"0") <= most:
            return f"{name} {_shown(field)} is outside 1..{most}"
    name, field = form.names[2], fields[2]
    if not _IS_REAL.fullmatch(field):
        kind = "finite" if _IS_INFINITE.fullmatch(field) else "a number"
        return f"{name} {_shown(field)} is not {kind}"
    dtype = float_dtype(form.dtype)
    (value,) = _narrowed(np.array([float(field)]), b"1\t1\t" + field + b"\n", dtype)
    return None if np.isfinite(value) else f"{name} {_shown(field)} is too large for {dtype}"


def columns(form: Form) -> str:
    """The names of the columns, as a line has them."""
    return " TAB ".join(form.names)


def spell_lines(first: NDArray[np.int64], second: NDArray[np.int64], value: Floats | None) -> bytes:
    """Lines of these columns; 1 in the third where `value` is None, else its shortest digits."""
    if value is None:
        texts: Sequence[str] = ["1"] * first.size
    else:
        # repr of a float64 with the digits of the float32: the same digits, one way to spell them
        different, place = np.unique(value.view(f"u{value.itemsize}"), return_inverse=True)
        reals = different.view(value.dtype)
        spelled = [repr(float(str(each))) for each in reals]
        texts = [spelled[each] for each in place.tolist()]
    lines = zip(first.tolist(), second.tolist(), texts, strict=True)
    return "".join([f"{a}\t{b}\t{text}\n" for a, b, text in lines]).encode()


def _narrowed(wide: NDArray[np.float64], text: bytes, dtype: np.dtype[Any]) -> Floats:
    """
    The third column of `text`, of which `wide` is the nearest float64, as the nearest `dtype`.

    Rounding the decimal number to float64 and that to float32 may give the wrong neighbour where
    the float64 lies halfway between two float32; there the decimal number decides.
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
    """As float64; infinity is the number after the largest, 2^128, which rounding sees there."""
    wide = narrow.astype(np.float64)
    return np.where(np.isinf(wide), np.copysign(2.0**128, wide), wide)


def _shown(field: bytes) -> str:
    text = field.decode("utf-8", "replace")
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")
