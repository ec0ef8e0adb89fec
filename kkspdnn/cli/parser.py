"""The argument parser of all commands, and types of arguments."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from kkspdnn.errors import did_you_mean, printable
from kkspdnn.units import GB

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


class _HelpFormatter(argparse.HelpFormatter):
    """Keeps the line ends of descriptions and epilogs, and wraps each line that is not indented."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n".join(
            line if line.startswith(" ") else fill(line, width, indent)
            for line in text.splitlines()
        )


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, as all commands do.

    Options may not be abbreviated. An unknown option is reported by its name, with the option that
    is most like it.

    quiet: report nothing
    """

    quiet = False

    def __init__(self, *args: Any, examples: Sequence[str] = (), **options: Any) -> None:
        """examples: command lines, which the help shows at its end
        args, options: those of `argparse.ArgumentParser`
        """
        defaults = {"allow_abbrev": False, "formatter_class": _HelpFormatter}
        if examples:
            title = "example:" if len(examples) == 1 else "examples:"
            defaults["epilog"] = "\n".join([title, *(f"  {line}" for line in examples)])
        super().__init__(*args, **{**defaults, **options})
        self.examples = tuple(examples)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Convert the arguments as argparse does; see the class for the errors."""
        if args is not None and self._subparsers is None:
            self._refuse_unknown(args)
        arguments, extra = self.parse_known_args(args, namespace)
        for word in extra:
            if word.startswith("-") and word != "--":
                self.refuse_option(word)
        if extra:
            self.refuse_argument(extra[-1])
        return arguments

    def refuse_option(self, name: str) -> NoReturn:
        """Report an option that does not exist."""
        self.error(f"unknown option {name}{did_you_mean(name, self._option_string_actions)}")

    def refuse_argument(self, word: str) -> NoReturn:
        """Report an argument that no option or parameter takes."""
        self.error(f"unexpected argument {word!r}")

    def _refuse_unknown(self, argv: Sequence[str]) -> None:
        """Report an unknown option; argparse might report its value instead."""
        for word in argv:
            name = word.partition("=")[0]
            if name == "--":
                return
            if name.startswith("--") and name not in self._option_string_actions:
                self.refuse_option(name)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            choices = [str(each) for each in action.choices]
            close = did_you_mean(str(value), choices)
            message = f"invalid choice: {value!r}{close}; choose one of {', '.join(choices)}"
            raise argparse.ArgumentError(action, message)

    def _print_message(self, message: str, file: Any = None) -> None:
        if not self.quiet:
            super()._print_message(message, file)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"kkspdnn: {printable(message)}; see {self.prog} --help\n")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from kkspdnn.version import own_version

        print(f"kkspdnn {own_version()}")
        parser.exit()


def add_version_option(parser: Parser) -> None:
    """Add the option --version, which prints the version and exits."""
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")


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
