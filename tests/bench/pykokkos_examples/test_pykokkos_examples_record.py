"""The committed record of PyKokkos's examples, and its numbers in the documentation."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from pathlib import Path

from bench.pykokkos_examples.cli import SCHEMA, table
from bench.pykokkos_examples.examples import EXAMPLES
from bench.pykokkos_examples.run_example import ExampleResult
from bench.pykokkos_examples.run_tests import TEST_FILES, TestFileResult
from bench.pykokkos_examples.translate import WorkunitResult
from kkspdnn.io.json_schema import decode, read_json

ROOT = Path(__file__).parents[3]
RECORD = read_json(ROOT / "bench" / "results" / "pykokkos-examples.json")
RAN = [decode(ExampleResult, each, "example") for each in RECORD["examples"]]
TESTED = [decode(TestFileResult, each, "tests") for each in RECORD["tests"]]
WORKUNITS = [decode(WorkunitResult, each, "workunit") for each in RECORD["workunits"]]
PAGE = (ROOT / "docs" / "pykokkos-examples.md").read_text("utf-8")
COUNTS = Counter(each.status for each in RAN)


def test_the_committed_record() -> None:
    assert RECORD["kind"] == SCHEMA
    assert [(each.path, each.arguments) for each in RAN] == [
        (example.path, example.arguments) for example in EXAMPLES
    ]
    assert RECORD["examples_by_status"] == COUNTS
    assert tuple(each.file for each in TESTED) == TEST_FILES
    assert RECORD["free_workunits"] == len(WORKUNITS)
    assert RECORD["compiled"] == sum(each.problem is None for each in WORKUNITS)
    assert RECORD["workunits_with_warnings"] == sum(each.warnings > 0 for each in WORKUNITS)
    failed = sum(len(each.failed) + 1 for each in TESTED)
    refused = RECORD["free_workunits"] - RECORD["compiled"]
    assert len(list(table(RECORD))) == len(RAN) + failed + refused + 2


def test_every_example_script_with_workunits_is_started() -> None:
    """All but the modules of ExaMiniMD, which its main script imports."""
    scripts = {each.file.removeprefix("examples/") for each in WORKUNITS}
    scripts = {each for each in scripts if not each.startswith(("tests/", "ExaMiniMD/"))}
    assert scripts <= {each.path for each in RAN}


def test_the_page_has_the_commit_and_the_command_of_the_record() -> None:
    checkout = re.search(r"checkout (\w{7,})\n", PAGE)
    assert checkout is not None
    assert RECORD["pykokkos_commit"].startswith(checkout[1])
    assert RECORD["pykokkos_commit"][-1] != "+"
    assert f"\n{RECORD['command']}\n" in PAGE


def test_the_page_has_the_result_of_every_example() -> None:
    rows = re.findall(r"^\| `(\S+\.py)` \|(?: `(.*?)`)? \| ([^|]*) \|$", PAGE, re.MULTILINE)
    assert [(path, given) for path, given, _ in rows] == [
        (each.path, shlex.join(each.arguments)) for each in RAN
    ]
    for each, (_, _, text) in zip(RAN, rows, strict=True):
        status = re.match("runs changed|runs|needs a GPU|fails", text)
        assert status is not None
        assert status[0] == each.status
        assert ("warning" in text) == (each.warnings > 0)
        assert each.threads is None or f"{each.threads} threads" in text
        for old, new in each.changes:
            assert f"`{new}` for `{old}`" in text
    assert (
        f"Of {len(RAN)} runs, {COUNTS['runs']} work unchanged, {COUNTS['runs changed']} with the "
        f"change in the table, {COUNTS['needs a GPU']} need a GPU, and {COUNTS['fails']} fails."
    ) in PAGE


def test_the_page_has_every_workunit_that_does_not_compile() -> None:
    page = " ".join(PAGE.split())
    assert f"have {RECORD['free_workunits']} workunits that are functions" in page
    assert (
        f"{RECORD['compiled']} compile as written, {RECORD['workunits_with_warnings']} of them "
        "with a warning"
    ) in page
    assert f"{RECORD['workunits_in_classes']} other workunits are methods" in page
    names: dict[str, list[str]] = {}
    for each in WORKUNITS:
        if each.problem is not None:
            names.setdefault(each.problem, []).append(f"`{each.name}`")
    rows = re.findall(r"^\| (.*) \| (\d+: .*) \| .* \|$", PAGE, re.MULTILINE)
    assert dict(rows) == {
        problem: f"{len(found)}: {', '.join(found)}" for problem, found in names.items()
    }


def test_the_page_has_the_counts_of_the_tests() -> None:
    for each in TESTED:
        row = f"| {each.passed} | {len(each.failed)} | {each.skipped} |"
        assert re.search(rf"^\| `{each.file}`[^|]* {re.escape(row)}", PAGE, re.MULTILINE)
