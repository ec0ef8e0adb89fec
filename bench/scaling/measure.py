"""Time the shards of single ranks in one process, and whole runs with mpiexec."""

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

from kkspdnn.device.space import open_space
from kkspdnn.engines import Engine, make_engine
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.parallel.row_shards import RowShard
from kkspdnn.records.rank_study import MpiRuns, ShardTime, Split

OnProgress = Callable[[str, float], None]
"""Called with the current step and the fraction done, 0 to 1."""

_TIMED_RANKS = 20
"""Approximate number of shards that are timed, for each number of ranks."""

_REPEATS = 5
"""Runs over each shard; the shortest one counts."""


def points(
    network: Network, inputs: Inputs, threads: int, ranks: Sequence[int], on_progress: OnProgress
) -> Iterator[ShardTime]:
    """Yield a point for each number of ranks; one process computes several of their shards."""
    space = open_space("openmp", threads)
    engine = make_engine("fused", space, network.dtype, network.ymax)
    layers = LayerStore(network, engine, network.dtype)
    engine.warm_up(layers, inputs)
    engine.compute_exit_bounds(layers, inputs)
    assert inputs.bits is not None
    order = np.argsort(np.bitwise_count(inputs.bits).sum(axis=1, dtype=np.int64), kind="stable")
    by_size = Inputs(inputs.rows, inputs.neurons, inputs.source, bits=inputs.bits[order])
    for number, count in enumerate(ranks):
        on_progress("shards", number / len(ranks))
        round_robin = _shards(inputs, count)
        timed = round_robin[:: max(1, count // _TIMED_RANKS)]
        samples = [tuple(_seconds(engine, layers, rows) for _ in range(_REPEATS)) for rows in timed]
        distributions = (
            round_robin,
            _contiguous_blocks(inputs, count),
            _shards(by_size, count),
            _contiguous_blocks(by_size, count),
        )
        work = Split(*(_imbalance(engine, layers, blocks) for blocks in distributions))
        seconds = median(map(min, samples))
        yield ShardTime(count, round_robin[0].rows, seconds, work, tuple(samples))


def _shards(inputs: Inputs, count: int) -> list[Inputs]:
    return [RowShard(rank, count).select(inputs) for rank in range(count)]


def _contiguous_blocks(inputs: Inputs, count: int) -> list[Inputs]:
    ends = [inputs.rows * rank // count for rank in range(count + 1)]
    return [inputs.slice(*ends[rank : rank + 2]) for rank in range(count)]


def _seconds(engine: Engine, layers: LayerStore, rows: Inputs) -> float:
    engine.allocate(layers, rows)
    begun = perf_counter()
    _work(engine, layers, rows)
    return perf_counter() - begun


def _work(engine: Engine, layers: LayerStore, rows: Inputs) -> int:
    """Run the engine and return the number of computed edges."""
    results = engine.run(layers, rows, None, lambda _: None)
    return sum(result.computed_edges for result in results)


def _imbalance(engine: Engine, layers: LayerStore, blocks: Sequence[Inputs]) -> float:
    """Return the largest number of computed edges of a block over the mean."""
    work = [_work(engine, layers, rows) for rows in blocks]
    return max(work) * len(work) / max(1, sum(work))


def runs(
    options: Sequence[str], ranks: Sequence[int], repeats: int, on_progress: OnProgress
) -> list[MpiRuns]:
    """Run `mpiexec -n N python -m kkspdnn OPTIONS`, the numbers of ranks in turns."""
    samples: dict[int, list[tuple[float, float]]] = {count: [] for count in ranks}
    with TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        more = ["--no-tune", "--verify", "none", "--quiet", "--json", str(record)]
        for repeat in range(repeats + 1):
            on_progress("runs", repeat / (repeats + 1))
            for count in ranks:
                mpiexec(count, ["-m", "kkspdnn", *options, *more])
                if repeat:  # the first run warms up
                    run = json.loads(record.read_text())
                    samples[count].append((run["inference_seconds"], run["imbalance"] or 1.0))
    return [
        MpiRuns(count, tuple(t for t, _ in pairs), median(i for _, i in pairs))
        for count, pairs in samples.items()
    ]


def step_seconds() -> float:
    """Return the barrier latency of two ranks of this machine: one step of the model."""
    return float(mpiexec(2, ["-m", "bench.scaling.barrier_latency"]))


def mpiexec(ranks: int, arguments: Sequence[str]) -> str:
    """Run Python with `ranks` ranks and return its output. Raises InputError if it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    program = shutil.which("mpiexec", path=path)
    if program is None:
        raise InputError("no mpiexec: pip install mpich")
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
