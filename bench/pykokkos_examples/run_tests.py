"""Runs PyKokkos's own tests of workunits that are functions, with pytest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.pykokkos_examples.builtin_process import run_python
from kkspdnn.errors import InputError

TEST_FILES: Final = ("test_fusion.py", "test_typeinference.py")
"""The files of the folder `tests` whose tests launch free workunits."""

_LIMIT = 600.0

_START: Final = """
import json, sys
import kkspdnn, pykokkos, pytest

class Results:
    passed = skipped = 0
    failed = {}

    def pytest_runtest_logreport(self, report):
        if report.failed:
            name = report.nodeid.rpartition("::")[2]
            self.failed[name] = report.longrepr.reprcrash.message.splitlines()[0]
        elif report.skipped:
            self.skipped += 1
        elif report.when == "call":
            self.passed += 1

results = Results()
code = pytest.main(["-q", "-p", "no:cacheprovider", "-c", "/dev/null", *sys.argv[1:]], [results])
if code > 1:  # 1: tests have failed
    sys.exit(code)
print(json.dumps({"passed": results.passed, "skipped": results.skipped, "failed": results.failed}))
"""


@dataclass(frozen=True)
class TestFileResult:
    """The tests of a file. failed: the first line of the error by the name of the test"""

    __test__ = False  # for pytest

    file: str
    passed: int
    skipped: int
    failed: dict[str, str]


def run_tests(folder: Path, file: str) -> TestFileResult:
    """Run the tests of a file of a checkout in a process of its own.

    Raises InputError if the process ends before all tests have run.
    """
    path = folder.resolve() / "tests" / file
    done = run_python(_START, [str(path)], _LIMIT, threads=None, debug=False)
    if done is None:
        raise InputError(f"{path}: still running after {_LIMIT:.0f} s")
    if done.returncode != 0:
        lines = f"{done.stdout}\n{done.stderr}".splitlines()
        errors = [line.strip() for line in lines if "Error: " in line]
        raise InputError(f"{path}: {errors[-1] if errors else f'exit code {done.returncode}'}")
    return TestFileResult(file, **json.loads(done.stdout.splitlines()[-1]))
