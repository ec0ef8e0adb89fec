"""Runs a command line that must fail with a one-line error."""

from __future__ import annotations

import pytest

from kkspdnn.cli import main


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return the one-line error of `kkspdnn WORDS`, which must exit with code 2."""
    try:
        code: object = main.main(words)
    except SystemExit as error:
        code = error.code
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.startswith("kkspdnn: ")
    assert printed.err.count("\n") == 1
    return printed.err
