"""`python -m bench spgemm`: its cases, its record and its table."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.__main__ import main
from bench.spgemm_cases import Grid, spgemm_problems
from bench.spgemm_report import ratio_to_best_other, show_spgemm
from kkspdnn.records.spgemm_study import (
    SpgemmCase,
    SpgemmStudy,
    SpgemmTiming,
    spgemm_study_from,
)
from tests.refusals import refusal

ROOT = Path(__file__).parents[2]


def test_the_default_grid() -> None:
    problems = spgemm_problems(Grid())
    assert len(problems) == 36
    for problem in problems:
        work = problem.inputs * problem.row_multiplications
        assert 64 <= problem.inputs <= 60_000
        assert problem.inputs in (64, 60_000) or work == pytest.approx(1e8, rel=0.01)
        assert problem.layers == 4


def test_a_size_that_is_given_twice_is_measured_once() -> None:
    assert len(spgemm_problems(Grid(neurons=(64, 64), edges=(2,), densities=(10.0,)))) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--neurons", "65537"], "--neurons 65537: must be from 32 to 65536"),
        (["--edges", "1"], "--edges 1: must be from 2 to 512"),
        (["--densities", "0.01"], "--densities 0.01: must be from 0.1 to 100"),
        (["--densities", "nan"], "--densities nan: must be from 0.1 to 100"),
        (["--neurons", "64", "--edges", "65"], "--edges 65: a neuron has at most as many edges"),
        (["--layers", "0"], "--layers 0: must be at least 1"),
        (["--multiplications", "0"], "--multiplications 0: must be at least 1"),
        (["--seed", "-1"], "--seed -1: must be at least 0"),
        (["--threads", "0"], "--threads 0: must be at least 1"),
        (["--runs", "0"], "--runs 0: must be at least 1"),
        (["--seconds", "0"], "--seconds 0.0: must be above 0"),
        (["--only", "torch"], "invalid choice: 'torch'"),
    ],
)
def test_errors_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in refusal(capsys, "spgemm", *arguments, command=main)


def timing(name: str, seconds: float) -> SpgemmTiming:
    return SpgemmTiming(name, name, "ok", None, "1", 2, 64, 10**9, 10**9, (seconds,))


def case(*rows: SpgemmTiming) -> SpgemmCase:
    return SpgemmCase(1024, 2, 10.0, 1, 64, 0, (10**9,), (9.5,), rows)


def test_the_ratio_is_to_other_libraries() -> None:
    ours, fused = timing("spgemm", 3.0), timing("none", 0.1)
    others = timing("mkl", 2.0), timing("scipy", 4.0)
    assert ratio_to_best_other(case(*others, ours, fused)) == 1.5
    assert ratio_to_best_other(case(ours, fused)) is None
    assert ratio_to_best_other(case(*others)) is None


def test_the_table_says_why_a_time_is_missing() -> None:
    missing = SpgemmTiming("cusparse", "cuSPARSE", "missing", "CuPy is not installed")
    rows = (timing("mkl", 2.5), missing, timing("spgemm", 5.0))
    record = SpgemmStudy("", "a machine", (), 2, None, {}, {}, None, "", (case(*rows),))
    record = replace(record, cases=record.cases * 2)
    text = io.StringIO()
    show_spgemm(record, Console(file=text, width=160))
    assert text.getvalue().count("cusparse: missing: CuPy is not installed") == 1
    (line, _) = [line for line in text.getvalue().splitlines() if "1,024" in line]
    cells = [cell.strip() for cell in line.split("│")[1:-1]]
    assert cells == ["1,024", "2", "10", "9.5", "64", "2.5", "missing", "5", "2.00"]


@pytest.mark.slow
def test_a_small_measurement(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    sizes = ["--neurons", "64", "--edges", "4", "--densities", "10", "100", "--layers", "2"]
    more = ["--multiplications", "50000", "--seconds", "0.01", "--json", str(path)]
    only = ["--only", "none", "scipy", "spgemm", "cusparse"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "spgemm", *sizes, *more, *only],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "spgemm / best other" in done.stdout
    record = spgemm_study_from(json.loads(path.read_text()), str(path))
    assert [one.density for one in record.cases] == [10.0, 100.0]
    assert record.command.startswith("python -m bench spgemm --neurons 64")
    for one in record.cases:
        assert [row.name for row in one.rows] == ["scipy", "cusparse", "spgemm", "none"]
        assert {"scipy", "spgemm", "none"} <= {row.name for row in one.measured}
        assert all(len(row.seconds) == 5 for row in one.measured)
        (serial, *_) = one.measured
        assert serial.multiplications is not None
        if serial.inputs == one.inputs:
            assert serial.multiplications == sum(one.multiplications)
    assert record.cases[1].densities == (100.0, 100.0)
