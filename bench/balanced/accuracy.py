"""Accuracy against sparsity, pruned in three patterns, over several seeds."""

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

_WAYS: tuple[tuple[Method, bool], ...] = (
    ("balanced", False),
    ("balanced", True),
    ("unstructured", False),
    ("block", False),
)
"""Methods of pruning, and whether the inputs of balanced blocks are permuted."""


def measure(
    seeds: int,
    epochs: int,
    retrain_epochs: int,
    sparsities: Sequence[float],
    blocks: int,
    folder: Path | None,
    tell: Callable[[str], None],
) -> list[Accuracy]:
    """Train, prune and retrain for each seed; the networks of the first one go into `folder`.

    The last layer, whose outputs are the classes, stays dense, in every pattern. The sparsity that
    Balanced Sparsity reaches, a whole number of weights a block, is asked of the others as well.
    """
    train, test = digits()
    found: list[Accuracy] = []

    def keep(network: kk.Network, pattern: Pattern, permuted: bool, seed: int, name: str) -> None:
        part = sparsity(network)
        right = accuracy(network, test)
        found.append(Accuracy(pattern, part, seed, right, blocks, permuted))
        tell(f"seed {seed}, {name}: sparsity {part:.4f}, accuracy {right:.4f}")
        if folder is not None and seed == 0:
            kk.save_npz_network(network, folder / name)

    for seed in range(seeds):
        trainer = Trainer(train, epochs, retrain_epochs, seed)
        dense = trainer.train(LAYERS)
        keep(dense, "dense", False, seed, "dense")
        for wanted in sparsities:
            reached: float | None = None
            for method, permute in _WAYS:
                pruned = kk.prune(
                    dense,
                    method=method,
                    sparsity=(*([wanted if reached is None else reached] * 2), 0.0),
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
                keep(pruned, method, permute, seed, f"{name}-{wanted:g}")
    return found
