"""`python -m bench.launch`: each way launches the workunit, and the committed record."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from bench import launch
from bench.launch import COUNTS, SCHEMA, SPACES, Row, main, table
from kkspdnn.io.json_schema import decode, read_json

ROOT = Path(__file__).parents[2]
RECORD = read_json(ROOT / "bench" / "results" / "launch-overhead.json")
KINDS = ("direct", "parallel_for", "prepared")


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("count", COUNTS)
def test_each_way_launches_the_workunit(
    space: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = launch._arguments(count)
    assert len(arguments) == count
    monkeypatch.setattr(launch, "_arguments", lambda _: arguments)
    launches = launch._launches(space, count)
    assert tuple(launches) == KINDS
    for call in launches.values():
        if count == 12:
            arguments["h"][:] = arguments["d"][:] = arguments["f"][:] = 0
        if count:
            arguments["b"][:] = 0
        call()
        if count:
            np.testing.assert_array_equal(arguments["b"], 5.0)
        if count == 12:
            np.testing.assert_array_equal(arguments["d"], 0.5)
            np.testing.assert_array_equal(arguments["f"], 1)
            np.testing.assert_array_equal(arguments["h"], [[0, 1]] * 16)


def test_a_short_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record.json"
    words = f"bench.launch --rounds 3 --calls 5 --json {path}"
    monkeypatch.setattr(sys, "argv", words.split())
    assert main() == 0
    record = read_json(path)
    assert record["command"] == f"python -m {words}"
    rows = [decode(Row, row, "row") for row in record["rows"]]
    assert [(row.space, row.arguments) for row in rows] == [(s, c) for s in SPACES for c in COUNTS]
    for row in rows:
        assert row.calls == 5
        assert all(len(getattr(row, kind)) == 3 and min(getattr(row, kind)) > 0 for kind in KINDS)


def test_the_overhead_is_the_median_of_the_differences_in_a_round() -> None:
    row = Row("Serial", 4, 10, (1.0, 5.0, 2.0), (4.0, 7.0, 9.0), (2.0, 6.0, 3.0))
    assert (row.overhead("parallel_for"), row.overhead("prepared")) == (3.0, 1.0)


def test_the_committed_record() -> None:
    assert RECORD["kind"] == SCHEMA
    rows = [decode(Row, row, "row") for row in RECORD["rows"]]
    assert [(row.space, row.arguments) for row in rows] == [(s, c) for s in SPACES for c in COUNTS]
    for row in rows:
        assert len(row.direct) == len(row.parallel_for) == len(row.prepared) >= 41
        assert 0 < row.overhead("prepared") < row.overhead("parallel_for")
    assert len(list(table(RECORD))) == len(rows) + 2


def test_the_documentation_has_the_numbers_of_the_record() -> None:
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    for each in RECORD["rows"]:
        row = decode(Row, each, "row")
        times = [f"{1e6 * median(getattr(row, kind)):.1f}" for kind in KINDS]
        overheads = [f"{1e6 * row.overhead(kind):.1f}" for kind in KINDS[1:]]
        assert f"| {' | '.join([row.space, str(row.arguments), *times, *overheads])} |" in page
