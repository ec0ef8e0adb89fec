"""A command line that is refused."""

from __future__ import annotations

import pytest

from kkspdnn.cli import main


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line on standard error with which `kkspdnn WORDS` ends, with exit code 2."""
    try:
        code: object = main.main(words)
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.startswith("kkspdnn: ")
    assert said.err.count("\n") == 1
    return said.err
