"""The real PyKokkos beside the built-in compiler: `python -m bench.pykokkos`.

Each inference runs in two processes, one with each implementation, which take turns. With an empty
cache the first run compiles the workunits; the second run starts from the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final

import numpy as np

from bench.environment import collect_environment
from bench.measurement import run_measurement
from bench.processes import ALL_THREADS, Worker, serve
from kkspdnn.cli.parser import Parser, positive_int
from kkspdnn.device.space import open_space
from kkspdnn.errors import InputError
from kkspdnn.inference import infer
from kkspdnn.io.shipped_images import images
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.pk.installed.requirements import missing_requirements
from kkspdnn.predictor import Predictor
from kkspdnn.progress import delayed_bar

SCHEMA = "kkspdnn-pykokkos/1"
IMPLEMENTATIONS: Final = ("builtin", "pykokkos")
_LIMIT = 1200.0
"""Seconds that a worker may take for an answer; the first one compiles."""


@dataclass(frozen=True)
class Case:
    """One inference on a RadiX-Net of 1,024 neurons a layer.

    inputs: number of input rows; calls: of a Predictor in one measurement, or 0 for `infer`
    """

    name: str
    layers: int
    inputs: int
    exits: str = "all"
    dtype: str = "float32"
    calls: int = 0


CASES: Final = (
    Case("120 layers", 120, 60_000),
    Case("120 layers, zero rows only", 120, 60_000, "dead"),
    Case("120 layers, off", 120, 6_000, "none"),
    Case("1920 layers", 1920, 60_000),
    Case("1920 layers, zero rows only", 1920, 20_000, "dead"),
    Case("1920 layers, off", 1920, 600, "none"),
    Case("120 layers, float64", 120, 60_000, dtype="float64"),
    Case("120 layers, Predictor", 120, 64, calls=50),
)
"""Names give the number of layers and the early exit of rows; the default is proven rows."""


@dataclass(frozen=True)
class Row:
    """The times of one case, in turns; ratio: median of the ratios builtin over pykokkos."""

    case: Case
    builtin: tuple[float, ...]
    pykokkos: tuple[float, ...]
    ratio: float


@dataclass(frozen=True)
class Start:
    """Seconds of `python -m kkspdnn --inputs 1000` with the real PyKokkos, as a whole process.

    first: with an empty cache; second: with the cache of the first
    """

    first: float
    second: float


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m bench.pykokkos`."""
    root = Parser(prog="python -m bench.pykokkos", description=__doc__)
    add = root.add_argument
    add("--runs", type=positive_int, default=9, metavar="R", help="turns of each case (9)")
    add("--threads", type=positive_int, metavar="T", help="(all cores)")
    add("--inputs", type=positive_int, metavar="M", help="maximum number of input rows of a case")
    add("--json", type=Path, metavar="FILE", help="write the record")
    add("--worker", metavar="CASE", help=argparse.SUPPRESS)
    return root


def main() -> int:
    """Measure, print and write the record; return the exit code."""
    arguments = parser().parse_args()
    if arguments.worker is not None:
        return _work(Case(**json.loads(arguments.worker)))

    def measured() -> tuple[str, int]:
        threads = arguments.threads or usable_cores()
        record = measure(arguments.runs, threads, arguments.inputs)
        print("\n".join(table(record)))
        return json.dumps(record, indent=1) + "\n", 0

    return run_measurement(arguments.json, measured)


def measure(runs: int, threads: int, max_inputs: int | None = None) -> dict[str, Any]:
    """Measure every case and the start, and return the record.

    Raises InputError if PyKokkos is missing, or if the categories of the implementations differ.
    """
    missing = missing_requirements()
    if missing is not None:
        raise InputError(f"nothing to compare: {missing}")
    environment, rows = collect_environment(), []
    with delayed_bar(True) as bar:
        for number, case in enumerate(CASES):
            if bar is not None:
                bar(case.name, number / (len(CASES) + 1))
            rows.append(_measure_case(case, runs, threads, max_inputs))
        if bar is not None:
            bar("first run", len(CASES) / (len(CASES) + 1))
        start = _measure_start(threads)
    return {
        **environment.header(SCHEMA, "bench.pykokkos"),
        "kokkos": {name: _kokkos_version(name) for name in IMPLEMENTATIONS},
        "threads": threads,
        "rows": [asdict(row) for row in rows],
        "start": asdict(start),
    }


def table(record: Mapping[str, Any]) -> Iterator[str]:
    """Return the lines to print: the median times and their ratio."""
    yield f"1,024 neurons, {record['machine']}, {record['threads']} threads"
    names = f"{'network, early exit':<30}{'rows':>8}"
    yield f"{names}{'builtin, ms':>13}{'PyKokkos, ms':>14}{'ratio':>7}"
    for row in record["rows"]:
        case, times = row["case"], [1e3 * median(row[name]) for name in IMPLEMENTATIONS]
        yield (
            f"{case['name']:<30}{case['inputs']:>8,}{times[0]:>13.2f}{times[1]:>14.2f}"
            f"{row['ratio']:>7.2f}"
        )
    start = record["start"]
    yield f"first run {start['first']:.0f} s, second run {start['second']:.1f} s"


def _measure_case(case: Case, runs: int, threads: int, max_inputs: int | None) -> Row:
    if max_inputs is not None and max_inputs < case.inputs:
        case = replace(case, inputs=max_inputs)
    times: dict[str, list[float]] = {name: [] for name in IMPLEMENTATIONS}
    arguments = ["--worker", json.dumps(asdict(case))]
    with (
        closing(Worker("bench.pykokkos", arguments, threads, _environment("builtin"))) as builtin,
        closing(Worker("bench.pykokkos", arguments, threads, _environment("pykokkos"))) as pykokkos,
    ):
        workers = {"builtin": builtin, "pykokkos": pykokkos}
        warm = [workers[name].request({}, _LIMIT)["categories"] for name in IMPLEMENTATIONS]
        if warm[0] != warm[1]:
            raise InputError(f"{case.name}: the categories of the two implementations differ")
        for run in range(runs):
            for name in IMPLEMENTATIONS if run % 2 else reversed(IMPLEMENTATIONS):
                times[name].append(workers[name].request({}, _LIMIT)["seconds"])
    pairs = zip(times["builtin"], times["pykokkos"], strict=True)
    ratio = median(builtin / pykokkos for builtin, pykokkos in pairs)
    return Row(case, tuple(times["builtin"]), tuple(times["pykokkos"]), ratio)


def _environment(implementation: str) -> dict[str, str]:
    return {"KKSPDNN_PK": implementation, **ALL_THREADS}


def _measure_start(threads: int) -> Start:
    """Run the same command twice, in a cache folder of its own."""
    with TemporaryDirectory(prefix="kkspdnn-cache-") as cache:
        command = [sys.executable, "-m", "kkspdnn", "--inputs", "1000", "--quiet", "--no-tune"]
        variables = {"KKSPDNN_CACHE": cache, "OMP_NUM_THREADS": str(threads)}
        seconds = []
        for _ in range(2):
            begun = perf_counter()
            done = subprocess.run(
                command,
                env={**os.environ, **_environment("pykokkos"), **variables},
                capture_output=True,
                text=True,
                check=False,
            )
            seconds.append(perf_counter() - begun)
            if done.returncode != 0:
                raise InputError(f"{shlex.join(command[1:])}: {done.stderr.strip()}")
        return Start(*seconds)


def _kokkos_version(implementation: str) -> str:
    script = "from bench.pykokkos import print_kokkos_version; print_kokkos_version()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **_environment(implementation)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def print_kokkos_version() -> None:
    """Print the version of the Kokkos that this process uses."""
    print(open_space("openmp").kokkos_version)


def _work(case: Case) -> int:
    """Answer each request with the seconds of one measurement and the categories."""
    network, rows = radixnet(1024, case.layers), images(1024, case.inputs)
    options: dict[str, Any] = {"exits": case.exits, "dtype": case.dtype, "tune": False}
    if not case.calls:

        def answer(_: dict[str, Any]) -> dict[str, Any]:
            result = infer(network, rows, verify="none", **options)
            seconds = result.record.inference_seconds
            return {"seconds": seconds, "categories": result.record.categories_sha256}

    else:
        predict = Predictor(network, **options)

        def answer(_: dict[str, Any]) -> dict[str, Any]:
            begun = perf_counter()
            for _call in range(case.calls):
                outputs = predict(rows)
            seconds = (perf_counter() - begun) / case.calls
            return {"seconds": seconds, "categories": np.flatnonzero(outputs.any(axis=1)).tolist()}

    return serve(answer)


if __name__ == "__main__":
    sys.exit(main())
