"""Free memory, memory budgets and peak memory."""

from __future__ import annotations

import resource
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from kkspdnn.device import memory
from kkspdnn.device.memory import Budget, can_overcommit, free_memory, peak_memory, resident_memory
from kkspdnn.errors import InputError


def machine(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free))


def test_free_memory_is_that_of_the_machine_or_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, 1000)
    assert free_memory(tmp_path) == 1000
    (tmp_path / "memory.max").write_text("700\n")
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 50\n")
    assert free_memory(tmp_path) == 450
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) == 1000
    older = tmp_path / "memory"
    older.mkdir()
    (older / "memory.limit_in_bytes").write_text("500\n")
    (older / "memory.usage_in_bytes").write_text("600\n")
    (older / "memory.stat").write_text("total_inactive_file 0\n")
    assert free_memory(tmp_path) == 0


def test_a_budget_is_for_the_whole_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 5 * 10**9)
    monkeypatch.setattr(memory, "resident_memory", lambda: 10**9)
    assert Budget.from_gigabytes(None).free() == 5 * 10**9
    assert Budget.from_gigabytes(3).free() == 2 * 10**9
    assert Budget.from_gigabytes(3).share() == 8 * 10**8
    assert Budget.from_gigabytes(0.5).free() == 0
    assert Budget.from_gigabytes(100).free() == 5 * 10**9


def test_a_request_above_the_budget_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 5 * 10**9)
    monkeypatch.setattr(memory, "resident_memory", lambda: 10**9)
    Budget().require(5 * 10**9, "rows")
    with pytest.raises(InputError, match=r"rows need 5\.01 GB of memory, 5\.00 GB are free; use a"):
        Budget().require(5 * 10**9 + 1, "rows")
    Budget.from_gigabytes(3).require_share(8 * 10**8, "rows")
    words = r"rows need 2\.50 GB .* 2\.00 GB are left of a budget of 3 GB; at least memory=3\.50"
    with pytest.raises(InputError, match=words):
        Budget.from_gigabytes(3).require_share(10**9, "rows")
    Budget.from_gigabytes(3.5).require_share(10**9, "rows")
    # A request above the machine's free memory is refused whatever the budget.
    with pytest.raises(InputError, match=r"6\.00 GB of memory, .* use a smaller network"):
        Budget.from_gigabytes(3).require(6 * 10**9, "rows")


def test_small_numbers_are_in_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Needed memory is rounded up, free memory down."""
    monkeypatch.setattr(memory, "free_memory", lambda: 10**9)
    monkeypatch.setattr(memory, "resident_memory", lambda: 10**7)
    words = (
        r"rows need 80\.01 MB of memory, 79\.99 MB are left of a budget of 0\.09 GB; "
        r"at least memory=0\.10 is needed"
    )
    with pytest.raises(InputError, match=words):
        Budget(9 * 10**7 - 1).require(8 * 10**7 + 1, "rows")
    with pytest.raises(
        InputError, match=r"0\.10 GB of memory, 0\.00 MB are left of a budget of 1e-09"
    ):
        Budget(1).require(10**8, "rows")


@pytest.mark.parametrize("gigabytes", [0, -1, float("nan"), float("inf")])
def test_an_invalid_budget(gigabytes: float) -> None:
    with pytest.raises(InputError, match="give gigabytes, a number above 0"):
        Budget.from_gigabytes(gigabytes)


def test_the_peak_stays_after_memory_is_freed() -> None:
    block = np.ones(10**8, np.uint8)
    during = resident_memory()
    assert during > block.nbytes
    del block
    assert resident_memory() < during - 9 * 10**7
    # The kernel updates the counters of each thread with a delay.
    assert peak_memory() > 0.98 * during


def test_the_peak_without_the_file_of_the_system(tmp_path: Path) -> None:
    assert peak_memory(tmp_path / "none") >= peak_memory() // 2
    (tmp_path / "status").write_text("VmHWM:\t  1234 kB\n")
    assert peak_memory(tmp_path / "status") == 1234 * 1024


def test_processes_share_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 1200)
    assert memory.Budget(processes=3).free() == 400
    assert (
        memory.Budget(processes=3, device_processes=2, device_memory=lambda: (1000, 0)).free()
        == 500
    )


@pytest.mark.parametrize(("mode", "expected"), [("0", True), ("1", True), ("2", False), ("", True)])
def test_reserving_more_memory_than_is_used(
    mode: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    file = tmp_path / "sys" / "vm" / "overcommit_memory"
    assert not can_overcommit(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text(f"{mode}\n")
    assert can_overcommit(tmp_path) is expected
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2**40, 2**40))
    assert not can_overcommit(tmp_path)
