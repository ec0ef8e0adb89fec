"""The command: `train` makes networks and measures accuracy, `time` measures their speed."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from bench.balanced import accuracy, timing
from bench.balanced.forms import forms
from bench.facts import facts
from bench.peer import package_version
from kkspdnn.cli import guarded
from kkspdnn.options import Parser, count
from kkspdnn.pk.toolchain import omp_num_threads, usable_cores
from kkspdnn.pruning.study import Study
from kkspdnn.record import check_writable, write_text


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
    time.add_argument("--rounds", type=count, default=9, metavar="N", help="in turns (9)")
    for each in (train, time):
        each.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(given)

    def run() -> int:
        if options.json is not None:
            check_writable(options.json)
        study = _study(options, shlex.join(["python", "-m", "bench.balanced", *given]))
        if options.json is not None:
            write_text(options.json, study.to_json())
        return 0

    return guarded(run)


def _study(options: argparse.Namespace, command: str) -> Study:
    known = facts()
    accuracies, timings, training, rates = [], [], "", {}
    if options.command == "train":
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
            f"{options.retrain_epochs} epochs; last layer dense; {options.blocks} blocks; "
            f"blocks of {'x'.join(map(str, accuracy.BLOCK_SHAPE))}"
        )
    else:
        rates = forms()
        for name, rate in rates.items():
            _tell(f"{name}, by hand, one thread: {rate:.3g} edges/s")
        timings = timing.measure(options.networks, options.rounds, _tell)
    return Study(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=known.machine,
        threads=omp_num_threads() or usable_cores(),
        versions=known.versions
        | {name: package_version(name) for name in ("torch", "mkl", "sparse-dot-mkl")},
        commit=known.commit,
        command=command,
        layers=accuracy.LAYERS,
        training=training,
        accuracies=tuple(accuracies),
        timings=tuple(timings),
        forms=rates,
    )


def _tell(line: str) -> None:
    print(line, flush=True)
