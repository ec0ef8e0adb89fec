"""PyKokkos's own examples and workunits on the built-in compiler.

Each example script of free functions runs unchanged in a process of its own, and each workunit
outside a class is translated and compiled as it is written. PyKokkos's own tests of such workunits
run too.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.environment import collect_environment
from bench.measurement import run_measurement
from bench.pykokkos_examples.examples import EXAMPLES, Example
from bench.pykokkos_examples.free_workunits import find_workunits
from bench.pykokkos_examples.run_example import run_example
from bench.pykokkos_examples.run_tests import TEST_FILES, run_tests
from bench.pykokkos_examples.translate import translate_workunits
from kkspdnn.cli.parser import Parser, file_path
from kkspdnn.errors import InputError
from kkspdnn.progress import delayed_bar
from kkspdnn.records.provenance import git_commit

SCHEMA = "kkspdnn-pykokkos-examples/1"


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m bench.pykokkos_examples`."""
    root = Parser(prog="python -m bench.pykokkos_examples", description=__doc__)
    root.add_argument("folder", type=file_path, metavar="DIR", help="a checkout of PyKokkos")
    root.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    return root


def main() -> int:
    """Measure, print and write the record; return the exit code."""
    arguments = parser().parse_args()

    def measured() -> tuple[str, int]:
        record = measure(arguments.folder, EXAMPLES, TEST_FILES)
        print("\n".join(table(record)))
        return json.dumps(record, indent=1) + "\n", 0

    return run_measurement(arguments.json, measured)


def measure(folder: Path, examples: Sequence[Example], tests: Sequence[str]) -> dict[str, Any]:
    """Run the examples and the files of tests of a checkout, and compile its free workunits; return
    the record.

    Raises InputError if a file is missing or its tests cannot run, and the errors of
    `translate_workunits`.
    """
    files = [*(f"examples/{each.path}" for each in examples), *(f"tests/{each}" for each in tests)]
    for file in files:
        if not (folder / file).is_file():
            raise InputError(
                f"{folder}: no {file}; give a checkout of PyKokkos, as in docs/pykokkos-examples.md"
            )
    # A folder without git data may lie in a checkout of something else.
    is_checkout = (folder / ".git").exists()
    commit = git_commit(folder, "--", "examples", "tests") if is_checkout else None
    environment = collect_environment()
    workunits, methods = find_workunits(folder)
    ran, tested, total = [], [], len(files) + len(workunits)
    with delayed_bar(True) as bar:

        def progress(step: str, done: int) -> None:
            if bar is not None:
                bar(step, done / total)

        for number, example in enumerate(examples):
            progress(example.path, number)
            ran.append(run_example(folder, example))
        for number, file in enumerate(tests, len(examples)):
            progress(file, number)
            tested.append(run_tests(folder, file))
        results = list(
            translate_workunits(
                workunits, lambda done: progress("compiling workunits", len(files) + done)
            )
        )
    return {
        **environment.header(SCHEMA, "bench.pykokkos_examples"),
        "pykokkos_commit": commit,
        "examples_by_status": dict(Counter(each.status for each in ran)),
        "free_workunits": len(results),
        "compiled": sum(each.problem is None for each in results),
        "workunits_with_warnings": sum(each.warnings > 0 for each in results),
        "workunits_in_classes": methods,
        "examples": [asdict(each) for each in ran],
        "tests": [asdict(each) for each in tested],
        "workunits": [asdict(each) for each in results],
    }


def table(record: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines to print: the examples, the workunits that do not compile, and counts."""
    for each in record["examples"]:
        words = shlex.join([each["path"], *each["arguments"]])
        reason = f": {each['error']}" if each["error"] is not None else ""
        yield f"{each['status']:<14}{words}{reason}"
    for each in record["tests"]:
        for name, error in each["failed"].items():
            yield f"{'fails':<14}{each['file']}: {name}: {error}"
    for each in record["workunits"]:
        if each["problem"] is not None:
            where = f"{each['file']}:{each['line']}"
            yield f"{'not compiled':<14}{where}: {each['name']}: {each['problem']}"
    statuses = [f"{count} {status}" for status, count in record["examples_by_status"].items()]
    yield f"examples: {', '.join(statuses)}"
    for each in record["tests"]:
        counts = f"{each['passed']} pass, {len(each['failed'])} fail, {each['skipped']} are skipped"
        yield f"{each['file']}: {counts}"
    yield (
        f"free workunits: {record['compiled']} of {record['free_workunits']} compile, "
        f"{record['workunits_with_warnings']} with warnings; "
        f"{record['workunits_in_classes']} others are in classes"
    )
