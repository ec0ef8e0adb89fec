"""`python -m kkspdnn tune`: measure launch parameters on this machine, and keep the fastest."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

from kkspdnn.cli.exit_codes import WrongResultError, ending_at_interrupt
from kkspdnn.cli.options import ProblemParser, add_engine_options, add_problem_options
from kkspdnn.cli.parser import Parser
from kkspdnn.errors import InputError
from kkspdnn.parallel.launcher import detect_launch
from kkspdnn.tuning import DEFAULT_SECONDS
from kkspdnn.units import plural

if TYPE_CHECKING:
    from kkspdnn.device.launch_parameters import LaunchParameters
    from kkspdnn.tuning.api import Tuning
    from kkspdnn.tuning.search import Trial


def parser() -> Parser:
    """Return the parser of `python -m kkspdnn tune`."""
    options = ProblemParser(
        prog="kkspdnn tune",
        usage="kkspdnn tune [OPTION ...]",
        description="Measure launch parameters of the fused kernel on this machine, and keep the "
        "fastest beside the cache. Later runs of the same space, dtype, exits, number of threads "
        "and shape of the network use them, except with --no-tune.",
        examples=["kkspdnn tune --neurons 4096 --layers 120 --seconds 60"],
    )
    add_problem_options(options)
    add_engine_options(options.add_argument_group("engine"))
    options.add_argument_group("search").add_argument(
        "--seconds",
        type=_positive_seconds,
        default=DEFAULT_SECONDS,
        metavar="S",
        help=f"time of the search, after loading, compiling and packing ({DEFAULT_SECONDS:g})",
    )
    return options


def tune_space(argv: Sequence[str]) -> Iterator[str]:
    """Tune a network of the command line; yields the text to print, and prints each measurement.

    Raises the errors of `kkspdnn.tune`; WrongResultError if the categories change.
    """
    options = parser()
    arguments = options.parse_args(argv)
    launch = detect_launch()
    if launch is not None:
        raise InputError(
            f"{launch.launcher} started {launch.size} processes, which would disturb each other: "
            "run kkspdnn tune in one process, with the --threads of a rank"
        )
    with ending_at_interrupt():
        from kkspdnn.cli.problem import load_arguments
        from kkspdnn.cli.run import check_device_options
        from kkspdnn.tuning.api import tune
        from kkspdnn.tuning.measure import DifferentCategoriesError

    check_device_options(arguments)
    problem = load_arguments(arguments)
    network = problem.network
    yield (
        f"{network.name}: {len(network.layers):,} layers, {network.edges:,} edges; "
        f"{arguments.space}, {arguments.dtype}, exits {arguments.exits}\n"
        f"{'parameter':<17}{'value':>10}{'seconds':>10}{'of default':>12}{'runs':>6}\n"
    )
    try:
        tuning = tune(
            network,
            problem.inputs,
            space=arguments.space,
            exits=arguments.exits,
            dtype=arguments.dtype,
            threads=arguments.threads,
            device=arguments.device,
            memory=arguments.memory,
            seconds=arguments.seconds,
            on_trial=lambda trial: print(_line(trial), flush=True),
        )
    except DifferentCategoriesError as error:
        raise WrongResultError(str(error)) from error
    yield from _conclusion(tuning, problem.inputs.rows)


def _line(trial: Trial) -> str:
    """Return a line of the table."""
    value = (
        "" if trial.name in ("default", "choice") else str(getattr(trial.parameters, trial.name))
    )
    start = f"{trial.name:<17}{value:>10}"
    if trial.seconds is None:
        return f"{start}  refused: {trial.reason}"
    return f"{start}{trial.seconds:>10.4f}{trial.ratio:>12.3f}{trial.pairs:>6}  {trial.outcome}"


def _conclusion(tuning: Tuning, rows: int) -> Iterator[str]:
    """Yield what was measured, and the choice."""
    case = tuning.case
    measured = f"{tuning.rows:,} of {rows:,}" if tuning.rows < rows else f"{rows:,}"
    yield f"\nmeasured  {measured} rows on {case.machine}, {case.threads:,} threads\n"
    if tuning.skipped:
        yield f"no time   for {plural(tuning.skipped, 'candidate')}; give more --seconds\n"
    if tuning.file is None:
        yield (
            "choice    the default: no candidate is faster by more than 2 % and more than the "
            "noise\n"
        )
        if tuning.removed is not None:
            yield f"removed   {tuning.removed}, an earlier choice\n"
        return
    confirmed = tuning.trials[-1]
    yield (
        f"choice    {_differences(tuning.parameters, tuning.default)}: {confirmed.ratio:.3f} of "
        f"the default's time\nkept in   {tuning.file}\n"
    )


def _differences(parameters: LaunchParameters, default: LaunchParameters) -> str:
    """Return the values that differ from the default."""
    names = [field.name for field in fields(parameters)]
    pairs = {name: (getattr(parameters, name), getattr(default, name)) for name in names}
    return ", ".join(f"{name} {own}" for name, (own, other) in pairs.items() if own != other)


def _positive_seconds(text: str) -> float:
    """Convert a number of seconds above 0, for argparse."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or float(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return float(text)
