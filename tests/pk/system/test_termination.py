"""SIGTERM and SIGHUP: tools end, temporary folders are removed, the status is 128 + number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kkspdnn.pk.build import toolchain
from kkspdnn.pk.system.termination import exit_on_signals, in_worker_thread, map_in_threads

RUN = """
from kkspdnn.pk.build.toolchain import run_tool
run_tool(['/bin/sh', '-c', 'sleep 60 & echo $! >> {mark}; wait'], 'waiting')
"""
BUILD = """
from pathlib import Path
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.kokkos_cpu import scratch_folder
from kkspdnn.pk.build.toolchain import run_tool
def build(folder):
    with scratch_folder() as scratch:
        run_tool(['/bin/sh', '-c', 'sleep 60 & echo $! >> {mark}; wait'], 'waiting', cwd=scratch)
Cache(Path({cache!r})).get_or_build('a', 'b', {{}}, build)
"""
PARALLEL = """
from kkspdnn.pk.system.termination import map_in_threads
from kkspdnn.pk.build.toolchain import run_tool
def wait(number):
    run_tool(['/bin/sh', '-c', 'sleep 60 & echo $! >> {mark}; wait'], 'waiting')
list(map_in_threads(wait, range(4), 2))
"""


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize(("program", "tools"), [(RUN, 1), (BUILD, 1), (PARALLEL, 2)])
def test_a_signal_while_tools_run(
    tmp_path: Path, program: str, tools: int, number: signal.Signals
) -> None:
    mark, temporary = tmp_path / "mark", tmp_path / "temporary"
    temporary.mkdir()
    cache = tmp_path / "cache"
    process = subprocess.Popen(
        [sys.executable, "-c", program.format(mark=mark, cache=str(cache))],
        stderr=subprocess.DEVNULL,
        cwd=Path(toolchain.__file__).parents[3],
        env={**os.environ, "TMPDIR": str(temporary)},
        # A shell's background jobs ignore SIGINT, and nohup ignores SIGHUP.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 100
    try:
        while not mark.exists() or mark.read_text().count("\n") < tools:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        status = process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()
    # Python ends itself by the signal after KeyboardInterrupt.
    assert status == (-number if number == signal.SIGINT else 128 + number)
    pids = mark.read_text().split()
    assert len(pids) == tools
    while any(map(is_alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert list(temporary.iterdir()) == []
    assert [p for p in cache.rglob("*") if p.is_file() and p.suffix != ".lock"] == []


def test_handlers_are_restored() -> None:
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)]
    with exit_on_signals(), exit_on_signals():
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)] == before


def test_a_handler_of_the_program_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def handler(number: int, _: object) -> None:
        seen.append(number)

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with exit_on_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_signal_does_not_interrupt_the_clean_up() -> None:
    done = []

    def end_twice() -> None:
        with exit_on_signals():
            try:
                os.kill(os.getpid(), signal.SIGHUP)
                time.sleep(1)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                os.kill(os.getpid(), signal.SIGHUP)
                time.sleep(0.01)
                done.append(True)

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
    try:
        with pytest.raises(SystemExit) as caught:
            end_twice()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert caught.value.code == 128 + signal.SIGHUP
    assert done == [True]


def test_other_threads_have_no_handlers() -> None:
    seen: list[object] = []

    def work() -> None:
        with exit_on_signals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_results_are_in_order_and_the_first_error_stops_the_rest() -> None:
    assert list(map_in_threads(lambda n: (n, in_worker_thread()), range(9), 3)) == [
        (n, True) for n in range(9)
    ]
    assert not in_worker_thread()
    started: list[int] = []

    def fail(number: int) -> None:
        started.append(number)
        time.sleep(0.01)
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        list(map_in_threads(fail, range(1000), 2))
    assert len(started) < 1000
