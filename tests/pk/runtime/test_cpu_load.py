"""Launches with a single thread on a busy machine: when they happen, and equal results."""

from __future__ import annotations

import os
from pathlib import Path

import kernels
import numpy as np
import pykokkos as pk
import pytest
from processes import script

from kkspdnn.inference import infer
from kkspdnn.io.shipped_images import images
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime.cpu_load import CpuLoadMonitor
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime
from kkspdnn.predictor import Predictor

TICK = 1 / os.sysconf("SC_CLK_TCK")


class Machine:
    """A fake machine: two cores, the kernel's counters in a file, and a clock."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.clock, self.own = folder, 50.0, 0.0
        self.used = [0.0, 0.0]
        self.stolen = 0.0
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        self.write()

    def write(self) -> None:
        steal = round(self.stolen / TICK)
        rows = [f"cpu{n} {round(u / TICK)} 0 0 9 9 0 0 {steal}" for n, u in enumerate(self.used)]
        (self.folder / "stat").write_text("\n".join(["cpu 1 1 1", *rows, "ctxt 7"]) + "\n")

    def run(self, seconds: float, own: float = 0.0, others: float = 0.0) -> None:
        """Advance the clock; own, others: the number of cores that processes use."""
        self.clock += seconds
        self.own += own * seconds
        for core in (0, 1):
            self.used[core] += (own + others) * seconds / 2
        self.write()

    def monitor(self) -> CpuLoadMonitor:
        return CpuLoadMonitor(self.folder, lambda: self.clock, lambda: self.own)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("own", "others", "single"),
    [(2, 0, False), (1.6, 0.4, False), (1.3, 0.7, True), (1, 1, True), (0.7, 1.3, True)],
)
def test_a_single_thread_if_about_one_core_is_left(
    machine: Machine, own: float, others: float, single: bool
) -> None:
    monitor = machine.monitor()
    machine.run(1.0, own, others)
    assert monitor.prefers_single_thread() is single


def test_the_monitor_follows_the_load(machine: Machine) -> None:
    monitor = machine.monitor()
    assert not monitor.prefers_single_thread()
    machine.run(0.1, 0.5, 1.5)
    assert not monitor.prefers_single_thread()  # the interval is too short
    machine.run(0.2, 0.5, 1.5)
    assert monitor.prefers_single_thread()
    machine.run(0.1, 2, 0)
    assert monitor.prefers_single_thread()
    machine.run(0.3, 2, 0)
    assert not monitor.prefers_single_thread()


def test_the_load_during_a_pause_does_not_count(machine: Machine) -> None:
    monitor = machine.monitor()
    machine.run(0.3, 0, 2)
    assert monitor.prefers_single_thread()  # too short for a pause
    machine.run(5.0, 0.1, 1.9)
    assert not monitor.prefers_single_thread()
    machine.run(5.0, 0.7, 1.3)  # a long launch
    assert monitor.prefers_single_thread()


def test_stolen_time_of_a_virtual_machine_is_no_load(machine: Machine) -> None:
    monitor = machine.monitor()
    machine.stolen = 5.0
    machine.run(1.0, 2, 0)
    assert not monitor.prefers_single_thread()


def test_without_counters_all_threads_are_used(machine: Machine) -> None:
    monitor = machine.monitor()
    (machine.folder / "stat").unlink()
    machine.clock += 1
    assert not monitor.prefers_single_thread()
    machine.run(1.0, 0, 2)  # the first reading after none
    assert not monitor.prefers_single_thread()


_STARTED = """
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime

started = get_runtime(ExecutionSpace.OpenMP, 2)
print(bool(started._functions.kkspdnn_can_run_alone()), started._load_monitor is not None)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, True), ({"OMP_WAIT_POLICY": "passive"}, False), ({"GOMP_SPINCOUNT": "10"}, False)],
)
def test_the_load_is_monitored_unless_the_user_sets_how_threads_wait(
    variables: dict[str, str], expected: bool
) -> None:
    """In a new process, as kkspdnn sets variables while Kokkos starts."""
    possible, monitored = script(_STARTED, **variables)[0].split()
    assert monitored == str(possible == "True" and expected)


class AlternatingMonitor:
    """Asks for a single thread in every second launch."""

    def __init__(self) -> None:
        self.calls = 0
        self.due, self.single = 0.0, False

    def prefers_single_thread(self) -> bool:
        self.calls += 1
        return self.calls % 2 == 1


class SingleThreadMonitor:
    due = 0.0

    def prefers_single_thread(self) -> bool:
        return True


def test_a_team_of_several_threads_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    started = get_runtime(ExecutionSpace.OpenMP)
    if started.threads < 2:
        pytest.skip("a team of two needs two threads")
    monkeypatch.setattr(started, "_load_monitor", SingleThreadMonitor())
    x = np.arange(60.0).reshape(6, 10)
    for team_size in (2, pk.AUTO, 1, 2):
        policy = pk.TeamPolicy(ExecutionSpace.OpenMP, 6, team_size)
        assert pk.parallel_reduce("sum", policy, kernels.team_reduction, x=x) == x.sum()


def test_serial_launches_do_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    started = get_runtime(ExecutionSpace.Serial)
    monitor = AlternatingMonitor()
    monkeypatch.setattr(started, "_load_monitor", monitor)
    x = np.ones(10)
    for space, calls in ((pk.Serial, 0), (pk.OpenMP, 1), (pk.Serial, 1), (pk.OpenMP, 2)):
        assert pk.parallel_reduce(pk.RangePolicy(space, 0, 10), kernels.dot, x=x, y=x) == 10
        assert monitor.calls == calls


def test_the_decision_holds_until_the_next_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    started = get_runtime(ExecutionSpace.OpenMP)
    monitor = AlternatingMonitor()
    monkeypatch.setattr(started, "_load_monitor", monitor)
    monitor.due, monitor.single = float("inf"), False
    for _ in range(3):
        assert (
            pk.parallel_reduce(pk.RangePolicy(0, 3), kernels.dot, x=np.ones(3), y=np.ones(3)) == 3
        )
    assert monitor.calls == 0


@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_launches_with_one_thread_give_equal_results(
    monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    started = get_runtime(ExecutionSpace.OpenMP)
    if not started._functions.kkspdnn_can_run_alone():
        pytest.skip("this Kokkos or this number of threads has no launches with fewer threads")
    net, rows = radixnet(1024, 12), images(1024, 700)
    expected = infer(net, rows, kernel=kernel, values=True)  # type: ignore[arg-type]
    monitor = AlternatingMonitor()
    monkeypatch.setattr(started, "_load_monitor", monitor)
    result = infer(net, rows, kernel=kernel, values=True, verify="full")  # type: ignore[arg-type]
    assert monitor.calls > 10
    assert result.record.verified.passed
    assert result.categories.tolist() == expected.categories.tolist()
    assert (result.outputs == expected.outputs).all()
    predict = Predictor(net)
    dense = rows.to_dense(np.float32)
    for _ in range(3):
        assert (predict(dense) == expected.outputs).all()
