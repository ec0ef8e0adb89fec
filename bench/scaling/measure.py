"""Parts of the rows as ranks would compute them, and whole runs under mpiexec."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from bench.scaling.model import Point, Run, Split
from kkspdnn.device.space import open_space
from kkspdnn.engines import Engine, make_engine
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.parallel.row_shards import RowShard

Tell = Callable[[str, float], None]

_TIMED, _REPEATS = 20, 5
"""About so many parts are timed for one number of ranks, each so many times."""


def points(
    network: Network, inputs: Inputs, threads: int, ranks: Sequence[int], tell: Tell
) -> Iterator[Point]:
    """Every part for every number of ranks, by one process with so many threads."""
    space = open_space("openmp", threads)
    engine = make_engine("fused", space, network.dtype, network.ymax)
    layers = LayerStore(network, engine, network.dtype)
    engine.warm_up(layers, inputs)
    engine.compute_exit_bounds(layers, inputs)
    assert inputs.bits is not None
    order = np.argsort(np.bitwise_count(inputs.bits).sum(axis=1, dtype=np.int64), kind="stable")
    by_size = Inputs(inputs.rows, inputs.neurons, inputs.source, bits=inputs.bits[order])
    for number, count in enumerate(ranks):
        tell("parts", number / len(ranks))
        dealt = [RowShard(place, count).select(inputs) for place in range(count)]
        spacing = max(1, count // _TIMED)
        chosen = dealt[::spacing]
        seconds = [min(_seconds(engine, layers, each) for _ in range(_REPEATS)) for each in chosen]
        splits = [dealt, _neighbours(inputs, count)]
        splits += [[RowShard(place, count).select(by_size) for place in range(count)]]
        splits += [_neighbours(by_size, count)]
        work = Split(*(_imbalance(engine, layers, each) for each in splits))
        yield Point(count, dealt[0].rows, median(seconds), work)


def _neighbours(inputs: Inputs, count: int) -> list[Inputs]:
    ends = [inputs.rows * place // count for place in range(count + 1)]
    return [inputs.slice(*ends[place : place + 2]) for place in range(count)]


def _seconds(engine: Engine, layers: LayerStore, rows: Inputs) -> float:
    engine.allocate(layers, rows)
    begun = perf_counter()
    _work(engine, layers, rows)
    return perf_counter() - begun


def _work(engine: Engine, layers: LayerStore, rows: Inputs) -> int:
    """Multiplications."""
    return sum(part.computed_edges for part in engine.run(layers, rows, None, lambda _: None))


def _imbalance(engine: Engine, layers: LayerStore, parts: Sequence[Inputs]) -> float:
    """The work of the part with the most over the mean."""
    work = [_work(engine, layers, each) for each in parts]
    return max(work) * len(work) / max(1, sum(work))


def runs(options: Sequence[str], ranks: Sequence[int], repeats: int, tell: Tell) -> list[Run]:
    """`mpiexec -n N python -m kkspdnn OPTIONS` in turns."""
    found: dict[int, list[tuple[float, float]]] = {count: [] for count in ranks}
    with TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        more = ["--verify", "none", "--quiet", "--json", str(record)]
        for repeat in range(repeats + 1):
            tell("runs", repeat / (repeats + 1))
            for count in ranks:
                mpiexec(count, ["-m", "kkspdnn", *options, *more])
                if repeat:  # the first is to warm up
                    done = json.loads(record.read_text())
                    found[count].append((done["inference_seconds"], done["imbalance"] or 1.0))
    return [
        Run(count, tuple(t for t, _ in each), median(i for _, i in each))
        for count, each in found.items()
    ]


def step_seconds() -> float:
    """What it costs two ranks of this machine to meet: one step."""
    return float(mpiexec(2, ["-m", "bench.scaling.meeting"]))


def mpiexec(ranks: int, arguments: Sequence[str]) -> str:
    """What so many ranks of Python print; InputError where they fail."""
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    program = shutil.which("mpiexec", path=beside)
    if program is None:
        raise InputError("no mpiexec: pip install 'kkspdnn[mpi]'")
    done = subprocess.run(
        [program, "-n", str(ranks), sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no message"]
        raise InputError(f"mpiexec -n {ranks}: {lines[0]}")
    return done.stdout
