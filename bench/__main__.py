"""`python -m bench`: measure implementations beside each other, and compare records."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.ceiling.report import SPACES
from bench.expected import expected
from bench.facts import facts
from bench.peers import all_peers
from bench.recorded import recorded
from bench.report import changes, show, show_changes
from bench.roofs import roofs
from bench.runner import Plan, measure
from bench.truth import truth
from kkspdnn.cli.guard import guarded
from kkspdnn.cli.options import Parser
from kkspdnn.cli.problem import Problem, load_problem
from kkspdnn.cli.progress import delayed_bar
from kkspdnn.device.space import check_space
from kkspdnn.device.space_names import add_space_option
from kkspdnn.errors import InputError
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.records.comparison import Comparison, NetworkSize, read_comparison

_QUICK_INPUTS, _QUICK_SECONDS = 3000, 0.2


def parser() -> argparse.ArgumentParser:
    """The commands and options of `python -m bench`."""
    made = Parser(prog="python -m bench", description=__doc__, allow_abbrev=False)
    commands = made.add_subparsers(dest="command", required=True, parser_class=Parser)
    run = commands.add_parser("run", help="time implementations in turns", allow_abbrev=False)
    alive = commands.add_parser("alive", help="count living rows per layer", allow_abbrev=False)
    for each in (run, alive):
        each.add_argument("--neurons", type=int, default=1024, metavar="N", help="(1024)")
        each.add_argument("--layers", type=int, default=120, metavar="L", help="(120)")
        each.add_argument("--inputs", type=int, metavar="M", help="input rows (60000)")
        each.add_argument("--seed", type=int, default=0, metavar="S", help="of the network (0)")
        each.add_argument("--data", type=Path, metavar="DIR", help="the challenge's own files")
    roof = commands.add_parser("roofs", help="measure the machine", allow_abbrev=False)
    for each in (run, alive, roof):
        each.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    for each in (run, roof):
        cores = usable_cores()
        each.add_argument("--threads", type=int, default=cores, metavar="T", help=f"({cores})")
    add_space_option(run, SPACES, what="where to")
    names = [*all_peers(), *all_peers("cuda")]
    run.add_argument("--only", nargs="+", choices=list(dict.fromkeys(names)), help="(all of them)")
    run.add_argument("--runs", type=int, default=5, metavar="R", help="timed runs of each (5)")
    text = "a run that takes longer is done over fewer input rows (5)"
    run.add_argument("--seconds", type=float, default=5.0, metavar="T", help=text)
    run.add_argument("--quick", action="store_true", help="3000 rows, 0.2 s a run: two minutes")
    text = "read the expected categories from this file; it is written if it does not exist"
    run.add_argument("--expected", type=Path, metavar="FILE", help=text)
    compare = commands.add_parser("compare", help="ratios of two records", allow_abbrev=False)
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    text = "the time ratio above which it fails (1.25)"
    compare.add_argument("--threshold", type=float, default=1.25, metavar="X", help=text)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """0: done; 1: slower than allowed, or wrong; 2: for what the user can mend."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(given)
    console = Console(width=None if sys.stdout.isatty() else 160)
    command = shlex.join(["python", "-m", "bench", *given])
    if arguments.command == "compare":
        return guarded(lambda: _compare(arguments, console))

    def measured() -> tuple[str, int]:
        measure_it = {"run": _run, "alive": _alive, "roofs": _roofs}[arguments.command]
        record = measure_it(arguments, command, console)
        return record.to_json(), 1 if any(row.agrees is False for row in record.rows) else 0

    return recorded(arguments.json, measured)


def _run(arguments: argparse.Namespace, command: str, console: Console) -> Comparison:
    for name, least in (("threads", 1), ("runs", 1), ("layers", 1)):
        if getattr(arguments, name) < least:
            raise InputError(f"--{name} {getattr(arguments, name)}: at least {least} is needed")
    if not arguments.seconds > 0:
        raise InputError(f"--seconds {arguments.seconds}: more than 0 is needed")
    inputs, seconds = arguments.inputs, arguments.seconds
    if arguments.quick:
        inputs = _QUICK_INPUTS if inputs is None else inputs
        seconds = min(seconds, _QUICK_SECONDS)
    check_space(arguments.space)
    known = all_peers(arguments.space)
    strange = [name for name in arguments.only or () if name not in known]
    if strange:
        raise InputError(
            f"--only {strange[0]}: not with --space {arguments.space}; choose of {', '.join(known)}"
        )
    here = facts()
    problem = _problem(arguments, inputs)
    plan = Plan(
        neurons=arguments.neurons,
        layers=arguments.layers,
        inputs=problem.inputs.rows,
        seed=arguments.seed,
        data=arguments.data,
        threads=arguments.threads,
        space=arguments.space,
        runs=arguments.runs,
        seconds=seconds,
    )
    with delayed_bar(True) as bar:

        def tell(doing: str, done: float) -> None:
            if bar is not None:
                bar(doing, done)

        right = expected(
            problem.network,
            problem.inputs,
            lambda done: tell("reference", done),
            arguments.expected,
        )
        peers = [p for n, p in known.items() if not arguments.only or n in arguments.only]
        rows = measure(peers, plan, right, tell)
    record = here.record(plan.threads, command, _network(problem), rows, right.layers)
    show(record, console)
    return record


def _alive(arguments: argparse.Namespace, command: str, console: Console) -> Comparison:
    here = facts()
    problem = _problem(arguments, arguments.inputs)
    with delayed_bar(True) as bar:
        right = truth(
            problem.network,
            problem.inputs,
            lambda done: bar("reference", done) if bar is not None else None,
        )
    layers = right.layers
    counts = zip(layers.alive, layers.saturated, layers.undecided, strict=True)
    for number, (alive, full, undecided) in enumerate(counts, start=1):
        console.print(
            f"layer {number}: {alive:,} rows alive, {full:,} of them saturated; "
            f"{undecided:,} undecided"
        )
    return here.record(1, command, _network(problem), layers=right.layers)


def _roofs(arguments: argparse.Namespace, command: str, console: Console) -> Comparison:
    if arguments.threads < 1:
        raise InputError(f"--threads {arguments.threads}: at least 1 is needed")
    here = facts()
    found = roofs(arguments.threads)
    console.print(f"{here.machine}, {found.threads} threads", highlight=False)
    console.print(f"multiply-adds   {found.edges_per_second:.3g} /s")
    for name in ("l1", "l2", "memory"):
        rate = getattr(found, f"{name}_bytes_per_second")
        console.print(f"{name + ' reads':<15} {rate:.3g} bytes/s")
    return here.record(arguments.threads, command, None, ceilings=found)


def _compare(arguments: argparse.Namespace, console: Console) -> int:
    if not arguments.threshold > 0:
        raise InputError(f"--threshold {arguments.threshold}: more than 0 is needed")
    found = changes(read_comparison(arguments.before), read_comparison(arguments.after))
    show_changes(found, arguments.threshold, console)
    return 1 if any(each.fails(arguments.threshold) for each in found) else 0


def _problem(arguments: argparse.Namespace, inputs: int | None) -> Problem:
    problem = load_problem(
        neurons=arguments.neurons,
        layers=arguments.layers,
        inputs=inputs,
        seed=arguments.seed,
        data=arguments.data,
    )
    if problem.inputs.rows == 0 or len(problem.network.layers) == 0:
        raise InputError("nothing to measure: at least one layer and one input row are needed")
    return problem


def _network(problem: Problem) -> NetworkSize:
    network = problem.network
    return NetworkSize(
        name=network.name,
        neurons=network.inputs,
        layers=len(network.layers),
        inputs=problem.inputs.rows,
        edges=network.edges,
        dtype=network.dtype.name,
    )


if __name__ == "__main__":
    sys.exit(main())
