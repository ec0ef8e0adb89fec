"""The double buffer gives every launch its own layer, however the streams are scheduled."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from fake_streams import FakeStream, FakeTransfer, at_random, early, late
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kkspdnn.device.double_buffer import DoubleBuffer, ToDevice


@dataclass(frozen=True, eq=False)
class Weights:
    """A layer: arrays of several dtypes, one of them empty."""

    index: Any
    value: Any
    bias: Any


def to_device(layer: Weights, copy: ToDevice) -> Weights:
    return replace(layer, index=copy(layer.index), value=copy(layer.value), bias=copy(layer.bias))


def layer(number: int, size: int = 40) -> Weights:
    rng = np.random.default_rng(number)
    index = rng.integers(0, 60_000, (size, 3)).astype(np.uint16)
    return Weights(index, np.empty(0, np.float32), rng.random(size))


def same(one: Weights, other: Weights) -> bool:
    return all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True)
    )


def launch_passes(
    transfer: FakeTransfer, passes: list[list[tuple[int, bool, int]]], sizes: list[int]
) -> list[bool]:
    """Launch on layers, given as (layer, prefetch the next one, launches), pass after pass.

    Returns for each launch whether it read its own layer.
    """
    buffers = DoubleBuffer(transfer, to_device)
    makers = [partial(layer, number, size) for number, size in enumerate(sizes)]
    correct: list[bool] = []
    for steps in passes:
        for position, (number, prefetch, launches) in enumerate(steps):
            current = buffers.get(number, makers[number])
            for _ in range(launches):
                expected = makers[number]()
                transfer.launches.add(partial(_compare, current, expected, correct))
            if prefetch and position + 1 < len(steps):
                following = steps[position + 1][0]
                buffers.prefetch(following, makers[following])
    transfer.launches.synchronize()
    return correct


def _compare(read: Weights, expected: Weights, correct: list[bool]) -> None:
    correct.append(same(read, expected))


@pytest.mark.parametrize("launches", [late, early], ids=["late", "early"])
@pytest.mark.parametrize("copies", [late, early], ids=["late", "early"])
@pytest.mark.parametrize("prefetch", [True, False])
def test_streams_that_run_as_late_or_as_early_as_events_allow(
    launches: Callable[[int], int], copies: Callable[[int], int], prefetch: bool
) -> None:
    passes = [[(number, prefetch, 1) for number in range(2, 7)]] * 3
    transfer = FakeTransfer(FakeStream(launches), FakeStream(copies))
    assert launch_passes(transfer, passes, [40] * 7) == [True] * 15


steps = st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3))


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.lists(steps, max_size=8), max_size=3),
    st.lists(st.integers(1, 300), min_size=6, max_size=6),
)
def test_any_order_of_layers_and_any_scheduling_of_streams(
    seed: int, passes: list[list[tuple[int, bool, int]]], sizes: list[int]
) -> None:
    transfer = FakeTransfer(FakeStream(at_random(seed)), FakeStream(at_random(seed + 1)))
    correct = launch_passes(transfer, passes, sizes)
    assert correct == [True] * sum(n for steps in passes for _, _, n in steps)


def test_a_copy_overlaps_with_the_launches_on_the_previous_layer() -> None:
    """With both buffers allocated, it waits only for launches on the layer that it overwrites."""
    launches, copies = FakeStream(late), FakeStream(late)
    buffers = DoubleBuffer(FakeTransfer(launches, copies), to_device)
    computed: list[int] = []
    for number in range(5):
        buffers.get(number, partial(layer, number))
        launches.add(partial(computed.append, number))
        buffers.prefetch(number + 1, partial(layer, number + 1))
        copies.synchronize()
        assert computed == list(range(max(number, 1)))


def test_a_layer_in_a_buffer_is_not_copied_again() -> None:
    made: list[int] = []

    def make(number: int) -> Weights:
        made.append(number)
        return layer(number)

    buffers = DoubleBuffer(FakeTransfer(FakeStream(early), FakeStream(early)), to_device)
    for number in (0, 0, 1, 0, 1, 2, 1):
        assert same(buffers.get(number, partial(make, number)), layer(number))
        buffers.prefetch(number, partial(make, number))
    assert made == [0, 1, 2]


def test_a_failed_copy_leaves_its_buffer_without_a_layer() -> None:
    class Failing(FakeTransfer):
        def copy(self, host: NDArray[np.uint8], device: Any) -> None:
            if fail:
                raise OSError("no more")
            super().copy(host, device)

    fail = False
    buffers = DoubleBuffer(Failing(FakeStream(early), FakeStream(early)), to_device)
    for number in range(3):
        kept = buffers.get(number, partial(layer, number))
    fail = True
    with pytest.raises(OSError, match="no more"):
        buffers.prefetch(3, partial(layer, 3))
    fail = False
    assert same(kept, layer(2))
    assert same(buffers.get(1, partial(layer, 1)), layer(1))


def test_memory_is_freed_only_after_the_copies_into_it() -> None:
    copies = FakeStream(late)
    buffers = DoubleBuffer(FakeTransfer(FakeStream(early), copies), to_device)
    buffers.prefetch(0, partial(layer, 0))
    assert copies.done < len(copies.tasks)
    del buffers
    gc.collect()
    assert copies.done == len(copies.tasks)
