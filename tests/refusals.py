"""Runs a command line that must fail with a one-line error."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from kkspdnn.cli import main


def refusal(
    capsys: pytest.CaptureFixture[str],
    *words: str,
    command: Callable[[Sequence[str]], int] = main.main,
    exit_code: int = 2,
) -> str:
    """Return the one-line error of a command, which must print nothing else.

    command: the command line's function, which runs in this process
    """
    try:
        code: object = command(words)
    except SystemExit as error:  # raised by argparse
        code = error.code
    printed = capsys.readouterr()
    assert code == exit_code, printed
    assert printed.out == ""
    assert printed.err.startswith("kkspdnn: ")
    assert printed.err.count("\n") == 1
    return printed.err
