"""`python -m bench.contention`: a small measurement, its record, and its statistics."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bench import contention
from bench.contention import DEFAULT, ONE, SETTINGS, Plan, Row, busy_loops, mean_seconds, ratios
from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import decode
from kkspdnn.records.host_load import HostLoad

ROOT = Path(__file__).parents[2]
SMALL = ["--neurons", "64", "--layers", "2", "--inputs", "40", "--runs", "1", "--seconds", "0.05"]


@pytest.mark.slow
def test_a_small_measurement(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    options = [*SMALL, "--threads", "2", "--busy", "1", "--json", str(path)]
    command = [sys.executable, "-m", "bench.contention", *options]
    environment = {**os.environ, "OMP_WAIT_POLICY": "active"}  # must not reach the workers
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    record = json.loads(path.read_text())
    assert record["kind"] == "kkspdnn-contention/1"
    assert (record["inputs"], record["threads"]) == (40, 2)
    rows = [decode(Row, row, "row") for row in record["rows"]]
    assert [(row.busy_loops, row.setting) for row in rows] == [
        (loops, setting) for loops in (0, 1) for setting in SETTINGS
    ]
    assert all(row.threads == (1 if row.setting == ONE else 2) for row in rows)
    assert all(len(row.seconds) == 1 and row.seconds[0] > 0 for row in rows)
    assert all(row.environment == SETTINGS[row.setting] for row in rows)
    assert [each["busy_loops"] for each in record["default_over_best"]] == [0, 1]
    assert decode(HostLoad, record["host"], "host").cores >= 1
    assert "with 1 busy loops the default takes" in done.stdout
    for name in ("machine", "compilers", "versions", "created", "network"):
        assert record[name]
    assert record["commit"] or shutil.which("git") is None
    assert record["command"].startswith("python -m bench.contention --neurons 64")


def row(loops: int, setting: str, *seconds: float) -> Row:
    return Row(loops, setting, 2, {}, seconds)


def test_ratios_of_default_and_best_setting() -> None:
    rows = [
        row(0, ONE, 4.0, 4.0, 4.0),
        row(0, DEFAULT, 1.0, 2.0, 9.0),
        row(3, ONE, 4.0),
        row(3, DEFAULT, 5.0),
        row(3, "passive", 6.0),
    ]
    first, second = ratios(rows)
    assert (first.busy_loops, first.best, first.ratio) == (0, DEFAULT, 1.0)
    assert (second.busy_loops, second.best, second.ratio) == (3, ONE, 1.25)


def test_busy_loops_start_and_end() -> None:
    def loops() -> list[psutil.Process]:
        children = psutil.Process().children()
        return [each for each in children if contention._LOOP in each.cmdline()]

    with busy_loops(2):
        running = loops()
        assert len(running) == 2
        assert len({os.getsid(each.pid) for each in running} - {os.getsid(0)}) == 2
    assert loops() == []
    with busy_loops(0):
        assert loops() == []


def test_busy_loops_end_with_a_killed_parent() -> None:
    code = (
        "import psutil, time\n"
        "from bench.contention import busy_loops\n"
        "with busy_loops(1):\n"
        "    print(psutil.Process().children()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    with parent:
        assert parent.stdout is not None
        loop = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert psutil.wait_procs([loop], timeout=20)[1] == []


@pytest.mark.slow
def test_wrong_categories_and_failures_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(64, 2, 40, 1, (0,), 1, 0.01)
    with pytest.raises(
        InputError, match="passive: categories differ from those of the serial reference"
    ):
        contention._one_process(plan, "passive", "another digest")
    monkeypatch.setenv("KKSPDNN_PK", "odd")
    with pytest.raises(InputError, match="passive: .*KKSPDNN_PK=odd"):
        contention._one_process(plan, "passive", "")


def test_the_mean_includes_slow_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    waits = iter([1.0, 5.0, 1.0, 1.0])

    def call() -> None:
        clock[0] += next(waits)

    monkeypatch.setattr(contention, "perf_counter", lambda: clock[0])
    assert mean_seconds(call, 7.5) == 2.0
    assert next(iter(waits), None) is None
    waits = iter([3.0])
    assert mean_seconds(call, 0.0) == 3.0
