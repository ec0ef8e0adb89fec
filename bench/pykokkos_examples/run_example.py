"""Runs an example script, unchanged, in a process of its own with the built-in compiler."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal

from bench.pykokkos_examples.builtin_process import run_python
from bench.pykokkos_examples.examples import Example

Status = Literal["runs", "runs changed", "needs a GPU", "fails"]

_LIMIT = 600.0
"""Seconds that a script may take; the first run compiles."""

_START: Final = (
    "import sys; sys.argv = sys.argv[1:]; sys.path[0] = sys.argv[0].rpartition('/')[0]; "
    "import kkspdnn, runpy; runpy.run_path(sys.argv[0], run_name='__main__')"
)
_FAILURE: Final = re.compile(r"\bERROR\b|\bError:|Validation failed")
_ON_GPU: Final = re.compile(r"^\s*import cupy|set_default_space\(.*Cuda", re.MULTILINE)


@dataclass(frozen=True)
class ExampleResult:
    """Whether an example ran.

    status: `runs changed` with the changes of the example, after it failed unchanged
    error: the last line of the error of the unchanged script, None if it runs
    warnings: the number of WorkunitWarnings
    """

    path: str
    arguments: tuple[str, ...]
    threads: int | None
    changes: tuple[tuple[str, str], ...]
    status: Status
    error: str | None
    warnings: int


@dataclass(frozen=True)
class _Outcome:
    error: str | None
    warnings: int = 0


def run_example(folder: Path, example: Example) -> ExampleResult:
    """Run an example of the checkout `folder`: first in debug mode, then without.

    A script that fails unchanged runs again with the changes of the example, in a copy.
    """
    script = folder.resolve() / "examples" / example.path
    text = script.read_text("utf-8")
    first = outcome = _run(script, example, script.parents[0])
    status: Status = "runs"
    if first.error is not None and example.changes:
        with TemporaryDirectory(prefix="kkspdnn-bench-") as copies:
            copy = Path(copies) / "copy"
            shutil.copytree(script.parent, copy)
            for old, new in example.changes:
                text = text.replace(old, new)
            (copy / script.name).write_text(text, "utf-8")
            outcome = _run(copy / script.name, example, copy)
            status = "runs changed"
    if outcome.error is not None:
        status = "needs a GPU" if _ON_GPU.search(text) else "fails"
    return ExampleResult(
        path=example.path,
        arguments=example.arguments,
        threads=example.threads,
        changes=example.changes if status == "runs changed" else (),
        status=status,
        error=first.error,
        warnings=outcome.warnings,
    )


def _run(script: Path, example: Example, hidden: Path) -> _Outcome:
    """Run a script in debug mode, which checks its indices, and then without.

    hidden: a folder that is not named in an error
    """
    checked = _start(script, example, hidden, debug=True)
    return checked if checked.error is not None else _start(script, example, hidden, debug=False)


def _start(script: Path, example: Example, hidden: Path, *, debug: bool) -> _Outcome:
    arguments = [str(script), *example.arguments]
    done = run_python(_START, arguments, _LIMIT, threads=example.threads, debug=debug)
    if done is None:
        return _Outcome(f"still running after {_LIMIT:.0f} s")
    warnings = done.stderr.count("WorkunitWarning: ")
    error = _error(done.returncode, done.stdout, done.stderr, example.prints)
    return _Outcome(error and error.replace(f"{hidden}/", ""), warnings)


def _error(code: int, output: str, errors: str, expected: str) -> str | None:
    """Return the line that says why a script failed; None if it did not."""
    if code != 0:
        end = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
        return _last_line(errors) or _last_line(output) or end
    failed = [line for line in output.splitlines() if _FAILURE.search(line)]
    if failed:
        return failed[0].strip()
    return None if expected in output else f"its output lacks {expected!r}"


def _last_line(text: str) -> str:
    lines: Sequence[str] = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
