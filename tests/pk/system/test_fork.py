"""Processes forked after a computation.

multiprocessing forks by default on Linux up to Python 3.13, and so do joblib, gunicorn and daemons.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from processes import script

from kkspdnn.errors import SpaceError
from kkspdnn.pk.runtime.openmp import was_forked
from kkspdnn.pk.system.fork import KokkosProcess, ProcessLock

CHILDREN = """
import multiprocessing as mp, os, sys, threading, time
import numpy as np, kkspdnn as kk

def ended(action, seconds=60):
    '''Run action in a forked child; print how the child ended, or HANGS.'''
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        except kk.KkspdnnError as error:
            print(type(error).__name__, error)
        sys.stdout.flush()
        sys.exit(code)
    for _ in range(10 * seconds):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return print("ended with", os.waitstatus_to_exitcode(status))
        time.sleep(0.1)
    os.kill(child, 9)
    os.waitpid(child, 0)
    print("HANGS")

net, rows = kk.radixnet(64, 4), kk.images(64, 200)
"""

REFUSED = (
    "SpaceError this process was forked after Kokkos was started, and its threads were not: start "
    "processes with the `spawn` method (multiprocessing.get_context('spawn')), or fork before the "
    "first computation"
)


@pytest.mark.slow
def test_a_child_that_does_nothing_ends() -> None:
    out, _ = script(CHILDREN + "kk.infer(net, rows)\nended(lambda: None)\n")
    assert out == "ended with 0\n"


@pytest.mark.slow
def test_the_error_of_a_child_that_computes_names_spawn() -> None:
    out, _ = script(
        CHILDREN
        + """
predict = kk.Predictor(net)
ended(lambda: kk.infer(net, rows))
ended(lambda: kk.infer(net, rows, space="serial"))
ended(lambda: kk.Predictor(net))
ended(lambda: predict(np.ones((3, 64), np.float32)))
print(predict(np.ones((3, 64), np.float32)).shape)
"""
    )
    refused = f"{REFUSED}\nended with 1\n"
    assert out == 4 * refused + "(3, 64)\n"


@pytest.mark.slow
def test_the_error_of_the_user_s_workunit_names_spawn(tmp_path: Path) -> None:
    """One workunit that the parent has compiled, and one that it has not."""
    (tmp_path / "own.py").write_text("""
import pykokkos as pk


@pk.workunit
def double_it(i: int, x: pk.View1D[pk.double]):
    x[i] *= 2.0


@pk.workunit
def triple_it(i: int, x: pk.View1D[pk.double]):
    x[i] *= 3.0
""")
    out, _ = script(
        CHILDREN
        + """
from kkspdnn.pk import provide_pykokkos
pk = provide_pykokkos()
sys.path.append(sys.argv[1])
import own
x = np.ones(4)

def launch(workunit):
    pk.parallel_for("w", pk.RangePolicy(pk.OpenMP, 0, 4), workunit, x=x)

launch(own.double_it)
ended(lambda: launch(own.double_it))
ended(lambda: launch(own.triple_it))
print(x)
""",
        str(tmp_path),
    )
    assert out == f"{REFUSED}\nended with 1\n" * 2 + "[2. 2. 2. 2.]\n"


@pytest.mark.slow
def test_a_pool_of_multiprocessing() -> None:
    """With `fork` the parent gets the error; with `spawn`, which it names, the results."""
    out, _ = script(
        CHILDREN
        + """
kk.infer(net, rows)
with mp.get_context("fork").Pool(2) as pool:
    try:
        print(pool.map_async(kk.radixnet(64, 4).astype, [np.float64]).get(60)[0].dtype)
        pool.starmap_async(kk.infer, [(net, rows)]).get(60)
    except kk.SpaceError as error:
        print("spawn" in str(error))
with mp.get_context("spawn").Pool(1) as pool:
    print(pool.starmap_async(kk.infer, [(net, rows)]).get(100)[0].categories.size > 0)
"""
    )
    assert out == "float64\nTrue\nTrue\n"


@pytest.mark.slow
def test_a_child_computes_if_its_parent_has_not() -> None:
    out, _ = script(
        CHILDREN
        + """
def compute():
    print(kk.infer(net, rows).categories.size > 0)
    ended(lambda: kk.infer(net, rows))

ended(compute)
ended(compute)
print(kk.infer(net, rows).categories.size > 0)
"""
    )
    assert out == f"True\n{REFUSED}\nended with 1\nended with 0\n" * 2 + "True\n"


@pytest.mark.slow
def test_locks_that_another_thread_holds_during_the_fork() -> None:
    """Those of a launch, a compile and a prediction."""
    out, _ = script(
        CHILDREN
        + """
from kkspdnn.pk.runtime import kokkos_runtime
from kkspdnn.pk.build import find_runtime
from kkspdnn.pk.frontend import parse
predict = kk.Predictor(net)
held, done = threading.Event(), threading.Event()

def hold():
    with find_runtime.KOKKOS_LOCK, parse._PARSER_LOCK, predict._lock:
        with kokkos_runtime.get_runtime(predict._space.execution_space).lock:
            held.set()
            done.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
ended(lambda: predict(np.ones((3, 64), np.float32)))
ended(lambda: kk.infer(net, rows))
done.set()
thread.join()
"""
    )
    assert out == f"{REFUSED}\nended with 1\n" * 2


@pytest.mark.slow
def test_a_lock_that_is_held_before_kokkos_starts() -> None:
    out, _ = script(
        CHILDREN
        + """
from kkspdnn.pk.build import find_runtime
from kkspdnn.pk.frontend import parse
held, done = threading.Event(), threading.Event()

def hold():
    with find_runtime.KOKKOS_LOCK, parse._PARSER_LOCK:
        held.set()
        done.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
ended(lambda: print(kk.infer(net, rows).categories.size > 0))
done.set()
thread.join()
"""
    )
    assert out == "True\nended with 0\n"


@pytest.mark.slow
def test_a_progress_bar_in_a_forked_process() -> None:
    """The bar's timer, a thread of the parent, may hold the bar's locks during the fork."""
    out, _ = script(
        CHILDREN
        + """
from rich.console import Console
from kkspdnn.progress.bar import DelayedBar
from kkspdnn.progress.display import TerminalDisplay
bar = DelayedBar(TerminalDisplay(Console(stderr=True, force_terminal=True)), 0.0)
time.sleep(0.3)
held, done = threading.Event(), threading.Event()

def hold():
    with bar._lock, bar._display._bar._lock:
        held.set()
        done.wait()

thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    bar("inference", 0.5)
    bar.stop()
    os._exit(7)
deadline = time.monotonic() + 30
while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
    time.sleep(0.1)
if not ended[0]:
    os.kill(child, 9)
done.set()
thread.join()
bar.stop()
print("ended with", os.waitstatus_to_exitcode(ended[1]))
"""
    )
    assert out == "ended with 7\n"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++ for a library with OpenMP")
def test_a_fork_after_another_library_has_used_openmp(tmp_path: Path) -> None:
    source, library = tmp_path / "region.c", tmp_path / "region.so"
    source.write_text('void region() {\n#pragma omp parallel num_threads(2)\n  __asm__("");\n}\n')
    command = ["g++", "-x", "c", "-fopenmp", "-shared", "-fPIC", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    use = """
import ctypes
library = ctypes.CDLL(sys.argv[1])
if "used" in sys.argv:
    library.region()
ended(lambda: print(kk.infer(net, rows, threads=2).categories.size > 0))
"""
    out, _ = script(CHILDREN + use, str(library))
    assert out == "True\nended with 0\n"
    out, _ = script(CHILDREN + use, str(library), "used")
    assert out == (
        "SpaceError this process was forked after a library in it had used OpenMP, whose threads "
        "were not: start processes with the `spawn` method (multiprocessing.get_context('spawn'))\n"
        "ended with 1\n"
    )


def test_the_real_pykokkos_after_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not called in a forked process, where its Kokkos would hang."""
    process = KokkosProcess()
    process.check()
    process.claim()
    process.claim()
    monkeypatch.setattr("os.getpid", lambda: 1)
    for use in (process.check, process.claim):
        with pytest.raises(SpaceError, match=r"forked after Kokkos was started.*`spawn`"):
            use()


def test_a_lock_is_exclusive_and_reentrant() -> None:
    lock, order = ProcessLock(), []

    def other() -> None:
        with lock:
            order.append("other")

    with lock, lock:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.2)
        order.append("this")
    thread.join()
    assert order == ["this", "other"]


def test_whether_this_process_was_forked(tmp_path: Path) -> None:
    assert not was_forked()
    assert not was_forked(tmp_path)
    (tmp_path / "self").mkdir()
    for text, forked in (("1 (a) b) S 1 1 1 0 -1 4194368 0", True), ("1 (a", False)):
        (tmp_path / "self" / "stat").write_text(text)
        assert was_forked(tmp_path) == forked
