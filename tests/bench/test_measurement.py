"""`run_measurement` checks the output file before measuring, and writes the whole record."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.measurement import run_measurement
from kkspdnn.errors import InputError


def test_a_record_and_its_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    assert run_measurement(path, lambda: ("{}\n", 1)) == 1
    assert path.read_text() == "{}\n"
    assert run_measurement(None, lambda: ("{}\n", 0)) == 0


def test_an_unwritable_file_fails_before_the_measurement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[str] = []

    def measure() -> tuple[str, int]:
        calls.append("measure")
        return "{}\n", 0

    assert run_measurement(tmp_path / "no" / "record.json", measure) == 2
    assert calls == []
    error = capsys.readouterr().err
    assert "make it first" in error
    assert error.count("\n") == 1


def test_a_failed_measurement_keeps_the_old_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")

    def measure() -> tuple[str, int]:
        raise InputError("no such network")

    assert run_measurement(path, measure) == 2
    assert path.read_text() == "old"
    assert capsys.readouterr().err == "kkspdnn: no such network\n"
