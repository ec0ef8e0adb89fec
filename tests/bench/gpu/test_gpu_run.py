"""`bench.gpu run`: all steps run, also after failures, and the results are written."""

from __future__ import annotations

import json
import os
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.gpu import cli, run
from bench.gpu.steps import Step


def python(text: str, **options: Any) -> Step:
    """Return a step that runs a Python program."""
    fields: dict[str, Any] = {"seconds": 30, "device": False, **options}
    return Step(fields.pop("name", "a"), command=(sys.executable, "-c", text), **fields)


@pytest.fixture
def measure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, list[dict[str, Any]]]]:
    """Run steps; return the exit code, the output, and the steps of the record."""

    def measured(*steps: Step, options: tuple[str, ...] = ()) -> Any:
        monkeypatch.setattr(run, "first_steps", lambda session: iter(steps))
        out = tmp_path / "out"
        code = cli.main(["run", "--space", "openmp", "--out", str(out), *options])
        printed = capsys.readouterr().out
        assert (out / "summary.txt").read_text() == printed
        with tarfile.open(out / "records.tar.gz") as archive:
            names = [name for name in archive.getnames() if "session" in name]
            file = archive.extractfile(names[0])
            assert file is not None
            record = json.load(file)
        assert record["schema"] == run.SCHEMA
        return code, printed, record["steps"]

    return measured


def test_steps_run_after_a_failure(measure: Callable[..., Any]) -> None:
    code, printed, steps = measure(
        python("print('fine')", name="one"),
        python("print('bad'); raise SystemExit(3)", name="two", shows="never"),
        python("print('hidden'); print('shown')", name="three", shows="sho"),
    )
    assert code == 1
    assert [step["status"] for step in steps] == ["passed", "failed", "passed"]
    assert steps[1]["reason"] == "exit code 3"
    assert "  fine\n" in printed
    assert "  bad\n" in printed  # the output of a failed step is always shown
    assert "hidden" not in printed
    assert "=== two: failed" in printed


def test_all_passed(measure: Callable[..., Any]) -> None:
    code, _, steps = measure(python("import os; assert os.environ['PYTHONUNBUFFERED'] == '1'"))
    assert (code, [step["status"] for step in steps]) == (0, ["passed"])


@pytest.mark.slow
def test_a_step_and_its_children_end_at_the_time_limit(
    measure: Callable[..., Any], tmp_path: Path
) -> None:
    number = tmp_path / "number"
    child = "import time; time.sleep(60)"
    text = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"open({str(number)!r}, 'w').write(str(child.pid))\n"
        "print('begun', flush=True)\n"
        "time.sleep(60)"
    )
    begun = time.monotonic()
    code, printed, steps = measure(python(text, seconds=3), python("print('later')", name="b"))
    assert time.monotonic() - begun < 30
    assert code == 1
    assert [step["status"] for step in steps] == ["timed out", "passed"]
    assert "  begun\n" in printed
    assert "later" in printed
    for _ in range(100):
        try:
            os.kill(int(number.read_text()), 0)
        except ProcessLookupError:
            break
        stat = Path(f"/proc/{number.read_text()}/stat")
        if stat.exists() and ") Z" in stat.read_text():
            break  # ended, but its new parent has not waited for it
        time.sleep(0.05)
    else:
        pytest.fail("the child of the step still runs")


def test_a_step_without_its_program_is_skipped(measure: Callable[..., Any]) -> None:
    code, printed, steps = measure(python("1", program="no-such-program"))
    assert (code, steps[0]["status"]) == (0, "skipped")
    assert "skipped, no no-such-program on the PATH" in printed


def test_no_time_left(measure: Callable[..., Any]) -> None:
    code, printed, steps = measure(python("1"), options=("--seconds", "4"))
    assert (code, steps[0]["reason"]) == (0, "no time left")
    assert "no time left" in printed


def test_some_steps_only(measure: Callable[..., Any]) -> None:
    steps = python("1", name="one"), python("1", name="two")
    _, _, ran = measure(*steps, options=("--only", "two"))
    assert [step["step"] for step in ran] == ["two"]


def test_an_unknown_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "--space", "openmp", "--out", str(tmp_path), "--only", "x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("kkspdnn: --only x: no such step; choose from environment, ")
    assert error.count("\n") == 1


def test_a_machine_without_a_gpu(
    measure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that need no GPU run; one line says why the others are skipped."""
    missing = "no driver: install it"
    monkeypatch.setattr(run, "_missing", lambda space: missing)
    steps = (
        python("1", name="environment"),
        python("raise SystemExit(1)", name="values", device=True),
        python("raise SystemExit(1)", name="times", device=True),
    )
    code, printed, ran = measure(*steps)
    assert code == 2
    assert [step["status"] for step in ran] == ["passed", "skipped", "skipped"]
    assert printed.count(missing) == 1
    assert f"{missing}; skipped: values, times\n" in printed


def test_the_record_contains_the_commands(measure: Callable[..., Any]) -> None:
    _, _, steps = measure(python("print(1)"))
    assert steps[0]["command"].endswith("-c print(1)")
