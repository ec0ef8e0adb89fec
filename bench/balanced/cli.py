"""The command line: `train` prunes networks and measures accuracy, `time` measures speed."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.balanced import accuracy, timing
from bench.balanced.deepsparse_candidate import deepsparse_version
from bench.balanced.storage_formats import measure_storage_formats
from bench.ceiling.report import SPACES
from bench.environment import collect_environment
from bench.measurement import run_measurement
from kkspdnn.cli.parser import Parser, positive_int
from kkspdnn.device.space import check_space
from kkspdnn.device.space_names import add_space_option
from kkspdnn.errors import InputError
from kkspdnn.pk.build.toolchain import omp_num_threads, usable_cores
from kkspdnn.records.provenance import now, package_versions
from kkspdnn.records.pruning_study import Study

_PACKAGES = (
    *("torch", "onnx", "onnxruntime", "openvino", "mkl", "sparse-dot-mkl"),
    *("cupy-cuda12x", "cupy-cuda13x"),
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m bench.balanced`, with its subcommands."""
    root = Parser(prog="python -m bench.balanced", description=__doc__, allow_abbrev=False)
    commands = root.add_subparsers(dest="command", required=True, parser_class=Parser)
    train = commands.add_parser(
        "train",
        help="train, prune and retrain networks, and measure their accuracy",
        allow_abbrev=False,
    )
    train.add_argument(
        "--seeds", type=positive_int, default=3, metavar="N", help="number of seeds (3)"
    )
    train.add_argument(
        "--epochs", type=positive_int, default=4, metavar="N", help="epochs of training (4)"
    )
    text = "epochs of retraining after each of the two pruning steps (1)"
    train.add_argument("--retrain-epochs", type=positive_int, default=1, metavar="N", help=text)
    text = "fractions of the weights to remove (0.6 0.8 0.9 0.95)"
    train.add_argument("--sparsities", type=float, nargs="+", metavar="S", help=text)
    train.add_argument(
        "--blocks", type=positive_int, default=32, metavar="N", help="blocks per neuron (32)"
    )
    train.add_argument(
        "--networks", type=Path, metavar="DIR", help="folder for the networks of seed 0"
    )
    time = commands.add_parser("time", help="time the networks of `train`", allow_abbrev=False)
    text = "folder with the networks of `train`"
    time.add_argument("--networks", type=Path, metavar="DIR", required=True, help=text)
    add_space_option(time, SPACES)
    time.add_argument("--rounds", type=positive_int, default=9, metavar="N", help="rounds (9)")
    text = f"batch sizes in input rows ({_listed(timing.ROWS)})"
    time.add_argument(
        "--rows", type=positive_int, nargs="+", default=timing.ROWS, metavar="M", help=text
    )
    text = f"sparsities of the pruned networks ({_listed(timing.SPARSITIES)})"
    time.add_argument(
        "--sparsities", type=float, nargs="+", default=timing.SPARSITIES, metavar="S", help=text
    )
    text = "numbers of CPU threads (all cores)"
    time.add_argument("--threads", type=positive_int, nargs="+", metavar="T", help=text)
    for command in (train, time):
        command.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    return root


def _listed(numbers: Iterable[float]) -> str:
    return " ".join(f"{number:g}" for number in numbers)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(words)

    command = shlex.join(["python", "-m", "bench.balanced", *words])
    return run_measurement(options.json, lambda: (_study(options, command).to_json(), 0))


def _study(options: argparse.Namespace, command: str) -> Study:
    environment = collect_environment()
    versions = package_versions(_PACKAGES)
    deepsparse = deepsparse_version()
    if deepsparse != "unknown":
        versions["deepsparse"] = deepsparse
    empty = Study(
        created=now(),
        machine=environment.machine,
        threads=omp_num_threads() or usable_cores(),
        versions=environment.versions | versions,
        commit=environment.commit,
        command=command,
        layers=accuracy.LAYERS,
        gpu=environment.gpu,
        load_average=environment.load_average,
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
        _log,
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
        raise InputError("--threads: not used by a GPU; omit it with --space cuda")
    threads = options.threads or ([1] if gpu else [cores])
    if max(threads) > cores:
        raise InputError(f"--threads {max(threads)}: this machine has {cores} cores")
    layers = timing.read_layer_sizes(options.networks)
    timings = timing.measure(
        options.networks,
        options.sparsities,
        options.rows,
        threads,
        options.rounds,
        options.space,
        _log,
    )
    rates = {} if gpu else measure_storage_formats()
    for name, rate in rates.items():
        _log(f"{name}, hand-written kernel, one thread: {rate:.3g} edges/s")
    return replace(empty, layers=layers, threads=max(threads), timings=tuple(timings), forms=rates)


def _log(line: str) -> None:
    print(line, flush=True)
