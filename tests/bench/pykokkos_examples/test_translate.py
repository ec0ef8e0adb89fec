"""Free workunits through the compiler, and the record of the command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench.pykokkos_examples import cli
from bench.pykokkos_examples.examples import Example
from bench.pykokkos_examples.free_workunits import find_workunits
from bench.pykokkos_examples.translate import WorkunitResult, translate_workunits

TEXT = """\
import pykokkos as pk


@pk.workunit
def xor(i, x, n):
    x[i] ^= n


@pk.workunit
def halve(m: pk.TeamMember, x: pk.View1D[int]):
    x[m.league_rank()] = 0.5


@pk.workunit
def choose(i, x):
    x[i] = 1 if i else 2


@pk.workunit(y=pk.ViewTypeInfo())
def unknown(i, x):
    x[i] = 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "own.py").write_text(TEXT, "utf-8")
    (tmp_path / "tests" / "test_own.py").write_text("def test_own(): assert 1\n", "utf-8")
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "hello.py").write_text("print('hello')\n", "utf-8")
    return tmp_path


@pytest.fixture
def results(folder: Path) -> list[WorkunitResult]:
    done: list[int] = []
    results = list(translate_workunits(find_workunits(folder)[0], done.append))
    assert done == [0, 1, 2, 3]
    return results


def test_workunits_compile_or_say_why_not(results: list[WorkunitResult]) -> None:
    xor, halve, choose, unknown = results
    assert (xor.name, xor.problem, xor.warnings) == ("xor", None, 0)
    assert (xor.pattern, xor.team, xor.types) == ("for", False, {"x": "int64[1]", "n": "int64"})
    assert (halve.problem, halve.warnings, halve.team, halve.types) == (None, 1, True, {})
    assert choose.problem == "a conditional expression is not in the workunit language"
    assert choose.hint == "write an if statement that assigns in both branches"
    assert choose.types == {"x": "double[1]"}
    assert (choose.file, choose.line) == ("tests/own.py", 15)
    assert unknown.problem is not None
    assert "`y` is no parameter" in unknown.problem
    assert unknown.hint is None


def test_the_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record_file = folder / "record.json"
    monkeypatch.setattr(cli, "EXAMPLES", (Example("hello.py", prints="hello"),))
    monkeypatch.setattr(cli, "TEST_FILES", ("test_own.py",))
    monkeypatch.setattr(sys, "argv", ["examples", str(folder), "--json", str(record_file)])
    assert cli.main() == 0
    record = json.loads(record_file.read_text("utf-8"))
    assert record["pykokkos_commit"] is None
    assert record["examples_by_status"] == {"runs": 1}
    counts = "free_workunits", "compiled", "workunits_with_warnings", "workunits_in_classes"
    assert [record[name] for name in counts] == [4, 2, 1, 0]
    printed = capsys.readouterr().out.splitlines()
    assert printed == list(cli.table(record))
    assert printed[0].split() == ["runs", "hello.py"]
    assert printed[-3:] == [
        "examples: 1 runs",
        "test_own.py: 1 pass, 0 fail, 0 are skipped",
        "free workunits: 2 of 4 compile, 1 with warnings; 0 others are in classes",
    ]


def test_another_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["examples", str(tmp_path)])
    assert cli.main() == 2
    error = capsys.readouterr().err
    assert "no examples/BabelStream/standalone/babel_stream.py; give a checkout" in error
