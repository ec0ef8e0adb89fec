"""One thread on a busy machine: when, and that nothing else changes."""

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
from kkspdnn.pk.runtime.core_watch import CoreWatch
from kkspdnn.pk.runtime.kokkos_runtime import runtime
from kkspdnn.predictor import Predictor

TICK = 1 / os.sysconf("SC_CLK_TCK")


class Machine:
    """Two cores for this process, their kernel's counts, and a clock."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.clock, self.own = folder, 50.0, 0.0
        self.used = [0.0, 0.0]
        self.stolen = 0.0
        patch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
        self.write()

    def write(self) -> None:
        steal = round(self.stolen / TICK)
        rows = [f"cpu{n} {round(u / TICK)} 0 0 9 9 0 0 {steal}" for n, u in enumerate(self.used)]
        (self.folder / "stat").write_text("\n".join(["cpu 1 1 1", *rows, "ctxt 7"]) + "\n")

    def run(self, seconds: float, own: float = 0.0, others: float = 0.0) -> None:
        """Let time pass; own, others: cores that this and other processes use."""
        self.clock += seconds
        self.own += own * seconds
        for core in (0, 1):
            self.used[core] += (own + others) * seconds / 2
        self.write()

    def watch(self) -> CoreWatch:
        return CoreWatch(self.folder, lambda: self.clock, lambda: self.own)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("own", "others", "single"),
    [(2, 0, False), (1.6, 0.4, False), (1.3, 0.7, True), (1, 1, True), (0.7, 1.3, True)],
)
def test_about_one_core_left_is_for_one_thread(
    machine: Machine, own: float, others: float, single: bool
) -> None:
    watch = machine.watch()
    machine.run(1.0, own, others)
    assert watch.single() is single


def test_it_follows_the_load(machine: Machine) -> None:
    watch = machine.watch()
    assert not watch.single()
    machine.run(0.1, 0.5, 1.5)
    assert not watch.single()  # too short to tell
    machine.run(0.2, 0.5, 1.5)
    assert watch.single()
    machine.run(0.1, 2, 0)
    assert watch.single()
    machine.run(0.3, 2, 0)
    assert not watch.single()


def test_time_that_a_virtual_machine_does_not_get_is_no_load(machine: Machine) -> None:
    watch = machine.watch()
    machine.stolen = 5.0
    machine.run(1.0, 2, 0)
    assert not watch.single()


def test_without_counts_nothing_changes(machine: Machine) -> None:
    watch = machine.watch()
    (machine.folder / "stat").unlink()
    machine.clock += 1
    assert not watch.single()
    machine.run(1.0, 0, 2)  # the first count after none
    assert not watch.single()


_STARTED = """
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime.kokkos_runtime import runtime

started = runtime(ExecutionSpace.OpenMP, 2)
print(bool(started._library.kkspdnn_can_run_alone()), started._watch is not None)
"""


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [({}, True), ({"OMP_WAIT_POLICY": "passive"}, False), ({"GOMP_SPINCOUNT": "10"}, False)],
)
def test_cores_are_watched_unless_the_user_says_how_threads_wait(
    variables: dict[str, str], wanted: bool
) -> None:
    """In a new process: Kokkos is started with variables of our own, which are not the user's."""
    possible, watched = script(_STARTED, **variables)[0].split()
    assert watched == str(possible == "True" and wanted)


class Alternating:
    """Wants one thread for every second launch."""

    def __init__(self) -> None:
        self.asked = 0

    def single(self) -> bool:
        self.asked += 1
        return self.asked % 2 == 1


class Always:
    def single(self) -> bool:
        return True


def test_a_team_of_several_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    started = runtime(ExecutionSpace.OpenMP)
    if started.threads < 2:
        pytest.skip("a team of two needs two threads")
    monkeypatch.setattr(started, "_watch", Always())
    x = np.arange(60.0).reshape(6, 10)
    for team_size in (2, pk.AUTO, 1, 2):
        policy = pk.TeamPolicy(ExecutionSpace.OpenMP, 6, team_size)
        assert pk.parallel_reduce("sum", policy, kernels.team_reduction, x=x) == x.sum()


@pytest.mark.parametrize("kernel", ["fused", "spgemm"])
def test_launches_with_one_thread_give_the_same(
    monkeypatch: pytest.MonkeyPatch, kernel: str
) -> None:
    started = runtime(ExecutionSpace.OpenMP)
    if not started._library.kkspdnn_can_run_alone():
        pytest.skip("this Kokkos, or one thread, has no launches with fewer threads")
    net, rows = radixnet(1024, 12), images(1024, 700)
    expected = infer(net, rows, kernel=kernel, values=True)  # type: ignore[arg-type]
    watch = Alternating()
    monkeypatch.setattr(started, "_watch", watch)
    found = infer(net, rows, kernel=kernel, values=True, verification="full")  # type: ignore[arg-type]
    assert watch.asked > 10
    assert found.record.verified.passed
    assert found.categories.tolist() == expected.categories.tolist()
    assert (found.outputs == expected.outputs).all()
    predict = Predictor(net)
    dense = rows.to_dense(np.float32)
    for _ in range(3):
        assert (predict(dense) == expected.outputs).all()
