"""Text outputs: paths, and `-` for standard output."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from kkspdnn.cli.text_outputs import STANDARD_OUTPUT, check_output, output_path, write_output
from kkspdnn.errors import InputError


def test_a_dash_is_standard_output_and_no_other_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert output_path("-") == STANDARD_OUTPUT
    assert output_path("./-") == tmp_path / "-"
    assert output_path("r.json") == Path("r.json")
    with pytest.raises(argparse.ArgumentTypeError, match="an empty name"):
        output_path("")


def test_writing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_output(STANDARD_OUTPUT, "text\n")
    assert capsys.readouterr().out == "text\n"
    write_output(tmp_path / "a", "text\n")
    assert (tmp_path / "a").read_text() == "text\n"
    assert capsys.readouterr().out == ""


def test_closed_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    check_output(STANDARD_OUTPUT)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(InputError, match=r"standard output \(-\) is closed"):
        check_output(STANDARD_OUTPUT)
