"""Records are written whole, after all that can go wrong has been tried before measuring."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.recorded import recorded
from kkspdnn.errors import InputError


def test_a_record_and_its_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert recorded(path, lambda: ("{}\n", 1)) == 1
    assert path.read_text() == "{}\n"
    assert recorded(None, lambda: ("{}\n", 0)) == 0


def test_nothing_is_measured_that_could_not_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured: list[str] = []

    def measure() -> tuple[str, int]:
        measured.append("all")
        return "{}\n", 0

    assert recorded(tmp_path / "no" / "record.json", measure) == 2
    assert measured == []
    error = capsys.readouterr().err
    assert "make it first" in error
    assert error.count("\n") == 1


def test_what_fails_leaves_the_old_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")

    def measure() -> tuple[str, int]:
        raise InputError("no such network")

    assert recorded(path, measure) == 2
    assert path.read_text() == "old"
    assert capsys.readouterr().err == "kkspdnn: no such network\n"
