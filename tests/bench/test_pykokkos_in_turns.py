"""`python -m bench.pykokkos`: turns, ratios, and the committed record in the documentation."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from bench import pykokkos
from bench.pykokkos import CASES, IMPLEMENTATIONS, Case, Row, Start, main, table
from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode, read_json

ROOT = Path(__file__).parents[2]
RECORD = read_json(ROOT / "bench" / "results" / "pykokkos-1024.json")


class FakeWorker:
    """Answers with the next time of its implementation, and records whose turn it was."""

    times: dict[str, list[float]]
    turns: list[str]
    active: dict[str, str]

    def __init__(self, module: str, arguments: list[str], threads: int, env: dict[str, str]):
        assert (module, arguments[0], threads) == ("bench.pykokkos", "--worker", 2)
        self.name = env["KKSPDNN_PK"]

    def request(self, message: dict[str, Any], seconds: float) -> dict[str, Any]:
        self.turns.append(self.name)
        return {"seconds": self.times[self.name].pop(0), "categories": self.active[self.name]}

    def close(self) -> None:
        self.turns.append(f"end of {self.name}")


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> type[FakeWorker]:
    FakeWorker.times = {"builtin": [9.0, 1.0, 2.0, 6.0], "pykokkos": [9.0, 2.0, 2.0, 2.0]}
    FakeWorker.turns = []
    FakeWorker.active = dict.fromkeys(IMPLEMENTATIONS, "same")
    monkeypatch.setattr(pykokkos, "Worker", FakeWorker)
    return FakeWorker


def test_the_implementations_take_turns(worker: type[FakeWorker]) -> None:
    row = pykokkos._measure_case(Case("", 120, 500), 3, 2, 300)
    assert row.case.inputs == 300
    assert (row.builtin, row.pykokkos, row.ratio) == ((1.0, 2.0, 6.0), (2.0, 2.0, 2.0), 1.0)
    first, other = IMPLEMENTATIONS
    turns = [first, other, other, first, first, other, other, first]
    assert worker.turns[:8] == turns
    assert sorted(worker.turns[8:]) == ["end of builtin", "end of pykokkos"]


def test_different_categories_are_an_error(worker: type[FakeWorker]) -> None:
    worker.active["pykokkos"] = "other"
    with pytest.raises(InputError, match="net: the categories of the two implementations differ"):
        pykokkos._measure_case(Case("net", 120, 500), 3, 2, None)


def test_without_pykokkos_there_is_nothing_to_compare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pykokkos, "missing_requirements", lambda: "PyKokkos needs g++: install it")
    monkeypatch.setattr(sys, "argv", ["bench.pykokkos"])
    assert main() == 2
    assert "nothing to compare: PyKokkos needs g++: install it" in capsys.readouterr().err


def test_the_committed_record() -> None:
    rows = [decode(Row, row, "row") for row in RECORD["rows"]]
    assert tuple(row.case for row in rows) == CASES
    for row in rows:
        assert len(row.builtin) == len(row.pykokkos) >= 9
        pairs = zip(row.builtin, row.pykokkos, strict=True)
        assert row.ratio == median(builtin / other for builtin, other in pairs)
    start = decode(Start, RECORD["start"], "start")
    assert 0 < start.second < start.first
    printed = list(table(RECORD))
    assert len(printed) == len(rows) + 3
    assert printed[-1].startswith("first run ")


def test_the_documentation_has_the_numbers_of_the_record() -> None:
    page = (ROOT / "docs" / "pykokkos.md").read_text("utf-8")
    for row in (decode(Row, each, "row") for each in RECORD["rows"]):
        times = [1e3 * median(each) for each in (row.builtin, row.pykokkos)]
        cells = [f"{each:,.0f}" if each >= 100 else f"{each:.2f}" for each in times]
        name, inputs = row.case.name, f"{row.case.inputs:,}"
        assert f"| {name} | {inputs} | {cells[0]} | {cells[1]} | {row.ratio:.2f} |" in page
    start = decode(Start, RECORD["start"], "start")
    assert f"took {start.first:.0f} s, the second {start.second:.1f} s" in page
