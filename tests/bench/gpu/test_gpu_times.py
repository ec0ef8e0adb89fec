"""`bench.gpu times`: parsing of cases, choice of the median run, and failures."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kkspdnn as kk
from bench.gpu import times
from bench.gpu.times import Case
from kkspdnn.errors import InputError


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**6),
    st.sampled_from(["all", "dead", "none"]),
    st.booleans(),
    st.integers(1, 999),
)
def test_a_case_from_its_text(n: int, layers: int, exits: str, fold: bool, runs: int) -> None:
    text = f"{n}-{layers}:{exits}:x{runs}" + (":fold" if fold else "")
    assert Case.parse(text) == Case(n, layers, exits, "fused", fold, runs)


def test_names_of_records() -> None:
    named = {
        "1-2": "1-2-cuda",
        "1-2:dead:fold": "1-2-cuda-dead-fold",
        "1-2:spgemm": "1-2-cuda-spgemm",
        "1-2:none:different:r500": "1-2-cuda-none-different-500-rows",
    }
    assert {text: Case.parse(text).name("cuda") for text in named} == named


@pytest.mark.parametrize(
    "text", ["", "1024", "1024-", "0-1", "1-1:x0", "1-1:some", "1-1:", "1-1:r0", "a-1"]
)
def test_invalid_cases_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="case"):
        Case.parse(text)


def options(records: Path, *cases: str) -> argparse.Namespace:
    return argparse.Namespace(space="openmp", small=True, records=records, cases=list(cases))


def test_the_median_run_becomes_the_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert times.command(options(tmp_path, "64-4:x3", "64-4:none:x1")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("64 x 4: generated in")]) == 1
    for name in ("64-4-openmp", "64-4-openmp-none"):
        record = json.loads((tmp_path / f"{name}.json").read_text())
        assert record["inputs"] == 600
        assert record["verified"]["passed"] is True
        line = next(line for line in lines if line.startswith(f"{name} "))
        assert f"{record['inference_seconds'] * 1e3:.2f} ms" in line
        assert record["command"].startswith("python -m bench.gpu times --space openmp 64-4:x3")


def test_different_weights_and_another_number_of_rows(tmp_path: Path) -> None:
    assert times.command(options(tmp_path, "64-4:different:r70:x1")) == 0
    record = json.loads((tmp_path / "64-4-openmp-different-70-rows.json").read_text())
    assert record["inputs"] == 70
    assert record["network"].startswith("different weights ")
    assert record["verified"]["passed"] is True


def test_the_median_of_an_even_number_is_the_faster_middle_run() -> None:
    record = kk.infer(kk.radixnet(64, 2), kk.images(64, 10), space="openmp").record
    runs = [replace(record, inference_seconds=seconds) for seconds in (4.0, 1.0, 3.0, 2.0)]
    assert times._median(runs).inference_seconds == 2.0


def test_categories_that_differ_from_a_cpu_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_cpu = tmp_path / "on_cpu"
    on_cpu.mkdir()
    assert times.command(options(on_cpu, "64-4:x1")) == 0
    monkeypatch.setattr(times, "_RESULTS", on_cpu)
    assert times.command(options(tmp_path, "64-4:x1")) == 0
    assert "categories, same as on a CPU" in capsys.readouterr().out
    file = on_cpu / "64-4-openmp.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "categories_sha256": "0"}))
    assert times.command(options(tmp_path, "64-4:x1")) == 1
    assert "NOT as on a CPU" in capsys.readouterr().out


def test_a_failed_case_does_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert times.command(options(tmp_path, "63-4:x1", "64-4:x1")) == 1
    printed = capsys.readouterr().out
    assert "FAIL 63-4-openmp: InputError: " in printed
    assert (tmp_path / "64-4-openmp.json").exists()
