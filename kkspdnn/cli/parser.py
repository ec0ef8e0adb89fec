"""The argument parser of all commands, and types of arguments."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from kkspdnn.units import GB

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, as all commands do.

    quiet: report nothing
    """

    quiet = False

    def refuse_unknown(self, argv: Sequence[str]) -> None:
        """Report an unknown option by its name; argparse would report its value instead."""
        for word in argv:
            name = word.partition("=")[0]
            if name.startswith("--") and name not in self._option_string_actions:
                self.error(f"unknown option {name}")

    def _print_message(self, message: str, file: Any = None) -> None:
        if not self.quiet:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"kkspdnn: {message}; see {self.prog} --help\n")


def nonnegative_int(text: str, minimum: int = 0) -> int:
    """Convert a whole number from `minimum` on, for argparse."""
    # int() also accepts signs, spaces, underscores and the digits of other scripts.
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) >= minimum):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {minimum}")
    return int(text)


def positive_int(text: str) -> int:
    """Convert a whole number from 1 on, for argparse."""
    return nonnegative_int(text, 1)


def file_path(text: str) -> Path:
    """Convert the path of a file or folder, for argparse."""
    # Path("") is the current folder, which an unset shell variable must not select.
    if not text:
        raise argparse.ArgumentTypeError("an empty name; give a path, or . for the current folder")
    return Path(text)


def positive_gigabytes(text: str) -> float:
    """Convert a number of gigabytes above 0, for argparse."""
    if not _DECIMAL.fullmatch(text) or float(text) * GB < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of gigabytes above 0")
    return float(text)


def nonnegative_gigabytes(text: str) -> float:
    """Convert a number of gigabytes from 0 on, for argparse."""
    if not _DECIMAL.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of gigabytes from 0")
    return float(text)
