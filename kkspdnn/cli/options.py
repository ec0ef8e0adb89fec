"""What the command lines share: one-line mistakes, and numbers."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from kkspdnn.units import GB

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as for all other mistakes; where quiet, nothing at all."""

    quiet = False

    def refuse_unknown(self, given: Sequence[str]) -> None:
        """Name an unknown option; argparse would take its value for the command and blame that."""
        for word in given:
            name = word.partition("=")[0]
            if name.startswith("--") and name not in self._option_string_actions:
                self.error(f"unknown option {name}")

    def _print_message(self, message: str, file: Any = None) -> None:
        if not self.quiet:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"kkspdnn: {message}; see {self.prog} --help\n")


def whole(text: str, least: int = 0) -> int:
    """A whole number from `least` on, for argparse."""
    # int() would take signs, spaces, underscores and the digits of every script as well.
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) >= least):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
    return int(text)


def count(text: str) -> int:
    """A whole number from 1 on, for argparse."""
    return whole(text, 1)


def path(text: str) -> Path:
    """The name of a file or folder, for argparse."""
    # Path("") is the current folder: an unset variable of the shell must not mean that.
    if not text:
        raise argparse.ArgumentTypeError("an empty name; give the path, or . for this folder")
    return Path(text)


def gigabytes(text: str) -> float:
    """A number of gigabytes, for argparse."""
    if not _DECIMAL.fullmatch(text) or float(text) * GB < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of gigabytes above 0")
    return float(text)


def cache_gigabytes(text: str) -> float:
    """A number of gigabytes from 0 on, for argparse."""
    if not _DECIMAL.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of gigabytes from 0")
    return float(text)
