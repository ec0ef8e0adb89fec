"""`python -m kkspdnn`: options in; a table, files and the verdict out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

from kkspdnn.cli.outputs import check_distinct, check_outputs_name, write_outputs
from kkspdnn.cli.problem import Problem, load_problem
from kkspdnn.cli.progress import delayed_bar
from kkspdnn.cli.result_table import result_table
from kkspdnn.device.memory import Budget
from kkspdnn.device.space import check_device, check_space, check_space_name, choose_device
from kkspdnn.errors import InputError, KkspdnnError
from kkspdnn.inference import Result, infer
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.records.run import Record, check_writable, write_text


def run(arguments: argparse.Namespace, command: str, ranks: Ranks) -> int:
    """Run a network and give the exit code; ranks: those of the launch, or this process alone."""
    ranks.run_collectively(lambda: _check(arguments, ranks))
    with delayed_bar(not arguments.quiet and ranks.rank == 0) as bar:
        begun = perf_counter()
        if bar is not None:
            bar("loading", 0.0)
        problem = ranks.run_collectively(lambda: ranks.once_per_node(lambda: _problem(arguments)))
        loaded = perf_counter() - begun
        result = infer(
            problem.network,
            problem.inputs,
            space=arguments.space,
            kernel=arguments.kernel,
            exits=arguments.exits,
            dtype=arguments.dtype,
            threads=arguments.threads,
            device=arguments.device,
            fold=arguments.fold,
            verification=arguments.verify,
            values=arguments.outputs is not None,
            memory=arguments.memory,
            progress=bar,
            comm=ranks,
            parallel=arguments.parallel,
            checkpoint=arguments.checkpoint,
        )
    if ranks.rank != 0:
        return 0
    record = replace(_judged(result, problem), load_seconds=loaded, command=command)
    _do_all(
        lambda: _print_result(arguments, record),
        lambda: _write(arguments.outputs, lambda file: write_outputs(file, result)),
        lambda: _write(arguments.categories, lambda file: write_text(file, _listed(result))),
        lambda: _write(arguments.json, lambda file: write_text(file, record.to_json())),
    )
    return 1 if record.verified.passed is False or record.truth == "failed" else 0


def _do_all(*actions: Callable[[], None]) -> None:
    """Carry out every action, then raise the first error: a full disk must not cost the answer."""
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


def _listed(result: Result) -> str:
    return "".join(f"{category}\n" for category in result.categories.tolist())


def _check(arguments: argparse.Namespace, ranks: Ranks) -> None:
    """Raise what is wrong with the options as far as that takes no time to see."""
    if arguments.device is not None and arguments.space != "cuda":
        raise InputError(f"--device {arguments.device} is for --space cuda; leave it out")
    check_device(arguments.device, check_space_name(arguments.space))
    choose_device(arguments.device)
    check_space(arguments.space)
    if arguments.outputs is not None:
        check_outputs_name(arguments.outputs)
    files = _paths(arguments, "json", "categories", "outputs")
    check_distinct(files, _paths(arguments, "data", "mnist", "checkpoint"))
    if ranks.rank == 0:
        for file in files.values():
            check_writable(file)


def _paths(arguments: argparse.Namespace, *names: str) -> dict[str, Path]:
    """Those of these options that are given, with their paths."""
    given = ((f"--{name}", getattr(arguments, name)) for name in names)
    return {option: path for option, path in given if path is not None}


def _problem(arguments: argparse.Namespace) -> Problem:
    return load_problem(
        neurons=arguments.neurons,
        layers=arguments.layers,
        inputs=arguments.inputs,
        data=arguments.data,
        mnist=arguments.mnist,
        seed=arguments.seed,
        dtype=arguments.dtype,
        budget=Budget.from_gigabytes(arguments.memory),
        shipped_images=arguments.shipped_images,
        layer_cache=arguments.layer_cache,
    )


def _judged(result: Result, problem: Problem) -> Record:
    """The record, with the challenge's truth where there is one."""
    if problem.truth is None:
        return result.record
    missing = np.setdiff1d(problem.truth, result.categories)
    extra = np.setdiff1d(result.categories, problem.truth)
    return replace(
        result.record,
        truth="failed" if missing.size or extra.size else "passed",
        truth_missing=int(missing.size),
        truth_extra=int(extra.size),
    )


def _print_result(arguments: argparse.Namespace, record: Record) -> None:
    """Print the table, and whether the answer is right where that was checked."""
    if not arguments.quiet:
        print(result_table(record))
        if arguments.published:
            from kkspdnn.records.published import published_rates

            print("\n".join(published_rates(record.neurons, record.layers)))
    if record.verified.passed is False:
        categories = "same" if record.verified.same_categories else "different"
        print(
            f"verify: FAILED, {categories} categories, largest error "
            f"{record.verified.max_abs_error:.3g}, allowed {record.verified.bound:.3g}"
        )
    if record.truth == "passed":
        print("challenge: PASSED")
    elif record.truth == "failed":
        print(f"challenge: FAILED, {record.truth_missing} rows missing, {record.truth_extra} extra")
    if sys.stdout is not None:
        sys.stdout.flush()
