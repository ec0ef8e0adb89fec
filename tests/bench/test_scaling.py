"""`python -m bench.scaling`: the model, and a small measurement."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scaling.model import fit
from kkspdnn.records.rank_study import RankModel, ShardTime, Split, rank_study_from

ROOT = Path(__file__).parents[2]
EVEN = Split(1.0, 1.0, 1.0, 1.0)


@given(st.floats(0, 1), st.floats(1e-7, 1e-3))
def test_fit_recovers_a_model(fixed: float, row: float) -> None:
    points = [ShardTime(n, 60_000 // n, fixed + row * (60_000 // n), EVEN) for n in (1, 2, 10, 100)]
    found = fit(points, 1e-4)
    assert found.row_seconds == pytest.approx(row, rel=1e-3, abs=1e-9)
    assert found.fixed_seconds == pytest.approx(fixed, rel=1e-3, abs=1e-6)
    expected = fixed + 1.5 * row * 60_000 / 16 + 4e-4
    assert found.seconds(16, 60_000, 1.5) == pytest.approx(expected, rel=1e-2)


@given(st.lists(st.floats(1e-4, 10), min_size=2, max_size=6))
def test_fitted_costs_are_not_negative(seconds: list[float]) -> None:
    points = [ShardTime(n + 1, 6000 // (n + 1), t, EVEN) for n, t in enumerate(seconds)]
    found = fit(points, 0.0)
    assert found.fixed_seconds >= 0
    assert found.row_seconds >= 0


def test_steps_grow_with_the_logarithm_of_ranks() -> None:
    model = RankModel(0.0, 1e-6, 1e-3)
    assert np.isclose(model.seconds(8, 8000, 1.0), 1e-3 + 3e-3)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.scaling", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_small_measurement_and_its_table(tmp_path: Path) -> None:
    pytest.importorskip("mpi4py", reason="no mpi4py: pip install mpi4py")
    path = tmp_path / "scaling.json"
    problem = ["--neurons", "64", "--layers", "4", "--inputs", "3000", "--most", "20"]
    done = bench(*problem, "--runs", "1", "--json", str(path))
    assert done.returncode == 0, done.stderr
    record = json.loads(path.read_text())
    assert [point["ranks"] for point in record["points"]] == [1, 2, 4, 8, 16, 20]
    assert [point["rows"] for point in record["points"]] == [3000, 1500, 750, 375, 188, 150]
    for point in record["points"]:
        assert all(work >= 1 for work in point["work"].values())
    assert record["runs"][0]["ranks"] == 1
    (predicted,) = record["predictions"]
    assert predicted["ranks"] == 20
    assert f"predicted for 20 ranks: {predicted['seconds']:.4f} s" in done.stdout
    assert rank_study_from(record, str(path)).predictions[0].ranks == 20
    done = bench("--table", str(path))
    assert done.returncode == 0, done.stderr
    assert f"| 20 | 150 | {record['points'][-1]['seconds']:.4f} s |" in done.stdout


@pytest.mark.slow
def test_errors_are_one_line(tmp_path: Path) -> None:
    for arguments, words in (
        (["--neurons", "1000"], "1000 neurons: a RadiX-Net has"),
        (["--threads", "4096"], "--threads 4096: this machine has"),
        (["--json", str(tmp_path / "no" / "record.json")], "make it first"),
    ):
        done = bench(*arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
