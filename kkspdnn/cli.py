"""The command line: arguments in, a table, a record and an exit code out.

0: done, and right where that was checked. 1: done, and wrong. 2: something the user can mend.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np

from kkspdnn.engines import KERNELS
from kkspdnn.errors import InputError, KkspdnnError
from kkspdnn.inference import Result, infer, own_version
from kkspdnn.info import findings
from kkspdnn.problem import Problem, load_problem
from kkspdnn.progress import delayed_bar
from kkspdnn.record import Record, write_text
from kkspdnn.spaces import SPACES
from kkspdnn.verify import VERIFY


def parser() -> argparse.ArgumentParser:
    """The options of `python -m kkspdnn`."""
    made = argparse.ArgumentParser(
        prog="kkspdnn",
        description="Sparse deep neural network inference: Y' = min(max(Y W + b, 0), 32), layer "
        "after layer.",
        epilog="`kkspdnn info` shows compilers, Kokkos, spaces and the cache.",
        allow_abbrev=False,
    )
    add = made.add_argument
    add("command", nargs="?", choices=("run", "info"), default="run", help="default: run")
    add("--space", choices=SPACES, default="openmp", help="execution space (openmp)")
    add("--neurons", type=_count, metavar="N", help="neurons of a layer (1024)")
    add("--layers", type=_whole, metavar="L", help="layers (120, or all of --data)")
    add("--inputs", type=_whole, metavar="M", help="input rows (60000, or all of --data)")
    names = "the challenge's files by their official names, or layer-1.npz, layer-2.npz, …"
    add("--data", type=Path, metavar="DIR", help=names)
    add("--mnist", type=Path, metavar="FILE", help="raw MNIST images (IDX, may be .gz)")
    add("--kernel", choices=KERNELS, default="fused", help="fused tiles, or SpGEMM (fused)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="(float32)")
    add("--threads", type=_count, metavar="T", help="OpenMP threads (all cores)")
    add("--seed", type=_whole, default=0, metavar="S", help="of the RadiX-Net (0)")
    against = "against the serial reference (sample)"
    add("--verify", choices=VERIFY, default="sample", help=against)
    add("--json", type=Path, metavar="FILE", help="write the record")
    add("--categories", type=Path, metavar="FILE", help="write the list of categories")
    add("--quiet", action="store_true", help="no table and no progress bar")
    add("--version", action="version", version=f"kkspdnn {own_version()}")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    arguments = parser().parse_args(given)
    try:
        if arguments.command == "info":
            return _info()
        return _run(arguments, shlex.join(["python", "-m", "kkspdnn", *given]))
    except KkspdnnError as error:
        print(f"kkspdnn: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:
        detail = f" ({error})" if str(error) else ""
        print(
            f"kkspdnn: out of memory{detail}; use fewer --inputs or a smaller network",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("kkspdnn: interrupted", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace, command: str) -> int:
    for path in (arguments.json, arguments.categories):
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(f"{path}: {path.absolute().parent} is not a folder; make it first")
    with delayed_bar(not arguments.quiet) as bar:
        begun = perf_counter()
        if bar is not None:
            bar("loading", 0.0)
        problem = load_problem(
            neurons=arguments.neurons,
            layers=arguments.layers,
            inputs=arguments.inputs,
            data=arguments.data,
            mnist=arguments.mnist,
            seed=arguments.seed,
            dtype=arguments.dtype,
        )
        loaded = perf_counter() - begun
        result = infer(
            problem.network,
            problem.inputs,
            space=arguments.space,
            kernel=arguments.kernel,
            dtype=arguments.dtype,
            threads=arguments.threads,
            verification=arguments.verify,
            progress=bar,
        )
    record = replace(_judged(result, problem), load_seconds=loaded, command=command)
    if arguments.categories is not None:
        write_text(arguments.categories, "".join(f"{c}\n" for c in result.categories.tolist()))
    if arguments.json is not None:
        write_text(arguments.json, record.to_json())
    if not arguments.quiet:
        _show(record)
    return _verdict(record)


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


def _verdict(record: Record) -> int:
    """Say whether the answer is right where that was checked; 1 where it is wrong."""
    wrong = False
    if record.verified.passed is False:
        categories = "same" if record.verified.same_categories else "different"
        print(
            f"verify: FAILED, {categories} categories, largest error "
            f"{record.verified.max_abs_error:.3g}, allowed {record.verified.bound:.3g}"
        )
        wrong = True
    if record.truth == "passed":
        print("challenge: PASSED")
    elif record.truth == "failed":
        print(f"challenge: FAILED, {record.truth_missing} rows missing, {record.truth_extra} extra")
        wrong = True
    return 1 if wrong else 0


def _show(record: Record) -> None:
    threads = f"{record.threads} thread{'s' if record.threads != 1 else ''}"
    multiplied = record.edges_multiplied / record.inference_seconds
    rows = {
        "space": f"{record.space}, {threads}, {record.dtype}, kernel {record.kernel}",
        "PyKokkos": f"{record.pk}, Kokkos {record.kokkos_version}",
        "network": f"{record.network}: {record.layers:,} layers, {record.edges:,} edges",
        "inputs": f"{record.inputs:,} rows of {record.neurons:,} neurons: {record.inputs_source}",
        "before": f"load {record.load_seconds:.2f} s, compile {record.compile_seconds:.2f} s, "
        f"prepare {record.prepare_seconds:.2f} s",
        "inference": f"{record.inference_seconds:.3f} s",
        "rate": f"{record.edges_per_second:.3g} edges/s (inputs x edges / inference)",
        "multiplied": f"{multiplied:.3g} edges/s really multiplied",
        "categories": f"{record.categories:,}, sha256 {record.categories_sha256[:16]}",
        "verified": _verified(record),
    }
    for name, text in rows.items():
        print(f"{name:<12}{text}")


def _verified(record: Record) -> str:
    verified = record.verified
    if verified.mode == "none":
        return "no"
    text = (
        f"{'passed' if verified.passed else 'FAILED'}: {verified.rows:,} rows against the serial "
        f"reference, largest error {verified.max_abs_error:.3g}"
    )
    return text + (f", {verified.speedup:.1f} times as fast" if verified.speedup else "")


def _info() -> int:
    section = ""
    for finding in findings():
        if finding.section != section:
            section = finding.section
            print(section)
        mark = {True: "+", False: "-", None: " "}[finding.good]
        print(f"  {mark} {finding.what}: {finding.text}", flush=True)
    return 0


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: at least 1 is needed")
    return number
