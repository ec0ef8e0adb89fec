"""DeepSparse in a Python environment of its own: the environment variable and its errors."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.balanced.deepsparse_candidate import (
    VARIABLE,
    deepsparse_candidates,
    deepsparse_version,
    missing_deepsparse,
)
from kkspdnn.choices import METHODS


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_without_the_variable_the_reason_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv(VARIABLE, raising=False)
        else:
            monkeypatch.setenv(VARIABLE, value)
        assert missing_deepsparse() == (
            f"set {VARIABLE} to the Python of an environment with deepsparse==1.8.0 "
            "(docs/pruning.md)"
        )
        assert deepsparse_version() == "unknown"
        assert deepsparse_candidates()["DeepSparse"].interpreter is None


def test_a_wrong_interpreter_is_a_one_line_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "python"))
    assert missing_deepsparse() == f"{VARIABLE}={tmp_path}/python: no such program; name a Python"
    python = program(tmp_path / "python", "echo no such package >&2; exit 1")
    assert missing_deepsparse() == (
        f"{VARIABLE}={python}: no DeepSparse there; run {python} -m pip install deepsparse==1.8.0"
    )
    assert deepsparse_version() == "unknown"


def test_the_version_is_that_of_the_other_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "python", "echo 1.8.0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "./python")
    assert missing_deepsparse() is None
    assert deepsparse_version() == "1.8.0"
    candidate = deepsparse_candidates()["DeepSparse"]
    # Workers run in another folder.
    assert candidate.interpreter == str(tmp_path / "python")
    assert candidate.patterns == METHODS
    assert candidate.prepare is None


def test_a_link_to_a_python_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The Python of a virtual environment is a link; its target has other packages.
    os.symlink(sys.executable, tmp_path / "python")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "python"))
    assert deepsparse_candidates()["DeepSparse"].interpreter == str(tmp_path / "python")
