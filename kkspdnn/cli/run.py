"""`python -m kkspdnn`: run a network, print the table and verdicts, and write the files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

from kkspdnn.cli.launch_table import launch_tables
from kkspdnn.cli.output_files import check_distinct, check_outputs_name, write_outputs
from kkspdnn.cli.problem import Problem, load_arguments
from kkspdnn.cli.text_outputs import STANDARD_OUTPUT, check_output, write_output
from kkspdnn.device.space import check_device, check_space, check_space_name, choose_device
from kkspdnn.errors import InputError, KkspdnnError
from kkspdnn.inference import Result, infer
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.pk.runtime.launch_times import LaunchRecorder, time_launches
from kkspdnn.progress import delayed_bar
from kkspdnn.records.result_table import result_table
from kkspdnn.records.run import Record


def run(arguments: argparse.Namespace, command: str, ranks: Ranks) -> int:
    """Run a network and return the exit code; ranks: of the launch, or of this process alone."""
    ranks.run_collectively(lambda: _check(arguments, ranks))
    first = ranks.rank == 0
    with (
        delayed_bar(not arguments.quiet and first) as bar,
        _time_launches(arguments.verbose if first else 0) as recorder,
    ):
        start = perf_counter()
        if bar is not None:
            bar("loading", 0.0)
        problem = ranks.run_collectively(
            lambda: ranks.once_per_node(lambda: load_arguments(arguments))
        )
        load_seconds = perf_counter() - start
        result = infer(
            problem.network,
            problem.inputs,
            space=arguments.space,
            kernel=arguments.kernel,
            epilogue=arguments.epilogue,
            exits=arguments.exits,
            dtype=arguments.dtype,
            threads=arguments.threads,
            device=arguments.device,
            fold=arguments.fold,
            tune=arguments.tune,
            verify=arguments.verify,
            values=arguments.outputs is not None,
            repeat=arguments.repeat,
            memory=arguments.memory,
            progress=bar,
            comm=ranks,
            parallel=arguments.parallel,
            checkpoint=arguments.checkpoint,
        )
    if not first:
        return 0
    record = _compare_with_expected(result, problem)
    record = replace(record, load_seconds=load_seconds, command=command)
    _do_all(
        lambda: _print_result(arguments, record),
        lambda: _print_launches(recorder, record),
        lambda: _write(arguments.outputs, lambda file: write_outputs(file, result)),
        lambda: _write(
            arguments.categories, lambda file: write_output(file, _category_lines(result))
        ),
        lambda: _write(arguments.json, lambda file: write_output(file, record.to_json())),
    )
    return 1 if record.verified.passed is False or record.truth == "failed" else 0


def _time_launches(verbose: int) -> AbstractContextManager[LaunchRecorder | None]:
    """Record launches, and keep each of them with -vv."""
    return time_launches(keep_launches=verbose > 1) if verbose else nullcontext()


def _do_all(*actions: Callable[[], None]) -> None:
    """Run every action, then raise the first error: one full disk must not lose other outputs."""
    first: Exception | None = None
    for action in actions:
        try:
            action()
        except (KkspdnnError, OSError) as error:
            first = first or error
    if first is not None:
        raise first


def _write(file: Path | None, write: Callable[[Path], None]) -> None:
    if file is not None:
        write(file)


def _category_lines(result: Result) -> str:
    return "".join(f"{category}\n" for category in result.categories.tolist())


def check_device_options(arguments: argparse.Namespace) -> None:
    """Raise InputError or SpaceError if --space or --device cannot be used, and select the GPU."""
    if arguments.device is not None and arguments.space != "cuda":
        raise InputError(f"--device {arguments.device} is for --space cuda; leave it out")
    check_device(arguments.device, check_space_name(arguments.space))
    choose_device(arguments.device)
    check_space(arguments.space)


def _check(arguments: argparse.Namespace, ranks: Ranks) -> None:
    """Raise InputError or SpaceError for options that can be checked before loading."""
    check_device_options(arguments)
    if arguments.epilogue == "separate" and arguments.kernel != "spgemm":
        raise InputError("--epilogue separate is for --kernel spgemm; leave it out")
    if arguments.outputs is not None:
        check_outputs_name(arguments.outputs)
    files = _paths(arguments, "json", "categories", "outputs")
    check_distinct(files, _paths(arguments, "data", "rows", "mnist", "checkpoint"))
    if ranks.rank == 0:
        for file in files.values():
            check_output(file)


def _paths(arguments: argparse.Namespace, *names: str) -> dict[str, Path]:
    """Return the paths of these options, if set."""
    paths = ((f"--{name}", getattr(arguments, name)) for name in names)
    return {option: path for option, path in paths if path is not None}


def _compare_with_expected(result: Result, problem: Problem) -> Record:
    """Return the record, with the comparison with the expected categories if there are any."""
    expected = problem.expected_categories
    if expected is None:
        return result.record
    missing = np.setdiff1d(expected, result.categories)
    extra = np.setdiff1d(result.categories, expected)
    return replace(
        result.record,
        truth="failed" if missing.size or extra.size else "passed",
        truth_missing=int(missing.size),
        truth_extra=int(extra.size),
    )


def _print_result(arguments: argparse.Namespace, record: Record) -> None:
    """Print the table and the verdicts of verification and challenge.

    They go to standard output, unless the record or the categories go there.
    """
    is_free = STANDARD_OUTPUT not in (arguments.json, arguments.categories)
    stream = sys.stdout if is_free else sys.stderr
    if not arguments.quiet:
        print(result_table(record), file=stream)
        if arguments.published:
            from kkspdnn.records.published import published_rates

            rates = published_rates(record.neurons, record.layers)
            print("\n".join(rates), file=stream)
    if record.verified.passed is False:
        categories = "same" if record.verified.same_categories else "different"
        print(
            f"verify: FAILED, {categories} categories, largest error "
            f"{record.verified.max_abs_error:.3g}, allowed {record.verified.bound:.3g}",
            file=stream,
        )
    if record.truth == "passed":
        print("challenge: PASSED", file=stream)
    elif record.truth == "failed":
        missing, extra = record.truth_missing, record.truth_extra
        print(f"challenge: FAILED, {missing} rows missing, {extra} extra", file=stream)
    if stream is not None:
        stream.flush()


def _print_launches(recorder: LaunchRecorder | None, record: Record) -> None:
    """Print the times of launches, if they were recorded."""
    if recorder is not None and sys.stderr is not None:
        # All repetitions are recorded.
        seconds = sum(record.repeat_seconds) or record.inference_seconds
        print(launch_tables(recorder, seconds), file=sys.stderr, flush=True)
