"""Example scripts in processes of their own: what counts as running."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.pykokkos_examples.examples import Example
from bench.pykokkos_examples.run_example import ExampleResult, run_example


def run(folder: Path, text: str, **options: object) -> ExampleResult:
    script = folder / "examples" / "part" / "script.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(text, "utf-8")
    return run_example(folder, Example("part/script.py", **options))  # type: ignore[arg-type]


def test_a_script_has_its_arguments_its_neighbours_and_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "examples" / "part").mkdir(parents=True)
    (tmp_path / "examples" / "part" / "neighbour.py").write_text("word = 'near'\n", "utf-8")
    text = (
        "import os, sys, pathlib, neighbour, pykokkos as pk\n"
        "assert os.listdir() == []\n"
        "pathlib.Path('left').touch()\n"
        "threads = os.environ['OMP_NUM_THREADS']\n"
        "print(__name__, neighbour.word, sys.argv[1:], threads, pk.__name__)\n"
    )
    expected = "__main__ near ['-n', '3'] 5 kkspdnn.pk.language"
    result = run(tmp_path, text, arguments=("-n", "3"), prints=expected, threads=5)
    assert (result.status, result.error, result.warnings) == ("runs", None, 0)
    files = sorted(path.name for path in tmp_path.rglob("*"))
    assert files == ["examples", "neighbour.py", "part", "script.py"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("print('Validation failed on a[]: 3')", "Validation failed on a[]: 3"),
        ("print('fine'); print(' ERROR: wrong sum')", "ERROR: wrong sum"),
        ("print('other')", "its output lacks 'done'"),
        ("raise SystemExit('no view')", "no view"),
        ("raise SystemExit(3)", "exit code 3"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
        ("raise ValueError(__file__)", "ValueError: script.py"),
    ],
)
def test_a_script_fails(tmp_path: Path, text: str, error: str) -> None:
    result = run(tmp_path, text, prints="done")
    assert (result.status, result.error) == ("fails", error)


def test_the_checks_of_debug_mode_count(tmp_path: Path) -> None:
    """A script that reads outside its arrays fails in debug mode, before it may crash without."""
    text = "import os\nassert os.environ['KKSPDNN_DEBUG'] == '0', 'index 3 is out of bounds'\n"
    assert run(tmp_path, text).error == "AssertionError: index 3 is out of bounds"


def test_the_changes_of_a_script_are_tried_if_it_fails_unchanged(tmp_path: Path) -> None:
    change = ("1 / 0", "1 / 1")
    changed = run(tmp_path, "print(1 / 0)", prints="1.0", changes=(change,))
    assert (changed.status, changed.changes) == ("runs changed", (change,))
    assert changed.error == "ZeroDivisionError: division by zero"
    assert (tmp_path / "examples" / "part" / "script.py").read_text("utf-8") == "print(1 / 0)"
    unchanged = run(tmp_path, "print(1 / 1)", prints="1.0", changes=(change,))
    assert (unchanged.status, unchanged.changes) == ("runs", ())
    failed = run(tmp_path, "print(1 / 0)", prints="1.0", changes=(("print", "abs"),))
    assert (failed.status, failed.changes) == ("fails", ())


@pytest.mark.parametrize("line", ["import cupy.missing", "pk.set_default_space(pk.Cuda)"])
def test_a_script_for_a_gpu_is_counted_apart(tmp_path: Path, line: str) -> None:
    assert run(tmp_path, f"{line}\n").status == "needs a GPU"


@pytest.mark.slow
def test_warnings_of_the_compiler_are_counted(tmp_path: Path) -> None:
    text = (
        "import numpy as np\nimport pykokkos as pk\n\n\n"
        "@pk.workunit\ndef halves(i, x):\n    x[i] = 0.5 * i\n\n\n"
        "x = np.zeros(4, np.int32)\npk.parallel_for(4, halves, x=x)\nprint(x)\n"
    )
    result = run(tmp_path, text, prints="[0 0 1 1]")
    assert (result.status, result.error, result.warnings) == ("runs", None, 1)
