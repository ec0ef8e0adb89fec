"""`python -m bench.scaling`: measure here, fit the model, predict more ranks."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench.facts import facts
from bench.recorded import recorded
from bench.scaling.measure import points, runs, step_seconds
from bench.scaling.model import fitted
from bench.scaling.table import table
from kkspdnn.cli.guard import guarded
from kkspdnn.cli.options import Parser, count
from kkspdnn.cli.problem import load_problem
from kkspdnn.cli.progress import delayed_bar
from kkspdnn.errors import InputError
from kkspdnn.io.json_schema import read_json
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.records.published import published

_RANKS = (1, 2, 4, 8, 16, 20, 32, 64, 128, 256, 512, 768)
_PREDICTED = (20, 768)


def parser() -> argparse.ArgumentParser:
    """The options of `python -m bench.scaling`."""
    made = Parser(prog="python -m bench.scaling", description=__doc__, allow_abbrev=False)
    add = made.add_argument
    add("--neurons", type=count, default=1024, metavar="N", help="(1024)")
    add("--layers", type=count, default=120, metavar="L", help="(120)")
    add("--inputs", type=count, default=60_000, metavar="M", help="input rows (60000)")
    add("--threads", type=count, default=1, metavar="T", help="of each rank (1)")
    add("--most", type=count, default=_RANKS[-1], metavar="R", help="ranks to go up to (768)")
    add("--runs", type=count, default=5, metavar="R", help="runs under mpiexec of each (5)")
    add("--json", type=Path, metavar="FILE", help="write the record")
    add("--draw", type=Path, metavar="RECORD", help="draw this record, print its table")
    add("--out", type=Path, default=Path("plots/figures"), metavar="DIR", help="for --draw")
    return made


def main() -> int:
    """Measure, print and write the record; 2 for what the user can mend."""
    arguments = parser().parse_args()
    if arguments.draw is not None:
        return guarded(lambda: _draw(arguments.draw, arguments.out))

    def shown() -> tuple[str, int]:
        record = measured(arguments)
        _show(record)
        return json.dumps(record, indent=1) + "\n", 0

    return recorded(arguments.json, shown)


def _draw(path: Path, folder: Path) -> int:
    from bench.scaling.figure import draw

    record = read_json(path)
    print("\n".join(map(str, draw(record, folder))))
    print("\n".join(table(record)))
    return 0


def measured(arguments: argparse.Namespace) -> dict[str, Any]:
    """The record: points, runs, model, predictions."""
    here, cores = facts(), usable_cores()
    most = min(arguments.most, arguments.inputs)
    if arguments.threads > cores:
        raise InputError(f"--threads {arguments.threads}: this machine has {cores} cores")
    os.environ.setdefault("OMP_NUM_THREADS", str(arguments.threads))
    problem = load_problem(
        neurons=arguments.neurons, layers=arguments.layers, inputs=arguments.inputs
    )
    network, rows = problem.network, problem.inputs
    with delayed_bar(True) as bar:

        def tell(doing: str, done: float) -> None:
            if bar is not None:
                bar(doing, done)

        ranks = [each for each in _RANKS if each <= most]
        found = list(points(network, rows, arguments.threads, ranks, tell))
        options = [f"--{name}={getattr(arguments, name)}" for name in ("neurons", "layers")]
        options += [f"--inputs={rows.rows}", f"--threads={arguments.threads}"]
        here_ranks = list(range(1, cores // arguments.threads + 1))
        done = runs(options, here_ranks, arguments.runs, tell)
        step = step_seconds()
    model = fitted(found, step)
    work = {point.ranks: point.work.dealt for point in found}
    modelled = [
        {"ranks": n, "seconds": model.seconds(n, rows.rows, imbalance)}
        for n, imbalance in work.items()
    ]
    by_ranks = {each["ranks"]: each["seconds"] for each in modelled}
    predictions = [
        {"ranks": n, "seconds": by_ranks[n], "speedup": by_ranks[1] / by_ranks[n]}
        for n in _PREDICTED
        if n in by_ranks
    ]
    return {
        "kind": "kkspdnn-scaling/1",
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": here.machine,
        "compilers": here.compilers,
        "versions": here.versions,
        "commit": here.commit,
        "command": shlex.join(["python", "-m", "bench.scaling", *sys.argv[1:]]),
        "network": network.name,
        "inputs": rows.rows,
        "threads": arguments.threads,
        "points": [asdict(each) for each in found],
        "runs": [asdict(each) for each in done],
        "model": asdict(model),
        "modelled": modelled,
        "predictions": predictions,
        "published": asdict(published().nodes),
    }


def _show(record: dict[str, Any]) -> None:
    print(f"{record['network']}, {record['inputs']:,} rows, {record['threads']} thread(s) a rank")
    print(
        "ranks    rows  part, s  model, s  most work over mean: dealt  neighbours  of sorted rows"
    )
    for point, modelled in zip(record["points"], record["modelled"], strict=True):
        work = point["work"]
        print(
            f"{point['ranks']:5}{point['rows']:8,}{point['seconds']:9.4f}"
            f"{modelled['seconds']:10.4f}{work['dealt']:28.2f}{work['neighbours']:12.2f}"
            f"{work['sorted_dealt']:8.2f}{work['sorted_neighbours']:8.2f}"
        )
    for run in record["runs"]:
        least, imbalance = min(run["seconds"]), run["imbalance"]
        print(f"mpiexec -n {run['ranks']}: least {least:.4f} s, imbalance {imbalance:.2f}")
    for each in record["predictions"]:
        print(
            f"predicted for {each['ranks']} ranks: {each['seconds']:.4f} s, "
            f"{each['speedup']:.1f} times as fast as one"
        )


if __name__ == "__main__":
    sys.exit(main())
