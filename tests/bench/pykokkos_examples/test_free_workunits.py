"""Workunits outside classes: which are found, and the file that each gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.pykokkos_examples.free_workunits import FreeWorkunit, find_workunits

TEXT = '''\
"""The first line."""
import math
import other, math
import pykokkos as pk
from pykokkos.interface import hidden
from typing import List

print("a line that does not run")


@pk.function
def half(x: float) -> float:
    return 0.5 * x


@pk.function
def quarter(x: float) -> float:
    return half(half(x))


@pk.function
def unused(x: Other) -> Other:
    return x


@pk.workunit(
    x=pk.ViewTypeInfo(layout=pk.LayoutRight))
def top(i, x):
    x[i] = quarter(x[i])


def outer():
    @pk.workunit
    def nested(i, x):
        x[i] = math.pi


class Work:
    @pk.workunit
    def method(self, i):
        pass
'''


@pytest.fixture
def found(tmp_path: Path) -> list[FreeWorkunit]:
    (tmp_path / "examples" / "a").mkdir(parents=True)
    (tmp_path / "examples" / "a" / "one.py").write_text(TEXT, "utf-8")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "two.py").write_text("@pk.workunit\ndef last(i, x):\n    pass\n", "utf-8")
    workunits, methods = find_workunits(tmp_path)
    assert methods == 1
    return workunits


def test_functions_are_found_and_methods_counted(found: list[FreeWorkunit]) -> None:
    places = [(each.file, each.line, each.name) for each in found]
    assert places == [
        ("examples/a/one.py", 28, "top"),
        ("examples/a/one.py", 34, "nested"),
        ("tests/two.py", 2, "last"),
    ]


def test_the_file_of_a_workunit_has_what_it_needs_in_the_same_lines(
    found: list[FreeWorkunit],
) -> None:
    lines = found[0].text.splitlines()
    assert lines[0] == "from __future__ import annotations"
    expected = TEXT.splitlines()
    kept = [number for number, line in enumerate(lines[1:], 1) if line]
    assert [lines[number] for number in kept] == [expected[number] for number in kept]
    assert [number + 1 for number in kept] == [2, 4, 6, 11, 12, 13, 16, 17, 18, 26, 27, 28, 29]


def test_a_nested_function_is_moved_to_the_margin(found: list[FreeWorkunit]) -> None:
    lines = found[1].text.splitlines()
    assert lines[32:35] == ["@pk.workunit", "def nested(i, x):", "    x[i] = math.pi"]
    assert "half" not in found[1].text


def test_the_first_line_keeps_its_import(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    text = "import pykokkos as pk\n@pk.workunit\ndef w(i, x): x[i] = 0\n"
    (tmp_path / "tests" / "one.py").write_text(text, "utf-8")
    (workunit,), _ = find_workunits(tmp_path)
    assert workunit.text == f"from __future__ import annotations; {text}"
