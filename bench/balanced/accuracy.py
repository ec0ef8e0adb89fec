"""Accuracy against sparsity, for three pruning methods and several seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import kkspdnn as kk
from bench.balanced.digits import CLASSES, PIXELS, Digits, digits
from bench.balanced.finished_seeds import FinishedSeeds, Settings
from bench.balanced.training import Trainer, accuracy, sparsity
from kkspdnn.choices import Method
from kkspdnn.records.pruning_study import Accuracy, Pattern

LAYERS = (PIXELS, 1024, 1024, CLASSES)
QUICK_LAYERS, QUICK_IMAGES = (PIXELS, 128, 128, CLASSES), 5000
SPARSITIES = (0.6, 0.8, 0.9, 0.95)
BLOCK_SHAPE, STEPS = (8, 8), 2

_METHODS: tuple[tuple[Method, bool], ...] = (
    ("balanced", False),
    ("balanced", True),
    ("unstructured", False),
    ("block", False),
)
"""Pruning methods, and whether the inputs of balanced blocks are permuted."""


class NetworkTrainer(Protocol):
    """Trains networks, see Trainer."""

    def train(self, layers: tuple[int, ...]) -> kk.Network:
        """Train a dense network."""

    def retrain(self, network: kk.Network) -> kk.Network:
        """Train a pruned network."""


@dataclass(frozen=True)
class Plan:
    """What to train.

    settings: of the training of each seed
    seeds: their number
    folder: receives the networks of seed 0, unless None
    make_trainer: returns the trainer of a seed
    """

    settings: Settings
    seeds: int
    folder: Path | None
    make_trainer: Callable[[Digits, int, int, int], NetworkTrainer] = field(default=Trainer)


def measure(plan: Plan, finished: FinishedSeeds, log: Callable[[str], None]) -> list[Accuracy]:
    """Train, prune and retrain a network for each seed, and return the accuracies.

    finished: has the seeds that are not trained again, and receives the others
    log: called with one line per network

    The last layer, whose outputs are the classes, stays dense. Balanced pruning keeps an integral
    number of weights per block, so its sparsity differs slightly from the requested one. The other
    methods prune to the sparsity that balanced pruning reached.
    """
    settings = plan.settings
    train, test = digits()
    train = Digits(train.bits[: settings.images], train.labels[: settings.images])
    accuracies: list[Accuracy] = []
    for seed in range(plan.seeds):
        if finished.of(seed):
            log(f"seed {seed} was finished by an interrupted run")
        else:
            trainer = plan.make_trainer(train, settings.epochs, settings.retrain_epochs, seed)
            finished.add(_measure_seed(plan, seed, trainer, test, log))
        accuracies += finished.of(seed)
    return accuracies


def _measure_seed(
    plan: Plan, seed: int, trainer: NetworkTrainer, test: Digits, log: Callable[[str], None]
) -> tuple[Accuracy, ...]:
    accuracies: list[Accuracy] = []

    def evaluate(network: kk.Network, pattern: Pattern, permuted: bool, name: str) -> None:
        zeros, correct = sparsity(network), accuracy(network, test)
        accuracies.append(Accuracy(pattern, zeros, seed, correct, plan.settings.blocks, permuted))
        log(f"seed {seed}, {name}: sparsity {zeros:.4f}, accuracy {correct:.4f}")
        if plan.folder is not None and seed == 0:
            kk.save_npz_network(network, plan.folder / name)

    dense = trainer.train(plan.settings.layers)
    evaluate(dense, "dense", False, "dense")
    for requested in plan.settings.sparsities:
        reached: float | None = None
        for method, permute in _METHODS:
            pruned = kk.prune(
                dense,
                method=method,
                sparsity=(*([requested if reached is None else reached] * 2), 0.0),
                blocks=plan.settings.blocks,
                permute=permute,
                block_shape=BLOCK_SHAPE,
                steps=STEPS,
                retrain=trainer.retrain,
            )
            if reached is None:
                first = pruned.layers[0]
                reached = 1 - first.edges / (first.inputs * first.outputs)
            name = f"{method}-permuted" if permute else method
            evaluate(pruned, method, permute, f"{name}-{requested:g}")
    return tuple(accuracies)
