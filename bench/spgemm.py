"""`python -m bench spgemm`: SpGEMM implementations on random networks."""

from __future__ import annotations

import argparse
from dataclasses import replace

from rich.console import Console

from bench.environment import collect_environment
from bench.spgemm_cases import DENSITIES, EDGES, MULTIPLICATIONS, NEURONS, Grid, spgemm_problems
from bench.spgemm_measure import IMPLEMENTATIONS, Timing, measure_case
from bench.spgemm_report import show_spgemm
from kkspdnn.errors import InputError
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.progress import delayed_bar
from kkspdnn.records.spgemm_study import SpgemmCase, SpgemmStudy

_QUICK = Grid(neurons=(1024, 8192), edges=(32,), densities=(1.0, 100.0), multiplications=2_000_000)
_QUICK_SECONDS = 0.5


def add_spgemm_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `python -m bench spgemm`."""
    lists = {"neurons": (int, NEURONS), "edges": (int, EDGES), "densities": (float, DENSITIES)}
    texts = {
        "neurons": "neurons of each layer",
        "edges": "edges of each output neuron",
        "densities": "percentages of nonzero inputs",
    }
    for name, (kind, default) in lists.items():
        text = f"{texts[name]} ({' '.join(f'{each:g}' for each in default)})"
        command.add_argument(f"--{name}", nargs="+", type=kind, metavar="N", help=text)
    command.add_argument("--layers", type=int, metavar="L", help="(4)")
    text = f"multiplications a layer, which determine the number of input rows ({MULTIPLICATIONS})"
    command.add_argument("--multiplications", type=int, metavar="M", help=text)
    text = "seed of networks and input rows (0)"
    command.add_argument("--seed", type=int, metavar="S", help=text)
    text = "time these implementations only (all)"
    command.add_argument("--only", nargs="+", choices=IMPLEMENTATIONS, help=text)
    cores = usable_cores()
    command.add_argument("--threads", type=int, default=cores, metavar="T", help=f"({cores})")
    text = "timed runs of each implementation (5)"
    command.add_argument("--runs", type=int, default=5, metavar="R", help=text)
    text = "maximum time of one run; slower implementations get fewer input rows (5)"
    command.add_argument("--seconds", type=float, default=5.0, metavar="T", help=text)
    text = "four small cases: takes less than two minutes"
    command.add_argument("--quick", action="store_true", help=text)


def measure_spgemm(
    arguments: argparse.Namespace, command: str, console: Console
) -> tuple[SpgemmStudy, int]:
    """Measure all cases and print the table; return the record and the exit code.

    The exit code is 1 if an implementation returned other categories than the serial reference.
    """
    grid = _grid(arguments)
    timing = _timing(arguments)
    names = [name for name in IMPLEMENTATIONS if not arguments.only or name in arguments.only]
    environment = collect_environment()
    problems = spgemm_problems(grid)
    cases: list[SpgemmCase] = []
    with delayed_bar(True) as bar:
        for number, problem in enumerate(problems):
            title = f"{problem.neurons} x {problem.edges} x {problem.density:g} %"

            def on_progress(
                doing: str, done: float, number: int = number, title: str = title
            ) -> None:
                if bar is not None:
                    bar(f"{title}: {doing}", (number + done) / len(problems))

            cases.append(measure_case(problem, names, timing, on_progress))
    record = environment.spgemm_record(timing.threads, command, tuple(cases))
    show_spgemm(record, console)
    return record, 1 if any(_is_wrong(case) for case in cases) else 0


def _grid(arguments: argparse.Namespace) -> Grid:
    names = ("neurons", "edges", "densities", "layers", "multiplications", "seed")
    given = {name: getattr(arguments, name) for name in names}
    chosen = {name: value for name, value in given.items() if value is not None}
    return replace(_QUICK if arguments.quick else Grid(), **chosen)


def _timing(arguments: argparse.Namespace) -> Timing:
    for name in ("threads", "runs"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name} {getattr(arguments, name)}: must be at least 1")
    if not arguments.seconds > 0:
        raise InputError(f"--seconds {arguments.seconds}: must be above 0")
    seconds = min(arguments.seconds, _QUICK_SECONDS) if arguments.quick else arguments.seconds
    return Timing(arguments.threads, arguments.runs, seconds)


def _is_wrong(case: SpgemmCase) -> bool:
    return any((row.why or "").startswith("wrong categories") for row in case.rows)
