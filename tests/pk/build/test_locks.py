"""Locks between processes: one builds, the others wait and name the holder."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kkspdnn.pk.build import locks
from kkspdnn.pk.system.termination import map_in_threads

HOLD = """
import sys, time
from pathlib import Path
from kkspdnn.pk.build import locks

with locks.exclusive(Path(sys.argv[1]), "hold it"):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    environment = {**os.environ, "PYTHONPATH": str(Path(locks.__file__).parents[3])}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], env=environment, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_waiting_process_names_the_holder(
    path: Path, holder: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    os.kill(holder.pid, signal.SIGSTOP)
    assert locks.holder_of(path) == f"process {holder.pid}"
    with locks.try_exclusive(path) as acquired:
        assert not acquired
    done = threading.Event()

    def wait() -> None:
        with locks.exclusive(path, "build kokkos/openmp"):
            done.set()

    with caplog.at_level(logging.INFO, "kkspdnn"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not done.wait(2.5)
        assert caplog.messages == [f"waiting for process {holder.pid} to build kokkos/openmp"]
        assert caplog.records[0].name == "kkspdnn.progress"
        assert caplog.records[0].levelno == logging.INFO
        os.kill(holder.pid, signal.SIGKILL)
        assert done.wait(10)
        waiting.join()
    assert len(caplog.messages) == 1
    assert locks.holder_of(path) is None


def test_a_wait_for_this_process_is_not_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = threading.Event()

    def hold() -> None:
        with locks.exclusive(path, "build it"):
            held.set()
            time.sleep(1.5)

    first = threading.Thread(target=hold)
    first.start()
    assert held.wait(10)
    start = time.monotonic()
    with caplog.at_level(logging.INFO, "kkspdnn"), locks.exclusive(path, "build it"):
        assert time.monotonic() - start > 1
    first.join()
    assert caplog.messages == []


def test_shared_and_exclusive(path: Path) -> None:
    with locks.shared(path), locks.shared(path), locks.try_exclusive(path) as acquired:
        assert not acquired
    with locks.try_exclusive(path) as acquired:
        assert acquired
        with locks.try_exclusive(path) as second:
            assert not second


def test_a_symbolic_link_instead_of_a_lock_file(tmp_path: Path, path: Path) -> None:
    path.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), locks.exclusive(path, "build it"):
        pass
    assert not (tmp_path / "victim").exists()
    assert locks.holder_of(path) is None


def test_a_thread_stops_waiting_when_the_main_thread_is_interrupted(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    def wait(_: int) -> None:
        with locks.exclusive(path, "use it"):
            pytest.fail("another process holds it")

    results = map_in_threads(wait, [0], workers=1)
    threading.Timer(0.3, lambda: signal.raise_signal(signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), closing(results):
        next(results)
    assert time.monotonic() - start < 20
