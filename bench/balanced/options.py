"""The options of `python -m bench.balanced`, and their defaults with and without `--quick`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.balanced import accuracy, timing
from bench.ceiling.report import SPACES
from kkspdnn.cli.parser import Parser, positive_int
from kkspdnn.device.space_names import add_space_option

_QUICK_HELP = "few and small measurements in under a minute, which no figure uses"


def parse(words: list[str]) -> argparse.Namespace:
    """Return the options of a command line. Those that are not given have their defaults."""
    root = parser()
    options = root.parse_args(words)
    for name, value in _defaults(options.command, options.quick).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    if options.command == "time" and options.networks is None and not options.quick:
        root.error("time: --networks is missing; give the folder of `train`, or --quick")
    return options


def _defaults(command: str, quick: bool) -> dict[str, Any]:
    """Return the defaults of a command, with those of the training that `time --quick` may need."""
    training = {
        "seeds": 1 if quick else 3,
        "epochs": 1 if quick else 4,
        "retrain_epochs": 1,
        "blocks": 32,
    }
    if command == "train":
        return {"sparsities": (0.9,) if quick else accuracy.SPARSITIES, **training}
    return {
        "rounds": 2 if quick else 9,
        "rows": (1, 64) if quick else timing.ROWS,
        "sparsities": (0.9,) if quick else timing.SPARSITIES,
        **training,
    }


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m bench.balanced`, with its subcommands."""
    text = "`train` prunes networks and measures accuracy, `time` measures speed."
    root = Parser(prog="python -m bench.balanced", description=text)
    commands = root.add_subparsers(dest="command", required=True, parser_class=Parser)
    train = commands.add_parser(
        "train",
        help="train, prune and retrain networks, and measure their accuracy",
    )
    train.add_argument("--seeds", type=positive_int, metavar="N", help="number of seeds (3)")
    train.add_argument("--epochs", type=positive_int, metavar="N", help="epochs of training (4)")
    text = "epochs of retraining after each of the two pruning steps (1)"
    train.add_argument("--retrain-epochs", type=positive_int, metavar="N", help=text)
    text = f"fractions of the weights to remove ({_listed(accuracy.SPARSITIES)})"
    train.add_argument("--sparsities", type=float, nargs="+", metavar="S", help=text)
    train.add_argument("--blocks", type=positive_int, metavar="N", help="blocks per neuron (32)")
    train.add_argument(
        "--networks", type=Path, metavar="DIR", help="folder for the networks of seed 0"
    )
    time = commands.add_parser("time", help="time the networks of `train`")
    text = "folder with the networks of `train`; with --quick they are trained if it has none"
    time.add_argument("--networks", type=Path, metavar="DIR", help=text)
    add_space_option(time, SPACES)
    time.add_argument("--rounds", type=positive_int, metavar="N", help="rounds (9)")
    text = f"batch sizes in input rows ({_listed(timing.ROWS)})"
    time.add_argument("--rows", type=positive_int, nargs="+", metavar="M", help=text)
    text = f"sparsities of the pruned networks ({_listed(timing.SPARSITIES)})"
    time.add_argument("--sparsities", type=float, nargs="+", metavar="S", help=text)
    text = "numbers of CPU threads (all cores)"
    time.add_argument("--threads", type=positive_int, nargs="+", metavar="T", help=text)
    for command in (train, time):
        command.add_argument("--quick", action="store_true", help=_QUICK_HELP)
        command.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    return root


def _listed(numbers: Iterable[float]) -> str:
    return " ".join(f"{number:g}" for number in numbers)
