"""Accuracy against sparsity, for three pruning methods and several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import kkspdnn as kk
from bench.balanced.digits import CLASSES, PIXELS, digits
from bench.balanced.training import Trainer, accuracy, sparsity
from kkspdnn.choices import Method
from kkspdnn.records.pruning_study import Accuracy, Pattern

LAYERS = (PIXELS, 1024, 1024, CLASSES)
SPARSITIES = (0.6, 0.8, 0.9, 0.95)
BLOCK_SHAPE, STEPS = (8, 8), 2

_METHODS: tuple[tuple[Method, bool], ...] = (
    ("balanced", False),
    ("balanced", True),
    ("unstructured", False),
    ("block", False),
)
"""Pruning methods, and whether the inputs of balanced blocks are permuted."""


def measure(
    seeds: int,
    epochs: int,
    retrain_epochs: int,
    sparsities: Sequence[float],
    blocks: int,
    folder: Path | None,
    log: Callable[[str], None],
) -> list[Accuracy]:
    """Train, prune and retrain a network for each seed, and return the accuracies.

    folder: receives the networks of seed 0, unless None
    log: called with one line per network

    The last layer, whose outputs are the classes, stays dense. Balanced pruning keeps an integral
    number of weights per block, so its sparsity differs slightly from the requested one. The other
    methods prune to the sparsity that balanced pruning reached.
    """
    train, test = digits()
    accuracies: list[Accuracy] = []

    def evaluate(
        network: kk.Network, pattern: Pattern, permuted: bool, seed: int, name: str
    ) -> None:
        zeros, correct = sparsity(network), accuracy(network, test)
        accuracies.append(Accuracy(pattern, zeros, seed, correct, blocks, permuted))
        log(f"seed {seed}, {name}: sparsity {zeros:.4f}, accuracy {correct:.4f}")
        if folder is not None and seed == 0:
            kk.save_npz_network(network, folder / name)

    for seed in range(seeds):
        trainer = Trainer(train, epochs, retrain_epochs, seed)
        dense = trainer.train(LAYERS)
        evaluate(dense, "dense", False, seed, "dense")
        for requested in sparsities:
            reached: float | None = None
            for method, permute in _METHODS:
                pruned = kk.prune(
                    dense,
                    method=method,
                    sparsity=(*([requested if reached is None else reached] * 2), 0.0),
                    blocks=blocks,
                    permute=permute,
                    block_shape=BLOCK_SHAPE,
                    steps=STEPS,
                    retrain=trainer.retrain,
                )
                if reached is None:
                    first = pruned.layers[0]
                    reached = 1 - first.edges / (first.inputs * first.outputs)
                name = f"{method}-permuted" if permute else method
                evaluate(pruned, method, permute, seed, f"{name}-{requested:g}")
    return accuracies
