"""The environment variable of debug mode, and what it changes besides launches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kkspdnn as kk
from kkspdnn.cli.findings import Finding, _debug_mode
from kkspdnn.errors import InputError, KkspdnnError
from kkspdnn.figures.read import read_records
from kkspdnn.pk import warn_debug_mode
from kkspdnn.pk.system.debug_mode import debug_mode
from kkspdnn.records.result_table import result_table


@pytest.fixture(autouse=True)
def read_again() -> Iterator[None]:
    """Let each test read the variable."""
    debug_mode.cache_clear()
    warn_debug_mode.cache_clear()
    yield
    debug_mode.cache_clear()
    warn_debug_mode.cache_clear()


@pytest.mark.parametrize("value", ["yes", "2", " 1"])
def test_another_value_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("KKSPDNN_DEBUG", value)
    message = f"KKSPDNN_DEBUG={value}: set it to 0 or 1, or unset it"
    with pytest.raises(KkspdnnError) as caught:
        debug_mode()
    assert str(caught.value) == message
    assert list(_debug_mode()) == [Finding("pykokkos", "debug mode", message, False)]


@pytest.mark.parametrize("value", [None, "", "0"])
def test_the_mode_is_off(
    monkeypatch: pytest.MonkeyPatch, value: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("KKSPDNN_DEBUG", raising=False)
    if value is not None:
        monkeypatch.setenv("KKSPDNN_DEBUG", value)
    assert not debug_mode()
    assert list(_debug_mode()) == []
    warn_debug_mode("builtin")
    warn_debug_mode("pykokkos")
    assert caplog.messages == []


def test_info_shows_the_mode(debug_mode_on: None) -> None:
    (finding,) = _debug_mode()
    assert finding.text.startswith("on (KKSPDNN_DEBUG)")


def test_each_implementation_warns_once(
    debug_mode_on: None, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        warn_debug_mode("builtin")
        warn_debug_mode("pykokkos")
    own, real = caplog.messages
    assert own.startswith("KKSPDNN_DEBUG=1: workunits check every index")
    assert real.endswith("set KKSPDNN_PK=builtin to check workunits")


def test_the_variable_is_read_once(debug_mode_on: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert debug_mode()
    monkeypatch.setenv("KKSPDNN_DEBUG", "0")
    assert debug_mode()


def test_tuning_is_refused(debug_mode_on: None) -> None:
    with pytest.raises(InputError, match="^KKSPDNN_DEBUG=1: .*; unset it to tune$"):
        kk.tune(kk.radixnet(64, 4), kk.images(64, 10), space="serial")


def test_the_record_and_the_table_of_a_run(tmp_path: Path) -> None:
    record = kk.infer(kk.radixnet(64, 2), np.ones((3, 64), np.float32), space="serial").record
    assert not record.debug
    assert "debug" not in result_table(record)
    in_debug_mode = replace(record, debug=True)
    assert "debug mode: times are not meaningful" in result_table(in_debug_mode)
    file = tmp_path / "a.json"
    file.write_text(in_debug_mode.to_json())
    with pytest.raises(InputError, match="a.json: the times of debug mode mean nothing"):
        read_records([file])


def run(value: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kkspdnn", "--neurons", "64", "--layers", "2", *options]
    environment = {**os.environ, "KKSPDNN_DEBUG": value, "KKSPDNN_PK": "builtin"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_run_with_another_value_ends_with_one_line() -> None:
    done = run("on", "--inputs", "5", "--quiet")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "kkspdnn: KKSPDNN_DEBUG=on: set it to 0 or 1, or unset it\n"


@pytest.mark.slow
def test_a_run_says_that_it_is_in_debug_mode(tmp_path: Path) -> None:
    done = run("1", "--inputs", "5", "--quiet", "--json", str(tmp_path / "a.json"))
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("kkspdnn: KKSPDNN_DEBUG=1: workunits check every index")
    assert json.loads((tmp_path / "a.json").read_text())["debug"] is True
