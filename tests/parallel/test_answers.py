"""Rows or layers over ranks: the same answers, one record, one output."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kkspdnn.io.json_schema import decode
from kkspdnn.records.run import Record

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 5])
def test_the_answers_of_one_process(run: Run, ranks: int) -> None:
    script = Path(__file__).with_name("same_answers.py")
    code, out, err = run(ranks, "-W", "error", "-m", "mpi4py", script)
    assert (code, out) == (0, ""), err


@pytest.mark.slow
def test_one_record_and_one_output(run: Run, tmp_path: Path) -> None:
    problem = ["--neurons", "64", "--layers", "6", "--inputs", "3000"]
    files = ["--json", tmp_path / "many.json", "--categories", tmp_path / "many.tsv"]
    code, out, err = run(3, "-W", "error", "-m", "kkspdnn", *problem, *files)
    assert (code, err) == (0, "")
    assert out.count("categories ") == 1
    assert "3 threads on 3 ranks" in out
    assert "data parallel on 1 node; computed " in out
    # A launch of one process is a run like any other.
    files = ["--json", tmp_path / "one.json", "--categories", tmp_path / "one.tsv"]
    code, out, err = run(1, "-W", "error", "-m", "kkspdnn", *problem, *files)
    assert (code, err) == (0, "")
    assert "ranks" not in out
    assert (tmp_path / "many.tsv").read_text() == (tmp_path / "one.tsv").read_text()
    many, one = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("many", "one"))
    assert [load["rows"] for load in many["loads"]] == [1000, 1000, 1000]
    assert one["loads"] == []
    assert many["categories_sha256"] == one["categories_sha256"]
    assert decode(Record, many, "record").loads[2].rank == 2
