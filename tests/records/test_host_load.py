"""The load of other processes, from the kernel's counters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kkspdnn.inference import infer
from kkspdnn.io.json_schema import decode
from kkspdnn.model.radixnet import radixnet
from kkspdnn.records import host_load
from kkspdnn.records.host_load import HostLoad, LoadMeter
from kkspdnn.records.result_table import result_table
from kkspdnn.records.run import Record

TICK = 1 / os.sysconf("SC_CLK_TCK")


class Machine:
    """A machine with four cores, of which this process may use the first three, and a clock."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.clock = folder, 100.0
        patch.setattr(host_load, "perf_counter", lambda: self.clock)
        patch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
        self.counts = [[0] * 10 for _ in range(4)]
        self.write()

    def write(self) -> None:
        lines = ["cpu  " + " ".join(["999999"] * 10)]
        lines += [f"cpu{core} {' '.join(map(str, c))}" for core, c in enumerate(self.counts)]
        (self.folder / "stat").write_text("\n".join([*lines, "intr 5 5 5", "ctxt 7"]) + "\n")

    def run(self, seconds: float, **used: float) -> None:
        """Advance the clock; used: busy seconds of core0, core1, …, in any field that counts."""
        self.clock += seconds
        for number, (core, each) in enumerate(used.items()):
            field = (0, 1, 2, 5, 6, 7)[number % 6]
            self.counts[int(core[4:])][field] += round(each / TICK)
        for each_core in self.counts:
            each_core[3] += 1000  # idle
            each_core[4] += 1000  # waiting for I/O
        self.write()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("used", "own", "threads", "others", "busy"),
    [
        ({"core0": 1.0, "core1": 1.0}, 2.0, 2, 0.0, False),
        ({"core0": 1.0, "core1": 1.0, "core2": 1.0}, 2.0, 2, 1.0, False),
        ({"core0": 1.0, "core1": 1.0, "core2": 1.0}, 2.0, 3, 1.0, True),
        ({"core0": 1.0, "core1": 1.0, "core2": 1.0}, 1.0, 2, 2.0, True),
        ({"core0": 1.0, "core1": 1.0, "core2": 1.0}, 2.8, 3, 0.2, False),
        ({"core3": 1.0}, 0.0, 3, 0.0, False),
        ({"core0": 0.5}, 0.7, 3, 0.0, False),
    ],
)
def test_the_cores_that_other_processes_use(
    machine: Machine,
    used: dict[str, float],
    own: float,
    threads: int,
    others: float,
    busy: bool,
) -> None:
    meter = LoadMeter(machine.folder)
    machine.run(1.0, **used)
    load = meter.measure(own, threads)
    assert load.other_cores == pytest.approx(others)
    assert (load.cores, load.busy) == (3, busy)


def test_short_runs_and_other_systems(machine: Machine) -> None:
    meter = LoadMeter(machine.folder)
    machine.run(0.1, core0=0.1)
    assert meter.measure(0.0, 3) == replace(meter.measure(0.0, 3), other_cores=None, busy=False)
    assert "not measured" in meter.measure(0.0, 3).summary
    machine.run(1.0)
    for text in ("cpu0 1 2\n", "cpu0 a b c d e f g h\n"):
        (machine.folder / "stat").write_text(text)
        assert meter.measure(0.0, 3).other_cores is None
    (machine.folder / "stat").unlink()
    assert meter.measure(0.0, 3).other_cores is None
    assert not LoadMeter(machine.folder).measure(0.0, 3).busy


@pytest.fixture
def busy_loops() -> Iterator[None]:
    """Start one busy loop for each core."""
    loop = [sys.executable, "-c", "while True: pass"]
    started = [subprocess.Popen(loop) for _ in os.sched_getaffinity(0)]
    yield
    for each in started:
        each.kill()
        each.wait()


@pytest.mark.slow
def test_busy_loops_count_as_load(busy_loops: None) -> None:
    meter = LoadMeter()
    start = host_load.perf_counter()
    while host_load.perf_counter() - start < 1.0:
        pass
    threads = len(os.sched_getaffinity(0))
    load = meter.measure(meter.own_seconds(), threads)
    assert load.busy
    assert load.other_cores is not None
    assert threads / 4 < load.other_cores <= threads


def test_the_load_is_in_the_record_and_in_the_table(tmp_path: Path) -> None:
    record = infer(radixnet(64, 2), np.ones((3, 64), np.float32)).record
    assert record.host is not None
    assert record.host.cores == len(os.sched_getaffinity(0))
    host = HostLoad(load_average=3.25, cores=2, other_cores=1.28, busy=True)
    busy = replace(record, host=host)
    line = "machine     other processes used 1.3 of 2 cores, load average 3.2; the machine is busy"
    assert line in result_table(busy).splitlines()
    idle = replace(busy, host=replace(host, busy=False, load_average=None))
    assert "machine     other processes used 1.3 of 2 cores" in result_table(idle).splitlines()
    fields = json.loads(busy.to_json())
    assert fields["host"] == {
        "load_average": 3.25,
        "cores": 2,
        "other_cores": 1.28,
        "busy": True,
    }
    assert decode(Record, fields, "record") == busy


def test_a_record_without_load_is_read(tmp_path: Path) -> None:
    fields = json.loads(infer(radixnet(64, 2), np.ones((3, 64), np.float32)).record.to_json())
    del fields["host"]
    record = decode(Record, fields, "record")
    assert record.host is None
    assert "machine  " not in result_table(record)
