"""The command line: finds the command, and runs it.

Parsing imports no large module; the modules of a command are imported after its options are
checked.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from kkspdnn.cli.commands import COMMANDS, DEFAULT, root_parser
from kkspdnn.cli.exit_codes import end_at_interrupt, exit_code_of, exit_code_of_rank
from kkspdnn.cli.logs import logs_on_stderr
from kkspdnn.errors import did_you_mean

if TYPE_CHECKING:
    from kkspdnn.parallel.launcher import Launch

_ROOT_OPTIONS = ("-h", "--help", "--version")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in _ROOT_OPTIONS:
        root_parser().parse_args(words[:1])
    is_named = bool(words) and not words[0].startswith("-")
    name, own_words = (words[0], words[1:]) if is_named else (DEFAULT, words)
    if name in COMMANDS and name != DEFAULT:
        command = COMMANDS[name]
        return _print_all(lambda: command.text(own_words))
    from kkspdnn.parallel.launcher import detect_launch

    started = detect_launch()
    quiet = started is not None and started.quiet
    from kkspdnn.cli.run_options import parser

    if name not in COMMANDS:
        if os.path.exists(name):
            parser(quiet).refuse_argument(name)
        root = root_parser()
        root.quiet = quiet
        root.error(f"unknown command {name!r}{did_you_mean(name, COMMANDS)}")
    arguments = parser(quiet).parse_args(own_words)
    return _run(arguments, shlex.join(["python", "-m", "kkspdnn", *words]), started)


def _run(arguments: argparse.Namespace, command: str, started: Launch | None) -> int:
    if started is not None and started.quiet:
        end_at_interrupt(quiet=True)
    from kkspdnn.cli.run import run
    from kkspdnn.parallel.ranks import Ranks

    _enable_garbage_collection()
    quiet = arguments.quiet or (started is not None and started.rank > 0)
    with logs_on_stderr(logging.WARNING if quiet else logging.INFO):
        if started is None:
            return exit_code_of(lambda: run(arguments, command, Ranks()))
        return exit_code_of_rank(started, lambda ranks: run(arguments, command, ranks))


def _enable_garbage_collection() -> None:
    """Enable the garbage collector if `python -m kkspdnn` disabled it for the imports.

    The objects that exist by then are excluded from collection.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _print_all(text: Callable[[], Iterable[str]]) -> int:
    """Print chunks of text as they are generated, and return the exit code."""
    _enable_garbage_collection()
    with logs_on_stderr(logging.INFO):
        return exit_code_of(lambda: _print(text()))


def _print(chunks: Iterable[str]) -> int:
    for chunk in chunks:
        print(chunk, end="", flush=True)
    return 0
