"""The time of a launch besides the kernel: `python -m bench.launch`.

A workunit with hardly any work is launched in a loop: by a call of its compiled C function, by
`pk.parallel_for` and by a PreparedLaunch, which take turns. The difference to the first is the
overhead of the other two.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import struct
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

import numpy as np

from bench.environment import collect_environment
from bench.measurement import run_measurement
from kkspdnn.cli.parser import Parser, positive_int
from kkspdnn.pk import language as pk
from kkspdnn.pk import language_as_pykokkos
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.prepared_launch import PreparedLaunch
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime
from kkspdnn.progress import delayed_bar

SCHEMA = "kkspdnn-launch/1"
SPACES: Final = ("Serial", "OpenMP")
COUNTS: Final = (0, 4, 12)
"""Numbers of arguments."""

_ITEMS = 16


@dataclass(frozen=True)
class Row:
    """Seconds of a launch in each round, the mean of `calls` launches in a loop.

    arguments: their number; direct: a call of the compiled function through ctypes
    """

    space: str
    arguments: int
    calls: int
    direct: tuple[float, ...]
    parallel_for: tuple[float, ...]
    prepared: tuple[float, ...]

    def overhead(self, kind: str) -> float:
        """The median of the differences to the direct calls of the same rounds."""
        pairs = zip(getattr(self, kind), self.direct, strict=True)
        return float(median(seconds - direct for seconds, direct in pairs))


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m bench.launch`."""
    root = Parser(prog="python -m bench.launch", description=__doc__)
    add = root.add_argument
    add("--rounds", type=positive_int, default=41, metavar="R", help="turns of each case (41)")
    add("--calls", type=positive_int, default=2000, metavar="C", help="launches of a turn (2000)")
    add("--threads", type=positive_int, metavar="T", help="of OpenMP (all cores)")
    add("--json", type=Path, metavar="FILE", help="write the record")
    return root


def main() -> int:
    """Measure, print and write the record; return the exit code."""
    arguments = parser().parse_args()

    def measured() -> tuple[str, int]:
        threads = arguments.threads or usable_cores()
        record = measure(arguments.rounds, arguments.calls, threads)
        print("\n".join(table(record)))
        return json.dumps(record, indent=1) + "\n", 0

    return run_measurement(arguments.json, measured)


def measure(rounds: int, calls: int, threads: int) -> dict[str, Any]:
    """Measure every case and return the record."""
    environment, rows = collect_environment(), []
    get_runtime(pk.OpenMP, threads)
    cases = [(space, count) for space in SPACES for count in COUNTS]
    with delayed_bar(True) as bar:
        for number, (space, count) in enumerate(cases):
            if bar is not None:
                bar(f"{space}, {count} arguments", number / len(cases))
            rows.append(_measure_case(space, count, rounds, calls))
    return {
        **environment.header(SCHEMA, "bench.launch"),
        "kokkos": get_runtime(pk.OpenMP).library.kokkos_version,
        "threads": threads,
        "rows": [asdict(row) for row in rows],
    }


def table(record: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines to print: median times, and what the launches add to a direct call."""
    yield f"{record['machine']}, {record['threads']} threads of OpenMP; microseconds a launch"
    yield (
        f"{'space':<8}{'arguments':>10}{'C function':>12}{'parallel_for':>14}{'prepared':>10}"
        f"{'overhead':>10}{'prepared':>10}"
    )
    for each in record["rows"]:
        row = Row(**each)
        times = [
            1e6 * median(getattr(row, kind)) for kind in ("direct", "parallel_for", "prepared")
        ]
        overheads = [1e6 * row.overhead(kind) for kind in ("parallel_for", "prepared")]
        yield (
            f"{row.space:<8}{row.arguments:>10}{times[0]:>12.2f}{times[1]:>14.2f}{times[2]:>10.2f}"
            f"{overheads[0]:>10.2f}{overheads[1]:>10.2f}"
        )


def _measure_case(space: str, count: int, rounds: int, calls: int) -> Row:
    launches = _launches(space, count)
    seconds: dict[str, list[float]] = {kind: [] for kind in launches}
    for launch in launches.values():
        _mean_seconds(launch, 100)
    for _ in range(rounds):
        for kind, launch in launches.items():
            seconds[kind].append(round(_mean_seconds(launch, calls), 10))
    return Row(space, count, calls, *(tuple(each) for each in seconds.values()))


def _launches(space: str, count: int) -> dict[str, Callable[[], object]]:
    """Return the three ways of a launch, each as a function."""
    with language_as_pykokkos():
        workunit = getattr(import_module("bench.launch_workunits"), f"arguments_{count}")
    arguments = _arguments(count)
    policy = pk.RangePolicy(pk.ExecutionSpace(space), 0, _ITEMS)
    changing = tuple(arguments)[::2]
    fixed = {name: value for name, value in arguments.items() if name not in changing}
    values = [arguments[name] for name in changing]
    prepared = PreparedLaunch("launch", workunit, fixed, changing)
    parallel_for = _parallel_for(workunit, policy, list(arguments.values()))
    parallel_for()  # compiles the workunit
    return {
        "direct": _direct_call(workunit, policy, arguments),
        "parallel_for": parallel_for,
        "prepared": lambda: prepared(pk, policy, *values),
    }


def _arguments(count: int) -> dict[str, Any]:
    """Return the arguments of the workunit with this number of arguments, by name."""
    if count == 0:
        return {}
    if count == 4:
        return {"a": np.ones(_ITEMS), "b": np.zeros(_ITEMS), "n": 3, "s": 2.0}
    arrays = {name: np.ones(_ITEMS) for name in "ab"}
    arrays |= {name: np.ones(_ITEMS, np.float32) for name in "cd"}
    arrays |= {"e": np.ones(_ITEMS, np.int32), "f": np.ones(_ITEMS, np.int64)}
    arrays |= {name: np.ones((_ITEMS, 2)) for name in "gh"}
    return {**arrays, "k": 1, "n": 3, "s": 2.0, "t": 0.5}


def _parallel_for(
    workunit: Any, policy: pk.RangePolicy, values: Sequence[Any]
) -> Callable[[], object]:
    """Return a function that calls `pk.parallel_for` as a program does, with written names."""
    launch = pk.parallel_for
    if not values:
        return lambda: launch("launch", policy, workunit)
    if len(values) == 4:
        a, b, n, s = values
        return lambda: launch("launch", policy, workunit, a=a, b=b, n=n, s=s)
    a, b, c, d, e, f, g, h, k, n, s, t = values
    return lambda: launch(
        "launch", policy, workunit, a=a, b=b, c=c, d=d, e=e, f=f, g=g, h=h, k=k, n=n, s=s, t=t
    )


def _direct_call(
    workunit: Any, policy: pk.RangePolicy, arguments: Mapping[str, Any]
) -> Callable[[], object]:
    """Return a function that calls the compiled C function with packed arguments."""
    path = find_runtime_library(policy.space).compile_workunit(generate(workunit, policy.space))
    function = ctypes.CDLL(str(path)).kkspdnn_launch
    codes, fields = "4qP", [*policy.fields, 0]
    for value in arguments.values():
        if isinstance(value, np.ndarray):
            codes += "P" + "q" * value.ndim
            fields += [value.ctypes.data, *value.shape]
        else:
            codes += "i" if isinstance(value, int) else "d"
            fields.append(value)
    packed = struct.pack(f"@{codes}", *fields)
    return lambda: function(b"launch", packed)


def _mean_seconds(action: Callable[[], object], calls: int) -> float:
    begun = perf_counter()
    for _ in range(calls):
        action()
    return (perf_counter() - begun) / calls


if __name__ == "__main__":
    sys.exit(main())
