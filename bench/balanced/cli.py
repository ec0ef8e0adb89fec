"""The command: `train` makes networks and measures accuracy, `time` measures their speed."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from bench.balanced import accuracy, timing
from bench.balanced.forms import forms
from bench.ceiling.report import SPACES
from bench.facts import facts
from bench.peer import package_version
from bench.recorded import recorded
from kkspdnn.cli.options import Parser, count
from kkspdnn.device.space import check_space
from kkspdnn.device.space_names import add_space_option
from kkspdnn.errors import InputError
from kkspdnn.pk.build.toolchain import omp_num_threads, usable_cores
from kkspdnn.records.pruning_study import Study

ROWS = (1, 64, 4096)
_PACKAGES = ("torch", "mkl", "sparse-dot-mkl", "cupy-cuda12x", "cupy-cuda13x")


def parser() -> argparse.ArgumentParser:
    """The commands and options of `python -m bench.balanced`."""
    made = Parser(prog="python -m bench.balanced", description=__doc__, allow_abbrev=False)
    commands = made.add_subparsers(dest="command", required=True, parser_class=Parser)
    train = commands.add_parser("train", help="train, prune, retrain", allow_abbrev=False)
    train.add_argument("--seeds", type=count, default=3, metavar="N", help="(3)")
    train.add_argument("--epochs", type=count, default=4, metavar="N", help="of training (4)")
    again = "of every retraining, one after each of two steps of pruning (1)"
    train.add_argument("--retrain-epochs", type=count, default=1, metavar="N", help=again)
    parts = "parts of the weights that go (0.6 0.8 0.9 0.95)"
    train.add_argument("--sparsities", type=float, nargs="+", metavar="S", help=parts)
    train.add_argument("--blocks", type=count, default=32, metavar="N", help="of a neuron (32)")
    train.add_argument("--networks", type=Path, metavar="DIR", help="folder for those of seed 0")
    time = commands.add_parser("time", help="time the networks of `train`", allow_abbrev=False)
    time.add_argument("--networks", type=Path, metavar="DIR", required=True, help="of `train`")
    add_space_option(time, SPACES, what="where to")
    time.add_argument("--rounds", type=count, default=9, metavar="N", help="in turns (9)")
    many = "input rows at a time (1 64 4096)"
    time.add_argument("--rows", type=count, nargs="+", default=ROWS, metavar="M", help=many)
    cores = "of the CPU, one number after the other (1 and all cores)"
    time.add_argument("--threads", type=count, nargs="+", metavar="T", help=cores)
    for each in (train, time):
        each.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(given)

    command = shlex.join(["python", "-m", "bench.balanced", *given])
    return recorded(options.json, lambda: (_study(options, command).to_json(), 0))


def _study(options: argparse.Namespace, command: str) -> Study:
    known = facts()
    versions = {name: package_version(name) for name in _PACKAGES}
    empty = Study(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=known.machine,
        threads=omp_num_threads() or usable_cores(),
        versions=known.versions | {n: v for n, v in versions.items() if v != "unknown"},
        commit=known.commit,
        command=command,
        layers=accuracy.LAYERS,
        gpu=known.gpu,
    )
    return (_trained if options.command == "train" else _timed)(options, empty)


def _trained(options: argparse.Namespace, empty: Study) -> Study:
    accuracies = accuracy.measure(
        options.seeds,
        options.epochs,
        options.retrain_epochs,
        options.sparsities or accuracy.SPARSITIES,
        options.blocks,
        options.networks,
        _tell,
    )
    training = (
        f"Adam, {options.epochs} epochs; pruned in {accuracy.STEPS} steps, after each "
        f"{options.retrain_epochs} epochs; last layer dense; {options.blocks} blocks, of "
        "neighbouring and of permuted inputs; "
        f"blocks of {'x'.join(map(str, accuracy.BLOCK_SHAPE))}"
    )
    return replace(empty, training=training, accuracies=tuple(accuracies))


def _timed(options: argparse.Namespace, empty: Study) -> Study:
    check_space(options.space)
    gpu, cores = options.space == "cuda", usable_cores()
    if gpu and options.threads:
        raise InputError("--threads: a GPU has its own; leave it out with --space cuda")
    threads = options.threads or ([1] if gpu else sorted({1, cores}))
    if max(threads) > cores:
        raise InputError(f"--threads {max(threads)}: this machine has {cores} cores")
    rates = {} if gpu else forms()
    for name, rate in rates.items():
        _tell(f"{name}, by hand, one thread: {rate:.3g} edges/s")
    timings = timing.measure(
        options.networks, options.rows, threads, options.rounds, options.space, _tell
    )
    return replace(empty, threads=max(threads), timings=tuple(timings), forms=rates)


def _tell(line: str) -> None:
    print(line, flush=True)
