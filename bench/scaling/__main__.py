"""`python -m bench.scaling`: measure on this machine, fit a model, predict more ranks."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench.environment import collect_environment
from bench.measurement import run_measurement
from bench.scaling.measure import points, runs, step_seconds
from bench.scaling.model import fit
from bench.scaling.table import table
from kkspdnn.cli.exit_codes import exit_code_of
from kkspdnn.cli.parser import Parser, positive_int
from kkspdnn.cli.problem import load_problem
from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import read_json
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.progress import delayed_bar
from kkspdnn.records.rank_study import (
    SCHEMA,
    ModelledTime,
    Prediction,
    RankStudy,
    rank_study_from,
)

_RANKS = (1, 2, 4, 8, 16, 20, 32, 64, 128, 256, 512, 768)
_PREDICTED = (20, 768)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m bench.scaling`."""
    root = Parser(prog="python -m bench.scaling", description=__doc__)
    add = root.add_argument
    add("--neurons", type=positive_int, default=1024, metavar="N", help="(1024)")
    add("--layers", type=positive_int, default=120, metavar="L", help="(120)")
    add("--inputs", type=positive_int, default=60_000, metavar="M", help="input rows (60000)")
    add("--threads", type=positive_int, default=1, metavar="T", help="threads of each rank (1)")
    add(
        "--most",
        type=positive_int,
        default=_RANKS[-1],
        metavar="R",
        help="maximum number of ranks (768)",
    )
    add(
        "--runs",
        type=positive_int,
        default=5,
        metavar="R",
        help="runs with mpiexec for each number of ranks (5)",
    )
    add("--json", type=Path, metavar="FILE", help="write the record")
    add(
        "--table",
        type=Path,
        metavar="RECORD",
        help="print the Markdown table of this record; measure nothing",
    )
    return root


def main() -> int:
    """Measure, print and write the record; return the exit code."""
    arguments = parser().parse_args()
    if arguments.table is not None:
        return exit_code_of(lambda: _print_table(arguments.table))

    def measured() -> tuple[str, int]:
        record = measure(arguments)
        _show(record)
        return record.to_json(), 0

    return run_measurement(arguments.json, measured)


def _print_table(path: Path) -> int:
    print("\n".join(table(rank_study_from(read_json(path), str(path)))))
    return 0


def measure(arguments: argparse.Namespace) -> RankStudy:
    """Measure, fit the model, and return the record."""
    environment, cores = collect_environment(), usable_cores()
    max_ranks = min(arguments.most, arguments.inputs)
    if arguments.threads > cores:
        raise InputError(f"--threads {arguments.threads}: this machine has {cores} cores")
    os.environ.setdefault("OMP_NUM_THREADS", str(arguments.threads))
    problem = load_problem(
        neurons=arguments.neurons, layers=arguments.layers, inputs=arguments.inputs
    )
    network, rows = problem.network, problem.inputs
    with delayed_bar(True) as bar:

        def on_progress(doing: str, done: float) -> None:
            if bar is not None:
                bar(doing, done)

        ranks = [count for count in _RANKS if count <= max_ranks]
        measured_points = list(points(network, rows, arguments.threads, ranks, on_progress))
        options = [f"--{name}={getattr(arguments, name)}" for name in ("neurons", "layers")]
        options += [f"--inputs={rows.rows}", f"--threads={arguments.threads}"]
        local_ranks = list(range(1, cores // arguments.threads + 1))
        measured_runs = runs(options, local_ranks, arguments.runs, on_progress)
        step = step_seconds()
    model = fit(measured_points, step)
    work = {point.ranks: point.work.dealt for point in measured_points}
    modelled = tuple(
        ModelledTime(n, model.seconds(n, rows.rows, imbalance)) for n, imbalance in work.items()
    )
    seconds = {each.ranks: each.seconds for each in modelled}
    predictions = [
        Prediction(n, seconds[n], seconds[1] / seconds[n]) for n in _PREDICTED if n in seconds
    ]
    return RankStudy(
        **environment.header(SCHEMA, "bench.scaling"),
        network=network.name,
        inputs=rows.rows,
        threads=arguments.threads,
        points=tuple(measured_points),
        runs=tuple(measured_runs),
        model=model,
        modelled=modelled,
        predictions=tuple(predictions),
        dtype=str(network.dtype),
    )


def _show(record: RankStudy) -> None:
    print(f"{record.network}, {record.inputs:,} rows, {record.threads} thread(s) per rank")
    print("last four columns: maximum over mean work, for the rows as given and sorted by nonzeros")
    print("ranks    rows  shard, s  model, s  round-robin  contiguous  round-robin  contiguous")
    for point, modelled in zip(record.points, record.modelled, strict=True):
        work = point.work
        print(
            f"{point.ranks:5}{point.rows:8,}{point.seconds:10.4f}"
            f"{modelled.seconds:10.4f}{work.dealt:13.2f}{work.neighbours:12.2f}"
            f"{work.sorted_dealt:13.2f}{work.sorted_neighbours:12.2f}"
        )
    for run in record.runs:
        shortest, imbalance = min(run.seconds), run.imbalance
        print(f"mpiexec -n {run.ranks}: min {shortest:.4f} s, imbalance {imbalance:.2f}")
    for prediction in record.predictions:
        print(
            f"predicted for {prediction.ranks} ranks: {prediction.seconds:.4f} s, "
            f"speed-up {prediction.speedup:.1f} over one rank"
        )


if __name__ == "__main__":
    sys.exit(main())
