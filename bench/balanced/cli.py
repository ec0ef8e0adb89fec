"""The command line: `train` prunes networks and measures accuracy, `time` measures speed."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.balanced import accuracy, timing
from bench.balanced.deepsparse_candidate import deepsparse_version
from bench.balanced.finished_seeds import FinishedSeeds, Settings, seeds_path
from bench.balanced.options import parse
from bench.balanced.storage_formats import measure_storage_formats
from bench.environment import collect_environment
from bench.measurement import run_measurement
from bench.peer import missing_package
from kkspdnn.device.space import check_space
from kkspdnn.errors import InputError
from kkspdnn.pk.build.toolchain import omp_num_threads, usable_cores
from kkspdnn.records.provenance import now, package_versions
from kkspdnn.records.pruning_study import Accuracy, Study

_PACKAGES = (
    *("torch", "onnx", "onnxruntime", "openvino", "mkl", "sparse-dot-mkl"),
    *("cupy-cuda12x", "cupy-cuda13x"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = parse(words)
    command = shlex.join(["python", "-m", "bench.balanced", *words])
    code = run_measurement(options.json, lambda: (_study(options, command).to_json(), 0))
    seeds = seeds_path(options.json) if options.command == "train" else None
    if code == 0 and seeds is not None:
        # The record has them now.
        seeds.unlink(missing_ok=True)
    return code


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
        layers=accuracy.QUICK_LAYERS if options.quick else accuracy.LAYERS,
        gpu=environment.gpu,
        load_average=environment.load_average,
        quick=options.quick,
    )
    return (_trained if options.command == "train" else _timed)(options, empty)


def _trained(options: argparse.Namespace, empty: Study) -> Study:
    accuracies = _train(options, empty, options.networks, seeds_path(options.json))
    training = (
        f"Adam, {options.epochs} epochs; pruned in {accuracy.STEPS} steps, after each "
        f"{options.retrain_epochs} epochs; last layer dense; {options.blocks} blocks, of "
        "neighbouring and of permuted inputs; "
        f"blocks of {'x'.join(map(str, accuracy.BLOCK_SHAPE))}"
    )
    return replace(empty, training=training, accuracies=tuple(accuracies))


def _train(
    options: argparse.Namespace, empty: Study, folder: Path | None, seeds: Path | None
) -> list[Accuracy]:
    """Train the networks of the options and return their accuracies.

    folder: receives the networks of seed 0
    seeds: the file of the finished seeds
    """
    settings = Settings(
        layers=empty.layers,
        images=accuracy.QUICK_IMAGES if options.quick else None,
        epochs=options.epochs,
        retrain_epochs=options.retrain_epochs,
        sparsities=tuple(options.sparsities),
        blocks=options.blocks,
        networks=None if folder is None else str(folder.absolute()),
        commit=empty.commit,
        torch=empty.versions.get("torch", "unknown"),
    )
    plan = accuracy.Plan(settings, options.seeds, folder)
    return accuracy.measure(plan, FinishedSeeds(seeds, plan.settings), _log)


def _timed(options: argparse.Namespace, empty: Study) -> Study:
    check_space(options.space)
    gpu, cores = options.space == "cuda", usable_cores()
    if gpu and options.threads:
        raise InputError("--threads: not used by a GPU; omit it with --space cuda")
    threads = options.threads or ([1] if gpu else [cores])
    if max(threads) > cores:
        raise InputError(f"--threads {max(threads)}: this machine has {cores} cores")
    with _networks(options, empty) as networks:
        layers = timing.read_layer_sizes(networks)
        timings = timing.measure(
            networks,
            options.sparsities,
            options.rows,
            threads,
            options.rounds,
            options.space,
            _log,
        )
    rates = {} if gpu or options.quick else measure_storage_formats()
    for name, rate in rates.items():
        _log(f"{name}, hand-written kernel, one thread: {rate:.3g} edges/s")
    return replace(empty, layers=layers, threads=max(threads), timings=tuple(timings), forms=rates)


@contextmanager
def _networks(options: argparse.Namespace, empty: Study) -> Iterator[Path]:
    """Yield the folder with the networks to time. A quick run trains them if they are missing."""
    folder = options.networks
    if folder is not None and (not options.quick or (folder / "dense").is_dir()):
        yield folder
        return
    missing = missing_package("torch", "PyTorch")
    if missing is not None:
        raise InputError(
            f"--quick trains networks: {missing}; install it, or give the --networks of `train`"
        )
    with TemporaryDirectory(prefix="kkspdnn-digits-") as temporary:
        target = folder if folder is not None else Path(temporary)
        _train(options, empty, target, None)
        yield target


def _log(line: str) -> None:
    print(line, flush=True)
