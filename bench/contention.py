"""Inference time on a busy machine: `python -m bench.contention`.

A new process per measurement repeats an inference with one setting of the OpenMP threads, while
busy loops of other sessions run on the same cores. Settings and numbers of busy loops take turns.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any

import numpy as np

from bench.environment import collect_environment
from bench.measurement import run_measurement
from kkspdnn.cli.parser import Parser, positive_int
from kkspdnn.errors import InputError
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.predictor import Predictor
from kkspdnn.progress import delayed_bar
from kkspdnn.records.host_load import LoadMeter
from kkspdnn.serial_reference import categories, reference

SCHEMA = "kkspdnn-contention/1"
_LIBGOMP = {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}
_BOUND = {"OMP_PROC_BIND": "spread", "OMP_PLACES": "cores"}
_OPENMP = ("OMP_", "GOMP_", "KMP_")

_LOOP = """
import os, sys
while os.getppid() == int(sys.argv[1]):
    for _ in range(10**6): pass
"""
"""A busy loop that looks every few milliseconds whether its parent is alive."""

ONE, DEFAULT = "one thread", "default"
SETTINGS: Mapping[str, Mapping[str, str]] = {
    ONE: {},
    DEFAULT: {},
    "spinning": {**_LIBGOMP, "OMP_PROC_BIND": "false"},
    "spinning, bound": {**_LIBGOMP, **_BOUND},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}
"""Environment variables of each setting, by its name. `spinning` is the default of OpenMP."""


@dataclass(frozen=True)
class Row:
    """One setting with a number of busy loops; seconds: mean time of a call in each process."""

    busy_loops: int
    setting: str
    threads: int
    environment: dict[str, str]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Plan:
    """The problem and the settings. runs: processes of each row; seconds: measured in each."""

    neurons: int
    layers: int
    inputs: int
    threads: int
    busy_loops: tuple[int, ...]
    runs: int
    seconds: float

    def problem(self) -> tuple[Network, Inputs]:
        """Return the network and its input rows."""
        return radixnet(self.neurons, self.layers), images(self.neurons, self.inputs)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m bench.contention`."""
    root = Parser(prog="python -m bench.contention", description=__doc__)
    add = root.add_argument
    add("--neurons", type=positive_int, default=1024, metavar="N", help="(1024)")
    add("--layers", type=positive_int, default=24, metavar="L", help="(24)")
    add("--inputs", type=positive_int, default=256, metavar="M", help="input rows of a call (256)")
    add(
        "--threads",
        type=positive_int,
        metavar="T",
        help="threads, except of the setting 'one thread' (all cores)",
    )
    loops = "numbers of busy loops besides 0 (half the cores, all cores, twice the cores)"
    add("--busy", type=positive_int, nargs="+", metavar="K", help=loops)
    add("--runs", type=positive_int, default=5, metavar="R", help="processes of each setting (5)")
    add(
        "--seconds", type=float, default=2.0, metavar="S", help="measuring time of each process (2)"
    )
    add("--json", type=Path, metavar="FILE", help="write the record")
    add("--worker", metavar="PLAN", help=argparse.SUPPRESS)
    return root


def main() -> int:
    """Measure, print and write the record; return the exit code."""
    arguments = parser().parse_args()
    if arguments.worker is not None:
        return _work(Plan(**json.loads(arguments.worker)))

    def measured() -> tuple[str, int]:
        record = measure(_plan(arguments))
        print("\n".join(table(record)))
        return json.dumps(record, indent=1) + "\n", 0

    return run_measurement(arguments.json, measured)


def _plan(arguments: argparse.Namespace) -> Plan:
    cores = usable_cores()
    busy = arguments.busy or [max(1, cores // 2), cores, 2 * cores]
    return Plan(
        neurons=arguments.neurons,
        layers=arguments.layers,
        inputs=arguments.inputs,
        threads=arguments.threads or cores,
        busy_loops=(0, *sorted(set(busy))),
        runs=arguments.runs,
        seconds=arguments.seconds,
    )


def measure(plan: Plan) -> dict[str, Any]:
    """Measure every setting with every number of busy loops, and return the record."""
    meter, environment = LoadMeter(), collect_environment()
    network, rows = plan.problem()
    expected = _digest(categories(reference(network, rows)))
    times: dict[tuple[int, str], list[float]] = {
        (loops, setting): [] for loops in plan.busy_loops for setting in SETTINGS
    }
    with delayed_bar(True) as bar:
        for run in range(plan.runs):
            for loops in plan.busy_loops:
                if bar is not None:
                    bar(f"run {run + 1} of {plan.runs}", run / plan.runs)
                with busy_loops(loops):
                    for setting in SETTINGS:
                        seconds = _one_process(plan, setting, expected)
                        times[loops, setting].append(seconds)
                if run == loops == 0:
                    # The child processes have ended, so the meter knows their CPU time.
                    load = meter.measure(meter.own_seconds(), plan.threads)
    result = [
        Row(loops, setting, _threads(plan, setting), dict(SETTINGS[setting]), tuple(seconds))
        for (loops, setting), seconds in times.items()
    ]
    return {
        **environment.header(SCHEMA, "bench.contention"),
        "network": network.name,
        "inputs": rows.rows,
        "threads": plan.threads,
        "seconds_measured": plan.seconds,
        "host": asdict(load),
        "rows": [asdict(row) for row in result],
        "default_over_best": [asdict(ratio) for ratio in ratios(result)],
    }


@dataclass(frozen=True)
class Ratio:
    """The median time of the default setting over that of the best setting."""

    busy_loops: int
    best: str
    ratio: float


def ratios(rows: Sequence[Row]) -> Iterator[Ratio]:
    """Return the ratio for each number of busy loops."""
    for loops in sorted({row.busy_loops for row in rows}):
        times = {row.setting: median(row.seconds) for row in rows if row.busy_loops == loops}
        best = min(times, key=lambda setting: times[setting])
        yield Ratio(loops, best, times[DEFAULT] / times[best])


def table(record: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines to print: median, minimum and maximum time of each row."""
    load = record["host"]
    yield f"{record['network']}, {record['inputs']} rows, {record['machine']}"
    if load["busy"]:
        yield f"the machine is busy: other processes used {load['other_cores']:.1f} cores"
    yield f"{'busy loops':<12}{'setting':<18}{'threads':<9}ms a call: median, min, max"
    for row in record["rows"]:
        times = [1e3 * seconds for seconds in row["seconds"]]
        yield (
            f"{row['busy_loops']:<12}{row['setting']:<18}{row['threads']:<9}"
            f"{median(times):.2f}, {min(times):.2f}, {max(times):.2f}"
        )
    for ratio in record["default_over_best"]:
        yield (
            f"with {ratio['busy_loops']} busy loops the default takes {ratio['ratio']:.2f} times "
            f"as long as the best setting ({ratio['best']})"
        )


@contextmanager
def busy_loops(number: int) -> Iterator[None]:
    """Run `number` processes that loop, each in a session of its own.

    They end with this process, also if a signal kills it.
    """
    processes = []
    try:
        for _ in range(number):
            loop = [sys.executable, "-c", _LOOP, str(os.getpid())]
            processes.append(subprocess.Popen(loop, start_new_session=True))
        if processes:
            sleep(0.3)  # let them start
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _threads(plan: Plan, setting: str) -> int:
    return 1 if setting == ONE else plan.threads


def _one_process(plan: Plan, setting: str, expected: str) -> float:
    """Return the seconds of a call in a new process; check the categories."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(_OPENMP)}
    worker_plan = {**asdict(plan), "threads": _threads(plan, setting)}
    done = subprocess.run(
        [sys.executable, "-m", "bench.contention", "--worker", json.dumps(worker_plan)],
        env={**env, **SETTINGS[setting]},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"{setting}: {lines[-1]}")
    answer = json.loads(done.stdout)
    if answer["categories"] != expected:
        raise InputError(f"{setting}: categories differ from those of the serial reference")
    return float(answer["seconds"])


def _work(plan: Plan) -> int:
    """Run in a worker process: repeat the inference, and print the mean time as JSON."""
    network, rows = plan.problem()
    predict = Predictor(network, exits="none", threads=plan.threads, tune=False)
    outputs = predict(rows)
    seconds = mean_seconds(lambda: predict(rows), plan.seconds)
    active = np.flatnonzero(outputs.any(axis=1)).astype(np.int64) + 1
    print(json.dumps({"seconds": seconds, "categories": _digest(active)}))
    return 0


def mean_seconds(call: Callable[[], object], seconds: float) -> float:
    """Return the mean time of a call that is repeated until `seconds` have passed.

    A median would hide the calls in which a thread had to wait for a core.
    """
    begun, calls = perf_counter(), 0
    while (passed := perf_counter() - begun) < seconds or not calls:
        call()
        calls += 1
    return passed / calls


def _digest(rows: np.ndarray[Any, np.dtype[np.int64]]) -> str:
    return hashlib.sha256(rows.tobytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
