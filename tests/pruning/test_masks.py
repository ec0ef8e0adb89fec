"""Which weights stay: patterns, ties, sizes that do not divide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.errors import InputError
from kkspdnn.pruning.masks import (
    balanced_mask,
    block_mask,
    dealt_order,
    unstructured_mask,
)

SIZES = st.integers(1, 70)
PARTS = st.floats(0, 0.999)
SEEDS = st.integers(0, 2**32 - 1)


def weights(seed: int, inputs: int, outputs: int) -> Any:
    """None of them 0."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1, 1], (inputs, outputs)) * (rng.random((inputs, outputs)) + 0.01)


@settings(max_examples=200)
@given(SEEDS, SIZES, st.integers(1, 9), PARTS, st.integers(1, 40), st.booleans())
def test_every_block_of_every_output_keeps_the_same_number_of_its_largest(
    seed: int, inputs: int, outputs: int, part: float, blocks: int, permuted: bool
) -> None:
    w = weights(seed, inputs, outputs)
    order = dealt_order(w, blocks) if permuted else np.arange(inputs)
    mask = balanced_mask(w, part, blocks, order if permuted else None)
    wanted = max(1, round((1 - part) * inputs))
    count = min(blocks, wanted)
    counts = set()
    for rows in np.array_split(order, count):
        for n in range(outputs):
            kept, size = mask[rows, n], np.abs(w[rows, n])
            counts.add(int(kept.sum()))
            assert size[kept].min() >= size[~kept].max(initial=0)
    assert len(counts) == 1
    each = counts.pop()
    # Half a weight a block, by rounding, is as far as it may be off.
    assert each == inputs // count or abs(each * count - wanted) <= count / 2 + 0.5
    assert len(set(mask.sum(axis=0))) == 1


@given(SEEDS, SIZES, st.integers(1, 9), st.integers(1, 80))
def test_blocks_of_dealt_inputs_are_alike(
    seed: int, inputs: int, outputs: int, blocks: int
) -> None:
    """The n-th strongest of one block is no weaker than the next one of any other, and the first
    blocks are as strong as the last ones."""
    w = weights(seed, inputs, outputs)
    order = dealt_order(w, blocks)
    assert sorted(order) == list(range(inputs))
    strength = np.abs(w).sum(axis=1)
    dealt = [strength[rows] for rows in np.array_split(order, blocks)]
    for turn in range(1, max(map(len, dealt))):
        after = max(each[turn] for each in dealt if len(each) > turn)
        assert min(each[turn - 1] for each in dealt) >= after
    if inputs % (2 * blocks) == 0:
        ranks = np.empty(inputs, np.int64)
        ranks[np.argsort(-strength, kind="stable")] = np.arange(inputs)
        assert len({int(ranks[rows].sum()) for rows in np.array_split(order, blocks)}) == 1


@settings(max_examples=100)
@given(SEEDS, SIZES, SIZES, PARTS)
def test_unstructured_keeps_the_largest(seed: int, inputs: int, outputs: int, part: float) -> None:
    w = weights(seed, inputs, outputs)
    mask = unstructured_mask(w, part)
    assert mask.sum() == max(1, round((1 - part) * w.size))
    assert np.abs(w)[mask].min() >= np.abs(w)[~mask].max(initial=0)


@settings(max_examples=100)
@given(SEEDS, SIZES, SIZES, PARTS, st.integers(1, 80), st.integers(1, 9))
def test_blocks_stay_or_go_whole(
    seed: int, inputs: int, outputs: int, part: float, tall: int, wide: int
) -> None:
    w = weights(seed, inputs, outputs)
    mask = block_mask(w, part, (tall, wide))
    means: dict[bool, list[float]] = {True: [], False: []}
    for i in range(0, inputs, tall):
        for j in range(0, outputs, wide):
            here = np.s_[i : i + tall, j : j + wide]
            assert mask[here].all() or not mask[here].any()
            means[bool(mask[here].all())].append(float(np.abs(w[here]).mean()))
    total = len(means[True]) + len(means[False])
    assert len(means[True]) == max(1, round((1 - part) * total))
    assert min(means[True]) >= max(means[False], default=0) * (1 - 1e-12)


def test_of_equal_weights_the_first_stay() -> None:
    ones = np.ones((8, 3))
    assert balanced_mask(ones, 0.5, 2)[:, 0].tolist() == [True, True, False, False] * 2
    assert unstructured_mask(ones, 0.5).ravel().tolist() == [True] * 12 + [False] * 12
    assert block_mask(ones, 0.5, (4, 3))[:, 0].tolist() == [True] * 4 + [False] * 4


def test_the_rule_for_sizes_that_do_not_divide() -> None:
    """10 inputs in 4 blocks: of 3, 3, 2, 2; half of 10 is 5, and 5 / 4 a block is 1."""
    mask = balanced_mask(weights(0, 10, 5), 0.5, 4)
    assert [int(block.sum()) for block in np.array_split(mask, 4)] == [5, 5, 5, 5]
    # Fewer weights than blocks: one in each of so many blocks.
    assert balanced_mask(weights(0, 64, 1), 0.9, 32).sum() == 6
    assert balanced_mask(weights(0, 3, 1), 0.99, 32).sum() == 1


@pytest.mark.parametrize("zeros", [4, 3])
def test_a_block_with_too_few_weights_is_refused(zeros: int) -> None:
    w = weights(0, 8, 3)
    w[4 : 4 + zeros, 2] = 0
    message = f"output 2, block 2 of 2: {4 - zeros} of 4 weights are not 0, but 2 of each block"
    with pytest.raises(InputError, match=message):
        balanced_mask(w, 0.5, 2)
