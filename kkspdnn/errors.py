"""Exceptions for errors that the user can correct.

Each message is one line that says what is wrong, where (file:line, row, option) and what to do. The
command line prints the message and exits with code 2. Any other exception is a bug in kkspdnn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TypeGuard


class KkspdnnError(Exception):
    """Base class of all errors that the user can correct."""


class InputError(KkspdnnError, ValueError):
    """An invalid file, network, input or option.

    layer: the number of the layer at fault, from 1, which begins the text of the error; or None
    """

    def __init__(self, message: str, layer: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.layer = layer

    def __str__(self) -> str:
        return self.message if self.layer is None else f"layer {self.layer}: {self.message}"


class ToolchainError(KkspdnnError, RuntimeError):
    """A missing or unusable compiler, CMake or Kokkos, or a failed compilation."""


class SpaceError(KkspdnnError, RuntimeError):
    """An execution space that this machine or this Kokkos build does not support."""


class OutOfBoundsError(KkspdnnError, IndexError):
    """In debug mode: an index of a workunit that is outside its array."""


class IntegerDivisionError(KkspdnnError, ZeroDivisionError):
    """In debug mode: a division of integers by zero in a workunit, or one that overflows."""


class CacheError(KkspdnnError, OSError):
    """An unusable cache folder: not writable, or writable by other users."""


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is a whole number of Python or NumPy, and no bool."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_choice(option: str, value: object, choices: Sequence[str]) -> None:
    """Raise InputError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        close = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise InputError(
            f"{option} {short_repr(value)} is unknown{close}: choose one of {', '.join(choices)}"
        )


def short_repr(value: object) -> str:
    """The first 40 characters of `repr(value)` on one line, for an error message."""
    return " ".join(repr(value).split())[:40]


def first_line(error: Exception) -> str:
    """Return the first line of another library's error, or the name of its class if it is empty."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def printable(text: str) -> str:
    """Return the text of an error without escape sequences and control characters.

    They come from messages of other libraries and from names of files, and could change the
    terminal. Line ends and tabs stay.
    """
    import re
    import unicodedata

    without_sequences = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", text)
    return "".join(
        each for each in without_sequences if each in "\n\t" or unicodedata.category(each) != "Cc"
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean X?)` for the known word that is most like `word`, or no text."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
