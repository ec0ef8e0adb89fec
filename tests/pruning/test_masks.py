"""Masks of the weights to keep: patterns, ties, and sizes that the blocks do not divide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.errors import InputError
from kkspdnn.pruning.masks import (
    balanced_mask,
    balancing_permutation,
    block_mask,
    unstructured_mask,
)

SIZES = st.integers(1, 70)
SPARSITIES = st.floats(0, 0.999)
SEEDS = st.integers(0, 2**32 - 1)


def weights(seed: int, inputs: int, outputs: int) -> Any:
    """Random weights other than 0."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1, 1], (inputs, outputs)) * (rng.random((inputs, outputs)) + 0.01)


@settings(max_examples=200)
@given(SEEDS, SIZES, st.integers(1, 9), SPARSITIES, st.integers(1, 40), st.booleans())
def test_every_block_of_every_output_keeps_the_same_number_of_its_largest(
    seed: int, inputs: int, outputs: int, sparsity: float, blocks: int, permuted: bool
) -> None:
    w = weights(seed, inputs, outputs)
    permutation = balancing_permutation(w, blocks) if permuted else np.arange(inputs)
    mask = balanced_mask(w, sparsity, blocks, permutation if permuted else None)
    target = max(1, round((1 - sparsity) * inputs))
    count = min(blocks, target)
    counts = set()
    for rows in np.array_split(permutation, count):
        for n in range(outputs):
            kept, magnitude = mask[rows, n], np.abs(w[rows, n])
            counts.add(int(kept.sum()))
            assert magnitude[kept].min() >= magnitude[~kept].max(initial=0)
    assert len(counts) == 1
    kept_of_block = counts.pop()
    # Rounding changes the number of weights by at most half a weight for each block.
    rounding = abs(kept_of_block * count - target)
    assert kept_of_block == inputs // count or rounding <= count / 2 + 0.5
    assert len(set(mask.sum(axis=0))) == 1


@given(SEEDS, SIZES, st.integers(1, 9), st.integers(1, 80))
def test_the_permutation_balances_the_blocks(
    seed: int, inputs: int, outputs: int, blocks: int
) -> None:
    """The n-th largest input of a block is no smaller than input n + 1 of any other block, and all
    blocks have the same sum of ranks."""
    w = weights(seed, inputs, outputs)
    permutation = balancing_permutation(w, blocks)
    assert sorted(permutation) == list(range(inputs))
    strength = np.abs(w).sum(axis=1)
    of_blocks = [strength[rows] for rows in np.array_split(permutation, blocks)]
    for n in range(1, max(map(len, of_blocks))):
        largest = max(block[n] for block in of_blocks if len(block) > n)
        assert min(block[n - 1] for block in of_blocks) >= largest
    if inputs % (2 * blocks) == 0:
        ranks = np.empty(inputs, np.int64)
        ranks[np.argsort(-strength, kind="stable")] = np.arange(inputs)
        assert len({int(ranks[rows].sum()) for rows in np.array_split(permutation, blocks)}) == 1


@settings(max_examples=100)
@given(SEEDS, SIZES, SIZES, SPARSITIES)
def test_unstructured_keeps_the_largest(
    seed: int, inputs: int, outputs: int, sparsity: float
) -> None:
    w = weights(seed, inputs, outputs)
    mask = unstructured_mask(w, sparsity)
    assert mask.sum() == max(1, round((1 - sparsity) * w.size))
    assert np.abs(w)[mask].min() >= np.abs(w)[~mask].max(initial=0)


@settings(max_examples=100)
@given(SEEDS, SIZES, SIZES, SPARSITIES, st.integers(1, 80), st.integers(1, 9))
def test_blocks_are_kept_or_removed_as_a_whole(
    seed: int, inputs: int, outputs: int, sparsity: float, height: int, width: int
) -> None:
    w = weights(seed, inputs, outputs)
    mask = block_mask(w, sparsity, (height, width))
    means: dict[bool, list[float]] = {True: [], False: []}
    for i in range(0, inputs, height):
        for j in range(0, outputs, width):
            block = np.s_[i : i + height, j : j + width]
            assert mask[block].all() or not mask[block].any()
            means[bool(mask[block].all())].append(float(np.abs(w[block]).mean()))
    total = len(means[True]) + len(means[False])
    assert len(means[True]) == max(1, round((1 - sparsity) * total))
    assert min(means[True]) >= max(means[False], default=0) * (1 - 1e-12)


def test_the_first_of_equal_weights_are_kept() -> None:
    ones = np.ones((8, 3))
    assert balanced_mask(ones, 0.5, 2)[:, 0].tolist() == [True, True, False, False] * 2
    assert unstructured_mask(ones, 0.5).ravel().tolist() == [True] * 12 + [False] * 12
    assert block_mask(ones, 0.5, (4, 3))[:, 0].tolist() == [True] * 4 + [False] * 4


def test_the_rule_for_sizes_that_do_not_divide() -> None:
    """10 inputs in 4 blocks of 3, 3, 2 and 2: of 5 weights, 5 / 4, rounded, are 1 in each block."""
    mask = balanced_mask(weights(0, 10, 5), 0.5, 4)
    assert [int(block.sum()) for block in np.array_split(mask, 4)] == [5, 5, 5, 5]
    # With fewer weights than blocks there is one block for each weight.
    assert balanced_mask(weights(0, 64, 1), 0.9, 32).sum() == 6
    assert balanced_mask(weights(0, 3, 1), 0.99, 32).sum() == 1


@pytest.mark.parametrize("zeros", [4, 3])
def test_a_block_with_too_few_weights_is_refused(zeros: int) -> None:
    w = weights(0, 8, 3)
    w[4 : 4 + zeros, 2] = 0
    message = f"output 2, block 2 of 2: {4 - zeros} of 4 weights are not 0, but 2 of each block"
    with pytest.raises(InputError, match=message):
        balanced_mask(w, 0.5, 2)
