"""The command line: arguments in, a table, a record and an exit code out.

0: done, and right where that was checked. 1: done, and wrong. 2: something the user can mend.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter, sleep
from typing import NoReturn, TextIO

import numpy as np

from kkspdnn.compile import compile_all
from kkspdnn.engines import EXITS, KERNELS, Order
from kkspdnn.errors import InputError, KkspdnnError
from kkspdnn.inference import PARALLEL, Result, infer, own_version
from kkspdnn.info import findings
from kkspdnn.memory import GB, Budget
from kkspdnn.options import Parser, count, gigabytes, path, whole
from kkspdnn.outputs import check_outputs_name, write_outputs
from kkspdnn.plots.command import plot
from kkspdnn.problem import Problem, load_problem
from kkspdnn.progress import delayed_bar
from kkspdnn.pruning.command import prune_files
from kkspdnn.published import other_machines
from kkspdnn.ranks.launch import Launch, launch
from kkspdnn.ranks.world import AgreedError, Ranks, launched_ranks
from kkspdnn.record import Record, check_writable, write_text
from kkspdnn.show import show
from kkspdnn.spaces import SPACES, check_space, choose_device
from kkspdnn.verify import VERIFY

_WITH_OPTIONS: Mapping[str, Callable[[Sequence[str]], Iterable[str]]] = {
    "show": show,
    "compile": compile_all,
    "plot": plot,
    "prune": prune_files,
}
"""Commands with options of their own; each gives the text to print."""


_TURN, _LONGEST_TURN = 0.3, 3.0
"""Seconds that a rank leaves to the one before it to say what is wrong, and at most to all."""


def parser(quiet: bool = False) -> Parser:
    """The options of `python -m kkspdnn`; quiet: says nothing of mistakes, as one of many ranks."""
    made = Parser(
        prog="kkspdnn",
        description="Sparse deep neural network inference: Y' = min(max(Y W + b, 0), 32), layer "
        "after layer.",
        epilog="`kkspdnn info` shows compilers, Kokkos, spaces and the cache; "
        "`kkspdnn show WORKUNIT` the C++ of a workunit; `kkspdnn compile` compiles all of them "
        "for a space; `kkspdnn plot RECORDS --out DIR` draws figures; `kkspdnn prune IN --out OUT` "
        "prunes a dense network. All have a --help.",
        allow_abbrev=False,
    )
    made.quiet = quiet
    add = made.add_argument
    commands = ("run", "info", *_WITH_OPTIONS)
    add("command", nargs="?", choices=commands, default="run", help="default: run")
    add("--space", choices=SPACES, default="openmp", help="execution space (openmp)")
    add("--neurons", type=count, metavar="N", help="neurons of a layer (1024)")
    add("--layers", type=whole, metavar="L", help="layers (120, or all of --data)")
    add("--inputs", type=whole, metavar="M", help="input rows (60000, or all of --data)")
    names = "the challenge's files by their official names, or layer-1.npz, layer-2.npz and so on"
    add("--data", type=path, metavar="DIR", help=names)
    add("--mnist", type=path, metavar="FILE", help="raw MNIST images (IDX, may be .gz)")
    shipped = "take the shipped images of digits as input rows, also beside a network of --data"
    add("--shipped-images", action="store_true", help=shipped)
    add("--kernel", choices=KERNELS, default="fused", help="fused tiles, or SpGEMM (fused)")
    add("--exits", choices=EXITS, default="all", help="rows that may leave early (all)")
    add("--fold", action="store_true", help="compute equal neurons of a layer once")
    add("--dtype", choices=("float32", "float64"), default="float32", help="(float32)")
    add("--threads", type=count, metavar="T", help="OpenMP threads (all cores)")
    budget = (
        "budget of memory, for the whole process: Python, network, inputs, layers, activations, in "
        "gigabytes of 10^9 bytes (40 %% of the free memory for layers, and then for activations)"
    )
    add("--memory", type=gigabytes, metavar="GB", help=budget)
    add("--device", type=whole, metavar="N", help="GPU, within CUDA_VISIBLE_DEVICES (0)")
    add("--seed", type=whole, default=0, metavar="S", help="of the RadiX-Net (0)")
    against = "against the serial reference (sample)"
    add("--verify", choices=VERIFY, default="sample", help=against)
    text = "what the ranks of mpiexec share: input rows or layers (rows, while layers fit)"
    add("--parallel", choices=PARALLEL, default="auto", help=text)
    saved = "keep finished parts of the rows here; the same command goes on from them"
    add("--checkpoint", type=path, metavar="DIR", help=saved)
    add("--json", type=path, metavar="FILE", help="write the record")
    add("--categories", type=path, metavar="FILE", help="write the list of categories")
    last = "write the activations after the last layer, .npy, or as a sparse matrix .npz"
    add("--outputs", type=path, metavar="FILE", help=last)
    add("--published", action="store_true", help="also what others published, on other machines")
    add("--quiet", action="store_true", help="no table and no progress bar")
    add("--version", action="version", version=f"kkspdnn {own_version()}")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given and given[0] in _WITH_OPTIONS:
        return guarded(lambda: _print(_WITH_OPTIONS[given[0]](given[1:])))
    started = launch()
    options = parser(quiet=started is not None and started.rank > 0)
    options.refuse_unknown(given)
    arguments = options.parse_args(given)
    if arguments.command in _WITH_OPTIONS:
        options.error(f"{arguments.command} comes first: kkspdnn {arguments.command} …")
    if arguments.command == "info":
        return guarded(_info)
    command = shlex.join(["python", "-m", "kkspdnn", *given])
    if started is None:
        return guarded(lambda: _run(arguments, command, Ranks()))
    return _on_rank(started, lambda ranks: _run(arguments, command, ranks))


def guarded(action: Callable[[], int]) -> int:
    """The exit code of `action`; one line on standard error for all that the user can mend."""
    code, message = _ended(action)
    return code if message is None else _failed(message, code)


def _on_rank(started: Launch, action: Callable[[Ranks], int]) -> int:
    """The exit code of `action` on this process of a launch; where it fails here it ends the whole
    run, for the others would wait for this one for ever."""
    try:
        ranks = launched_ranks(started)
    except KkspdnnError as error:
        # All processes find the same.
        return _failed(str(error), 2) if started.rank == 0 else 2
    try:
        code, message = _ended(lambda: action(ranks))
    except AgreedError as agreed:
        code, message = _ended(partial(_raise, agreed.error))
        if ranks.rank == 0:
            _failed(f"{_where(agreed.rank)}{message}", code)
        return code
    except BaseException:
        traceback.print_exc()
        ranks.fail(1)
    if message is not None:
        # What is wrong with all of them is said once: the first to say it ends the others.
        sleep(min(_TURN * ranks.rank, _LONGEST_TURN))
        _failed(f"{_where(ranks.rank)}{message}", code)
        ranks.fail(code)
    return code


def _where(rank: int) -> str:
    return f"rank {rank}: " if rank else ""


def _raise(error: Exception) -> NoReturn:
    raise error


def _ended(action: Callable[[], int]) -> tuple[int, str | None]:
    """The exit code of `action`, and what the user can mend where it failed."""
    try:
        code = action()
        if sys.stdout is not None:
            sys.stdout.flush()
    except InputError as error:
        # A name of the user's may have a line end in it.
        return 2, " ".join(str(error).splitlines())
    except KkspdnnError as error:
        return 2, str(error)
    except MemoryError as error:
        detail = f" ({error})" if str(error) else ""
        return 2, f"out of memory{detail}; use fewer --inputs or a smaller network"
    except KeyboardInterrupt:
        return 130, "interrupted"
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough.
        _silence(sys.stdout)
        return 141, None
    except OSError as error:
        _silence(sys.stdout)
        where = f"{error.filename}: " if error.filename else ""
        return 2, f"{where}{error.strerror or error}"
    return code, None


def _failed(message: str, code: int) -> int:
    try:
        print(f"kkspdnn: {message}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)
    return code


def _silence(stream: TextIO) -> None:
    """Send what is left in the stream's buffer nowhere: Python would fail on it when it ends."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def _run(arguments: argparse.Namespace, command: str, ranks: Ranks) -> int:
    ranks.agreed(lambda: _check(arguments, ranks))
    with delayed_bar(not arguments.quiet and ranks.rank == 0) as bar:
        begun = perf_counter()
        if bar is not None:
            bar("loading", 0.0)
        problem = ranks.agreed(lambda: ranks.once_per_node(lambda: _problem(arguments)))
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
    if arguments.outputs is not None:
        write_outputs(arguments.outputs, result)
    if arguments.categories is not None:
        write_text(arguments.categories, "".join(f"{c}\n" for c in result.categories.tolist()))
    if arguments.json is not None:
        write_text(arguments.json, record.to_json())
    if not arguments.quiet:
        _show(record)
        if arguments.published:
            print("\n".join(other_machines(record.neurons, record.layers)))
    return _verdict(record)


def _check(arguments: argparse.Namespace, ranks: Ranks) -> None:
    """Raise what is wrong with the options as far as that takes no time to see."""
    if arguments.device is not None and arguments.space != "cuda":
        raise InputError(f"--device {arguments.device} is for --space cuda; leave it out")
    choose_device(arguments.device)
    check_space(arguments.space)
    if arguments.outputs is not None:
        check_outputs_name(arguments.outputs)
    files = dict[Path, str]()
    for option in ("json", "categories", "outputs"):
        file: Path | None = getattr(arguments, option)
        if file is None:
            continue
        if file in files:
            raise InputError(f"--{files[file]} and --{option} are both {file}; give two files")
        files[file] = option
        if ranks.rank == 0:
            check_writable(file)


def _problem(arguments: argparse.Namespace) -> Problem:
    return load_problem(
        neurons=arguments.neurons,
        layers=arguments.layers,
        inputs=arguments.inputs,
        data=arguments.data,
        mnist=arguments.mnist,
        seed=arguments.seed,
        dtype=arguments.dtype,
        budget=Budget.of(arguments.memory),
        shipped_images=arguments.shipped_images,
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
    if record.loads:
        threads += f" on {len(record.loads)} ranks"
    multiplied = record.edges_multiplied / record.inference_seconds
    rows = {
        "space": f"{record.space}, {threads}, {record.dtype}, kernel {record.kernel}, "
        f"exits {record.exits}",
        "PyKokkos": f"{record.pk}, Kokkos {record.kokkos_version}",
        "network": f"{record.network}: {record.layers:,} layers, {record.edges:,} edges",
        **({"fold": _folded(record)} if record.fold else {}),
        "inputs": f"{record.inputs:,} rows of {record.neurons:,} neurons: {record.inputs_source}",
        "once": f"load {record.load_seconds:.2f} s, compile {record.compile_seconds:.2f} s, "
        f"prepare {record.prepare_seconds:.2f} s",
        "order": _order(record),
        **({"ranks": _ranks(record)} if record.loads else {}),
        "inference": f"{record.inference_seconds:.3f} s"
        + (f", without {record.saved_rows:,} rows of the checkpoint" if record.saved_rows else ""),
        "rate": f"{record.edges_per_second:.3g} edges/s (inputs x edges / inference)",
        "multiplied": f"{multiplied:.3g} edges/s really multiplied",
        "categories": f"{record.categories:,}, sha256 {record.categories_sha256[:16]}",
        "memory": _memory(record),
        "verified": _verified(record),
    }
    for name, text in rows.items():
        print(f"{name:<12}{text}")


def _folded(record: Record) -> str:
    return (
        f"{record.neurons_before_fold:,} neurons to {record.neurons_after_fold:,}, "
        f"{record.edges:,} edges to {record.edges_after_fold:,}: equal ones computed once"
    )


def _order(record: Record) -> str:
    order = record.order or Order()
    chunks = ""
    if order.chunk_rows:
        chunks = f"{order.chunk_rows:,} rows at a time through {order.chunk_layers:,} layers"
        if order.again_layers:
            chunks += f", of those left through {order.again_layers:,} more"
        chunks += "; "
    depth, first = order.layers_a_launch, ", first layer on bits" if order.bits_counted else ""
    return f"{chunks}up to {depth} layer{'s' if depth != 1 else ''} a launch{first}"


def _ranks(record: Record) -> str:
    nodes = len({load.host for load in record.loads})
    seconds = [load.seconds for load in record.loads]
    layers = [str(load.layers) for load in record.loads]
    gpus = len({(load.host, load.device) for load in record.loads if load.device})
    return (
        f"{record.parallel} parallel on {nodes} node{'s' if nodes != 1 else ''}"
        + (f", GPUs {gpus}" if gpus else "")
        + (f", layers {' + '.join(layers)}" if record.parallel == "pipeline" else "")
        + f"; each computed {min(seconds):.3f} to {max(seconds):.3f} s, longest "
        f"{record.imbalance:.2f} times the mean"
    )


def _memory(record: Record) -> str:
    peak, budget = record.peak_memory_bytes or 0, record.memory_budget_bytes
    text = f"peak {peak / GB:.2f} GB" + (f" of {budget / GB:g} GB" if budget is not None else "")
    return text + f", {record.layers_held:,} of {record.layers:,} layers held"


def _verified(record: Record) -> str:
    verified = record.verified
    if verified.mode == "none":
        return "no"
    text = (
        f"{'passed' if verified.passed else 'FAILED'}: {verified.rows:,} rows against the serial "
        f"reference, largest error {verified.max_abs_error:.3g}"
    )
    return text + (f", {verified.speedup:.1f} times as fast" if verified.speedup else "")


def _print(parts: Iterable[str]) -> int:
    for part in parts:
        print(part, end="", flush=True)
    return 0


def _info() -> int:
    section = ""
    for finding in findings():
        if finding.section != section:
            section = finding.section
            print(section)
        mark = {True: "+", False: "-", None: " "}[finding.good]
        print(f"  {mark} {finding.what}: {finding.text}", flush=True)
    return 0
