"""
Time on a busy machine: `python -m bench.contention`.

Rows go through a network again and again, in a process of its own for every number, with several
settings of OpenMP's threads, while busy loops of other sessions run on the same cores. Settings and
numbers of busy loops take turns.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any

import numpy as np

from bench.facts import facts
from bench.recorded import recorded
from kkspdnn.cli.options import Parser, count
from kkspdnn.cli.progress import delayed_bar
from kkspdnn.errors import InputError
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.predictor import Predictor
from kkspdnn.records.host_load import LoadMeter
from kkspdnn.serial_reference import categories, reference

SCHEMA = "kkspdnn-contention/1"
_LIBGOMP = {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"}
_BOUND = {"OMP_PROC_BIND": "spread", "OMP_PLACES": "cores"}
_OPENMP = ("OMP_", "GOMP_", "KMP_")

ONE, DEFAULT = "one thread", "default"
SETTINGS: Mapping[str, Mapping[str, str]] = {
    ONE: {},
    DEFAULT: {},
    "spinning": {**_LIBGOMP, "OMP_PROC_BIND": "false"},
    "spinning, bound": {**_LIBGOMP, **_BOUND},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}
"""By name, the variables of each setting. `spinning` is what OpenMP does by itself."""


@dataclass(frozen=True)
class Row:
    """One setting beside so many busy loops; seconds: of a call, the mean of each process."""

    busy_loops: int
    setting: str
    threads: int
    environment: dict[str, str]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Plan:
    """What is measured. runs: processes of each row; seconds: that each of them measures"""

    neurons: int
    layers: int
    inputs: int
    threads: int
    busy_loops: tuple[int, ...]
    runs: int
    seconds: float

    def problem(self) -> tuple[Network, Inputs]:
        """The network and its input rows."""
        return radixnet(self.neurons, self.layers), images(self.neurons, self.inputs)


def parser() -> argparse.ArgumentParser:
    """The options of `python -m bench.contention`."""
    made = Parser(prog="python -m bench.contention", description=__doc__, allow_abbrev=False)
    add = made.add_argument
    add("--neurons", type=count, default=1024, metavar="N", help="(1024)")
    add("--layers", type=count, default=24, metavar="L", help="(24)")
    add("--inputs", type=count, default=256, metavar="M", help="input rows of a call (256)")
    add("--threads", type=count, metavar="T", help="of all settings but one (all cores)")
    loops = "numbers of busy loops, 0 is always measured (half the cores, all, and twice as many)"
    add("--busy", type=count, nargs="+", metavar="K", help=loops)
    add("--runs", type=count, default=5, metavar="R", help="processes of each setting (5)")
    add("--seconds", type=float, default=2.0, metavar="S", help="that each measures (2)")
    add("--json", type=Path, metavar="FILE", help="write the record")
    add("--worker", metavar="PLAN", help=argparse.SUPPRESS)
    return made


def main() -> int:
    """Measure, print and write the record; 2 for what the user can mend."""
    arguments = parser().parse_args()
    if arguments.worker is not None:
        return _work(Plan(**json.loads(arguments.worker)))

    def shown() -> tuple[str, int]:
        record = measured(_plan(arguments))
        print("\n".join(table(record)))
        return json.dumps(record, indent=1) + "\n", 0

    return recorded(arguments.json, shown)


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


def measured(plan: Plan) -> dict[str, Any]:
    """The record: a row for each setting beside each number of busy loops, and what the default
    takes beside the best setting."""
    meter, here = LoadMeter(), facts()
    network, rows = plan.problem()
    expected = _digest(categories(reference(network, rows)))
    found: dict[tuple[int, str], list[float]] = {
        (loops, setting): [] for loops in plan.busy_loops for setting in SETTINGS
    }
    with delayed_bar(True) as bar:
        for number in range(plan.runs):
            for loops in plan.busy_loops:
                if bar is not None:
                    bar(f"run {number + 1} of {plan.runs}", number / plan.runs)
                with busy_loops(loops):
                    for setting in SETTINGS:
                        seconds = _one_process(plan, setting, expected)
                        found[loops, setting].append(seconds)
                if number == loops == 0:
                    # Own processes have ended, and are known to the meter.
                    load = meter.measure(meter.own_seconds(), plan.threads)
    result = [
        Row(loops, setting, _threads(plan, setting), dict(SETTINGS[setting]), tuple(seconds))
        for (loops, setting), seconds in found.items()
    ]
    return {
        "kind": SCHEMA,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": here.machine,
        "compilers": here.compilers,
        "versions": here.versions,
        "commit": here.commit,
        "command": shlex.join(["python", "-m", "bench.contention", *sys.argv[1:]]),
        "network": network.name,
        "inputs": rows.rows,
        "threads": plan.threads,
        "seconds_measured": plan.seconds,
        "host": asdict(load),
        "rows": [asdict(row) for row in result],
        "default_over_best": [asdict(each) for each in ratios(result)],
    }


@dataclass(frozen=True)
class Ratio:
    """The median time of the default over that of the best setting, which is named."""

    busy_loops: int
    best: str
    ratio: float


def ratios(rows: Sequence[Row]) -> Iterator[Ratio]:
    """For each number of busy loops."""
    for loops in sorted({row.busy_loops for row in rows}):
        times = {row.setting: median(row.seconds) for row in rows if row.busy_loops == loops}
        best = min(times, key=lambda setting: times[setting])
        yield Ratio(loops, best, times[DEFAULT] / times[best])


def table(record: Mapping[str, Any]) -> Iterator[str]:
    """Lines for people: the median, least and most of each row."""
    load = record["host"]
    yield f"{record['network']}, {record['inputs']} rows, {record['machine']}"
    if load["busy"]:
        yield f"the machine is busy: other processes used {load['other_cores']:.1f} cores"
    yield f"{'busy loops':<12}{'setting':<18}{'threads':<9}ms a call: median, least, most"
    for row in record["rows"]:
        times = [1e3 * each for each in row["seconds"]]
        yield (
            f"{row['busy_loops']:<12}{row['setting']:<18}{row['threads']:<9}"
            f"{median(times):.2f}, {min(times):.2f}, {max(times):.2f}"
        )
    for each in record["default_over_best"]:
        yield (
            f"beside {each['busy_loops']} busy loops the default takes {each['ratio']:.2f} times "
            f"as long as the best setting ({each['best']})"
        )


@contextmanager
def busy_loops(wanted: int) -> Iterator[None]:
    """So many processes that compute without end, each as if started by another user."""
    started = []
    try:
        for _ in range(wanted):
            loop = [sys.executable, "-c", "while True: pass"]
            started.append(subprocess.Popen(loop, start_new_session=True))
        if started:
            sleep(0.3)  # until they run
        yield
    finally:
        for each in started:
            each.kill()
            each.wait()


def _threads(plan: Plan, setting: str) -> int:
    return 1 if setting == ONE else plan.threads


def _one_process(plan: Plan, setting: str, expected: str) -> float:
    """Seconds of a call in a new process; its categories must be those of the reference."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OPENMP)}
    own = {**asdict(plan), "threads": _threads(plan, setting)}
    done = subprocess.run(
        [sys.executable, "-m", "bench.contention", "--worker", json.dumps(own)],
        env={**kept, **SETTINGS[setting]},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise InputError(f"{setting}: {lines[-1]}")
    answer = json.loads(done.stdout)
    if answer["categories"] != expected:
        raise InputError(f"{setting}: other categories than the serial reference")
    return float(answer["seconds"])


def _work(plan: Plan) -> int:
    """In a process of its own: call for a while and print what a call took."""
    network, rows = plan.problem()
    predict = Predictor(network, exits="none", threads=plan.threads)
    found = predict(rows)
    seconds = seconds_of(lambda: predict(rows), plan.seconds)
    alive = np.flatnonzero(found.any(axis=1)).astype(np.int64) + 1
    print(json.dumps({"seconds": seconds, "categories": _digest(alive)}))
    return 0


def seconds_of(call: Callable[[], object], seconds: float) -> float:
    """The mean time of a call, as often as it is begun within so many seconds.

    A median would hide the calls in which a thread had to wait for a core.
    """
    begun, calls = perf_counter(), 0
    while (passed := perf_counter() - begun) < seconds or not calls:
        call()
        calls += 1
    return passed / calls


def _digest(found: np.ndarray[Any, np.dtype[np.int64]]) -> str:
    return hashlib.sha256(found.tobytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
