"""Kokkos in a process: threads, errors, compiling ahead, launches from several threads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import kernels
import numpy as np
import pykokkos as pk
import pytest

import kkspdnn
from kkspdnn.errors import SpaceError, ToolchainError
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.pk.dispatch import compile_ahead
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime
from kkspdnn.pk.runtime.program import Program

Load = Callable[..., ModuleType]

TEXT = """
import pykokkos as pk


@pk.workunit
def fill(i: int, x, value):
    x[i] = value


@pk.workunit
def total(i: int, acc: pk.Acc[pk.double], x: pk.View1D[pk.double]):
    acc += x[i]
"""


def test_serial_and_openmp_share_one_kokkos() -> None:
    assert get_runtime(pk.Serial) is get_runtime(pk.OpenMP)
    assert 1 <= get_runtime(pk.OpenMP).threads


def test_cuda_without_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kkspdnn.pk.system.cuda_driver.devices", tuple)
    with pytest.raises(SpaceError, match="no NVIDIA device: run on a machine with a GPU"):
        find_runtime_library(pk.Cuda)
    with pytest.raises(SpaceError, match="no NVIDIA device"):
        get_runtime(pk.Cuda)


def test_a_library_that_cannot_be_loaded(tmp_path: Path) -> None:
    broken = tmp_path / "workunit.so"
    broken.write_bytes(b"not a library")
    program = next(iter(launched_workunit().programs.values()))
    with pytest.raises(ToolchainError, match=f"cannot load {broken}: "):
        Program(program.generated, broken, program.runtime)


def launched_workunit() -> object:
    pk.parallel_reduce("w", pk.RangePolicy(pk.Serial, 0, 1), kernels.count_short)
    return kernels.count_short


def test_compiling_ahead_launches_nothing(load: Load) -> None:
    module = load(TEXT)
    x, y = np.zeros(3), np.zeros(3, np.float32)
    policy = pk.RangePolicy(pk.Serial, 0, 3)

    def launches() -> None:
        pk.parallel_for("w", policy, module.fill, x=x, value=1.0)
        pk.parallel_for("w", policy, module.fill, x=y, value=np.float32(2))
        assert pk.parallel_reduce("w", policy, module.total, x=x) == 0

    compile_ahead(launches)
    assert not x.any()
    assert not y.any()
    assert len(module.fill.programs) == 2
    assert len(module.total.programs) == 1
    before = dict(module.fill.programs)
    pk.parallel_for("w", policy, module.fill, x=x, value=1.0)
    assert pk.parallel_reduce("w", policy, module.total, x=x) == 3.0
    assert module.fill.programs == before
    compile_ahead(launches)
    assert module.fill.programs == before


def test_launches_work_after_a_failed_trace_or_compile(load: Load) -> None:
    module = load(TEXT)
    policy = pk.RangePolicy(pk.Serial, 0, 3)
    with pytest.raises(ZeroDivisionError):
        compile_ahead(lambda: 1 // 0)

    def refused() -> None:
        pk.parallel_for("w", policy, module.fill, x=np.zeros(3), value=np.zeros(3))

    with pytest.raises(TypeError, match="`value` is not a number"):
        compile_ahead(refused)
    assert pk.parallel_reduce("w", policy, module.total, x=np.ones(3)) == 3.0


def test_python_threads_may_launch_concurrently() -> None:
    x = np.arange(1000.0)
    policy = pk.RangePolicy(pk.Serial, 0, len(x))

    def launch(k: int) -> float:
        return float(pk.parallel_reduce("w", policy, kernels.dot, x=x, y=x))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(launch, range(200))) == {float(x @ x)}


def test_openmp_from_other_threads() -> None:
    """Kokkos 4 supports it, and 3.4 after kkspdnn_enter; new threads launch all the time."""
    x, integers = np.arange(1000.0), np.arange(1000)

    def launch(_: int) -> bool:
        cores = os.sched_getaffinity(0)
        policy = pk.RangePolicy(pk.OpenMP, 0, 1000)
        total = pk.parallel_reduce("w", policy, kernels.dot, x=x, y=x)
        team = pk.TeamPolicy(pk.OpenMP, 50, pk.AUTO)
        sums = pk.parallel_reduce("w", team, kernels.team_reduction, x=x.reshape(50, 20))
        before, after = np.empty_like(integers), np.empty_like(integers)
        arrays = {"x": integers, "before": before, "after": after}
        last = pk.parallel_scan("w", policy, kernels.running_sum, **arrays)
        return bool(
            total == x @ x
            and sums == x.sum()
            and last == integers.sum()
            and (after == np.cumsum(integers)).all()
            and os.sched_getaffinity(0) == cores
        )

    assert launch(0)
    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(launch, range(100)))
        assert launch(0)


def output(script: str, **openmp: str) -> str:
    """Return the output of a script in a new process that has only these OMP_ variables."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")}
    folder = str(Path(kkspdnn.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-c", START + script],
        env={**environment, "PYTHONPATH": folder, **openmp},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


START = """
import os
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime

"""


@pytest.mark.parametrize("threads", [1, usable_cores()])
def test_the_number_of_threads(threads: int) -> None:
    script = "print(get_runtime(ExecutionSpace.OpenMP).threads)"
    assert output(script, OMP_NUM_THREADS=str(threads)) == f"{threads}\n"


def test_starting_kokkos_restores_affinity_and_environment() -> None:
    """OpenMP binds the thread that starts it, and so every process that it starts later."""
    output("""
before = os.sched_getaffinity(0), dict(os.environ)
assert get_runtime(ExecutionSpace.OpenMP).threads >= 1
assert (os.sched_getaffinity(0), dict(os.environ)) == before
""")


def test_the_user_s_binding_is_kept() -> None:
    script = """
assert get_runtime(ExecutionSpace.OpenMP).threads >= 1
assert len(os.sched_getaffinity(0)) == 1, os.sched_getaffinity(0)
assert os.environ["OMP_PLACES"] == "cores"
"""
    output(script, OMP_PROC_BIND="close", OMP_PLACES="cores")
