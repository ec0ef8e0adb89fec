"""`python -m bench`: time implementations on the same network, and compare two records."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.ceiling.report import SPACES
from bench.environment import collect_environment
from bench.expected_file import load_or_compute_expected
from bench.expected_results import compute_expected
from bench.machine_ceilings import measure_machine_ceilings
from bench.measurement import run_measurement
from bench.peers import all_peers
from bench.problem import ChallengeProblem
from bench.report import compare, show, show_changes
from bench.runner import Plan, measure
from bench.spgemm import add_spgemm_options, measure_spgemm
from kkspdnn.cli.exit_codes import exit_code_of
from kkspdnn.cli.parser import Parser
from kkspdnn.cli.problem import Problem, load_problem
from kkspdnn.device.space import check_space
from kkspdnn.device.space_names import add_space_option
from kkspdnn.errors import InputError
from kkspdnn.pk.build.toolchain import usable_cores
from kkspdnn.progress import delayed_bar
from kkspdnn.records.comparison import Comparison, NetworkSize, read_comparison

_QUICK_INPUTS, _QUICK_SECONDS = 3000, 0.2


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m bench`, with its subcommands."""
    root = Parser(prog="python -m bench", description=__doc__)
    commands = root.add_subparsers(dest="command", required=True, parser_class=Parser)
    run = commands.add_parser("run", help="time implementations in turns")
    text = "count nonzero, saturated and active rows after each layer"
    active_rows = commands.add_parser("active-rows", help=text)
    for command in (run, active_rows):
        command.add_argument("--neurons", type=int, default=1024, metavar="N", help="(1024)")
        command.add_argument("--layers", type=int, default=120, metavar="L", help="(120)")
        command.add_argument("--inputs", type=int, metavar="M", help="input rows (60000)")
        text = "seed of the network (0)"
        command.add_argument("--seed", type=int, default=0, metavar="S", help=text)
        text = "folder with the official challenge files"
        command.add_argument("--data", type=Path, metavar="DIR", help=text)
    text = "time SpGEMM implementations on random networks, in turns"
    spgemm = commands.add_parser("spgemm", help=text)
    add_spgemm_options(spgemm)
    text = "measure peak arithmetic and read bandwidth of this machine"
    ceilings = commands.add_parser("ceilings", help=text)
    for command in (run, active_rows, spgemm, ceilings):
        command.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    for command in (run, ceilings):
        cores = usable_cores()
        command.add_argument("--threads", type=int, default=cores, metavar="T", help=f"({cores})")
    _add_run_options(run)
    compare = commands.add_parser("compare", help="time ratios of two records")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    text = "fail if a time ratio is above this (1.25)"
    compare.add_argument("--threshold", type=float, default=1.25, metavar="X", help=text)
    return root


def _add_run_options(run: argparse.ArgumentParser) -> None:
    add_space_option(run, SPACES)
    names = [*all_peers(), *all_peers("cuda")]
    text = "time these implementations only (all)"
    run.add_argument("--only", nargs="+", choices=list(dict.fromkeys(names)), help=text)
    text = "timed runs of each implementation (5)"
    run.add_argument("--runs", type=int, default=5, metavar="R", help=text)
    text = "maximum time of one run; slower implementations get fewer input rows (5)"
    run.add_argument("--seconds", type=float, default=5.0, metavar="T", help=text)
    text = "3000 input rows and 0.2 s per run: takes two minutes"
    run.add_argument("--quick", action="store_true", help=text)
    text = "read the expected categories from this file; it is written if it does not exist"
    run.add_argument("--expected", type=Path, metavar="FILE", help=text)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: success; 1: a run was slower than allowed or gave wrong categories; 2: an error that the user
    can correct.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(words)
    console = Console(width=None if sys.stdout.isatty() else 160)
    command = shlex.join(["python", "-m", "bench", *words])
    if arguments.command == "compare":
        return exit_code_of(lambda: _compare(arguments, console))

    def measured() -> tuple[str, int]:
        if arguments.command == "spgemm":
            study, code = measure_spgemm(arguments, command, console)
            return study.to_json(), code
        commands = {"run": _run, "active-rows": _count_active_rows, "ceilings": _measure_ceilings}
        record = commands[arguments.command](arguments, command, console)
        return record.to_json(), 1 if any(row.agrees is False for row in record.rows) else 0

    return run_measurement(arguments.json, measured)


def _run(arguments: argparse.Namespace, command: str, console: Console) -> Comparison:
    for name, minimum in (("threads", 1), ("runs", 1), ("layers", 1)):
        if getattr(arguments, name) < minimum:
            raise InputError(f"--{name} {getattr(arguments, name)}: must be at least {minimum}")
    if not arguments.seconds > 0:
        raise InputError(f"--seconds {arguments.seconds}: must be above 0")
    inputs, seconds = arguments.inputs, arguments.seconds
    if arguments.quick:
        inputs = _QUICK_INPUTS if inputs is None else inputs
        seconds = min(seconds, _QUICK_SECONDS)
    check_space(arguments.space)
    peers = all_peers(arguments.space)
    unknown = [name for name in arguments.only or () if name not in peers]
    if unknown:
        raise InputError(
            f"--only {unknown[0]}: not available with --space {arguments.space}; "
            f"choose from {', '.join(peers)}"
        )
    environment = collect_environment()
    problem = _problem(arguments, inputs)
    plan = Plan(
        ChallengeProblem(
            neurons=arguments.neurons,
            layers=arguments.layers,
            inputs=problem.inputs.rows,
            seed=arguments.seed,
            data=arguments.data,
        ),
        threads=arguments.threads,
        space=arguments.space,
        runs=arguments.runs,
        seconds=seconds,
    )
    with delayed_bar(True) as bar:

        def on_progress(doing: str, done: float) -> None:
            if bar is not None:
                bar(doing, done)

        expected = load_or_compute_expected(
            problem.network,
            problem.inputs,
            lambda done: on_progress("reference", done),
            arguments.expected,
        )
        chosen = [p for n, p in peers.items() if not arguments.only or n in arguments.only]
        rows = measure(chosen, plan, expected, on_progress)
    network = _describe_network(problem)
    record = environment.record(plan.threads, command, network, rows, expected.layers)
    show(record, console)
    return record


def _count_active_rows(arguments: argparse.Namespace, command: str, console: Console) -> Comparison:
    environment = collect_environment()
    problem = _problem(arguments, arguments.inputs)
    with delayed_bar(True) as bar:
        expected = compute_expected(
            problem.network,
            problem.inputs,
            lambda done: bar("reference", done) if bar is not None else None,
        )
    layers = expected.layers
    counts = zip(layers.alive, layers.saturated, layers.undecided, strict=True)
    for number, (nonzero, saturated, active) in enumerate(counts, start=1):
        console.print(
            f"layer {number}: {nonzero:,} nonzero rows, {saturated:,} of them saturated; "
            f"{active:,} active"
        )
    return environment.record(1, command, _describe_network(problem), layers=layers)


def _measure_ceilings(arguments: argparse.Namespace, command: str, console: Console) -> Comparison:
    if arguments.threads < 1:
        raise InputError(f"--threads {arguments.threads}: must be at least 1")
    environment = collect_environment()
    ceilings = measure_machine_ceilings(arguments.threads)
    console.print(f"{environment.machine}, {ceilings.threads} threads", highlight=False)
    console.print(f"multiply-adds   {ceilings.edges_per_second:.3g} /s")
    for name in ("l1", "l2", "memory"):
        rate = getattr(ceilings, f"{name}_bytes_per_second")
        console.print(f"{name + ' reads':<15} {rate:.3g} bytes/s")
    console.print(f"listed adds     {ceilings.listed_per_second:.3g} /s")
    return environment.record(arguments.threads, command, None, ceilings=ceilings)


def _compare(arguments: argparse.Namespace, console: Console) -> int:
    if not arguments.threshold > 0:
        raise InputError(f"--threshold {arguments.threshold}: must be above 0")
    changes = compare(read_comparison(arguments.before), read_comparison(arguments.after))
    show_changes(changes, arguments.threshold, console)
    return 1 if any(change.fails(arguments.threshold) for change in changes) else 0


def _problem(arguments: argparse.Namespace, inputs: int | None) -> Problem:
    problem = load_problem(
        neurons=arguments.neurons,
        layers=arguments.layers,
        inputs=inputs,
        seed=arguments.seed,
        data=arguments.data,
    )
    if problem.inputs.rows == 0 or len(problem.network.layers) == 0:
        raise InputError("nothing to measure: give at least one layer and one input row")
    return problem


def _describe_network(problem: Problem) -> NetworkSize:
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
