"""A rank that fails or is killed ends the run at once; a checkpoint resumes it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

Run = Callable[..., tuple[int, str, str]]
Messages = Callable[[str, str], list[str]]
Start = Callable[..., "subprocess.Popen[str]"]
COMMAND = ("-W", "error", "-m", "kkspdnn")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("input", "kkspdnn: rank 2: cannot be used on this rank"),
        ("memory", "kkspdnn: rank 2: out of memory (here); use fewer --inputs"),
        ("bug", ""),
    ],
)
def test_one_failing_rank_ends_all(
    run: Run, messages: Messages, tmp_path: Path, kind: str, line: str
) -> None:
    script = Path(__file__).with_name("fails_alone.py")
    files = ["--json", tmp_path / "record.json", "--categories", tmp_path / "categories.tsv"]
    code, out, err = run(3, script, kind, *files)
    assert code != 0
    if kind == "bug":
        assert err.count("ZeroDivisionError: a bug") == 1
        assert messages(out, err) == []
    else:
        (only,) = messages(out, err)
        assert only.startswith(line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_interrupt_while_mpi_starts_ends_all(run: Run, messages: Messages) -> None:
    begun = time.monotonic()
    code, out, err = run(3, Path(__file__).with_name("interrupted_early.py"))
    assert time.monotonic() - begun < 60
    assert code == 130
    assert messages(out, err) == ["kkspdnn: rank 1: interrupted"]
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--inputs", "some"], "kkspdnn: argument --inputs: 'some' is not a whole number"),
        (["--neurons", "100"], "kkspdnn: 100 neurons: a RadiX-Net has 16 * 2^k"),
        (["--json", "/proc/nope/x"], "kkspdnn: /proc/nope/x: /proc/nope is not a folder"),
    ],
)
def test_an_error_of_all_ranks_is_printed_once(
    run: Run, messages: Messages, options: list[str], line: str
) -> None:
    code, out, err = run(3, *COMMAND, *options)
    assert code == 2
    (only,) = messages(out, err)
    assert only.startswith(line)


@pytest.mark.slow
def test_a_failing_compile_ends_all(run: Run, messages: Messages, tmp_path: Path) -> None:
    compiler = tmp_path / "broken"
    compiler.write_text("#!/bin/sh\necho 'broken: error: cannot compile' >&2\nexit 1\n")
    compiler.chmod(0o755)
    more = {"CXX": str(compiler), "KKSPDNN_CACHE": str(tmp_path / "cache")}
    code, out, err = run(2, *COMMAND, "--neurons", "64", "--layers", "3", **more)
    assert code != 0
    (only,) = messages(out, err)
    assert "cannot compile" in only


@pytest.mark.slow
def test_a_killed_rank_ends_all_and_the_run_resumes_later(
    start: Start, run: Run, tmp_path: Path
) -> None:
    folder, record = tmp_path / "checkpoint", tmp_path / "record.json"
    # Without early exit, each of the nine shards takes about a second.
    command = (*COMMAND, "--exits", "none", "--verify", "none", "--checkpoint", folder)
    process = start(3, *command, "--json", record)
    until = time.monotonic() + 100
    while not any(folder.glob("part-*.npz")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    below = psutil.Process(process.pid).children(recursive=True)
    ranks = [each for each in below if each.cmdline()[:1] == [sys.executable]]
    assert len(ranks) == 3
    ranks[1].send_signal(signal.SIGKILL)
    killed = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert time.monotonic() - killed < 15
    _, left = psutil.wait_procs(ranks, timeout=15)
    assert left == []
    finished = len(list(folder.glob("part-*-of-9.npz")))
    assert 1 <= finished < 9
    assert not record.exists()
    code, _, err = run(2, *command, "--json", record)
    assert (code, err) == (0, "")
    assert len(list(folder.iterdir())) == 10
    again = json.loads(record.read_text())
    assert again["saved_rows"] >= finished * 6666
    assert sum(load["rows"] for load in again["loads"]) == 60000 - again["saved_rows"]
    code, _, err = run(1, *COMMAND, "--verify", "none", "--json", record)
    assert (code, err) == (0, "")
    assert json.loads(record.read_text())["categories_sha256"] == again["categories_sha256"]


@pytest.mark.slow
def test_a_damaged_checkpoint_ends_all(run: Run, messages: Messages, tmp_path: Path) -> None:
    command = (
        *COMMAND,
        "--neurons",
        "64",
        "--layers",
        "3",
        "--checkpoint",
        tmp_path / "checkpoint",
    )
    assert run(2, *command)[0] == 0
    shard = tmp_path / "checkpoint" / "part-2-of-8.npz"
    shard.write_bytes(shard.read_bytes()[:-30])
    code, out, err = run(2, *command)
    assert code != 0
    (only,) = messages(out, err)
    assert only.startswith(f"kkspdnn: {shard}: is damaged")
