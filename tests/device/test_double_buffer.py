"""Two buffers: every launch reads its own layer, whenever each stream gets round to its work."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kkspdnn.device.double_buffer import Put, TwoBuffers


@dataclass
class Place:
    """An event: after the first `number` tasks of a stream."""

    stream: Lane
    number: int

    def synchronize(self) -> None:
        self.stream.do(self.number)


@dataclass
class Lane:
    """A stream whose tasks are done when someone waits for them, or when `pace` says so: it gives
    the number of tasks, of those that are left, that are done at once."""

    pace: Callable[[int], int]
    tasks: list[Callable[[], object]] = field(default_factory=list)
    done: int = 0

    def give(self, task: Callable[[], object]) -> None:
        self.tasks.append(task)
        self.do(self.done + self.pace(len(self.tasks) - self.done))

    def do(self, number: int) -> None:
        while self.done < number:
            self.done += 1
            self.tasks[self.done - 1]()

    def record(self) -> Place:
        return Place(self, len(self.tasks))

    def wait_event(self, event: Place) -> None:
        self.give(event.synchronize)

    def synchronize(self) -> None:
        self.do(len(self.tasks))


class Simulated:
    """A transfer whose memory holds what the tasks that were really done have left there."""

    def __init__(self, launches: Lane, copies: Lane) -> None:
        self.launches = launches
        self.copies = copies

    def pinned(self, size: int) -> NDArray[np.uint8]:
        return np.full(size, 0xAA, np.uint8)

    def room(self, size: int) -> NDArray[np.uint8]:
        return np.full(size, 0xBB, np.uint8)

    def send(self, host: NDArray[np.uint8], device: Any) -> None:
        self.copies.give(lambda: device.__setitem__(slice(None), host))


@dataclass(frozen=True, eq=False)
class Weights:
    """A layer: arrays of several types, one of them empty."""

    index: Any
    value: Any
    bias: Any


def placed(layer: Weights, put: Put) -> Weights:
    return replace(layer, index=put(layer.index), value=put(layer.value), bias=put(layer.bias))


def layer(number: int, size: int = 40) -> Weights:
    rng = np.random.default_rng(number)
    index = rng.integers(0, 60_000, (size, 3)).astype(np.uint16)
    return Weights(index, np.empty(0, np.float32), rng.random(size))


def same(one: Weights, other: Weights) -> bool:
    return all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for a, b in zip(vars(one).values(), vars(other).values(), strict=True)
    )


late = partial(min, 0)
early = partial(max, 0)


def at_random(seed: int) -> Callable[[int], int]:
    rng = np.random.default_rng(seed)
    return lambda left: int(rng.integers(0, left + 1))


def through(
    simulated: Simulated, passes: list[list[tuple[int, bool, int]]], sizes: list[int]
) -> list[bool]:
    """Launches by (layer, is the next one sent ahead, launches), pass after pass; gives of each
    launch whether it read its layer."""
    buffers = TwoBuffers(simulated, placed)
    makers = [partial(layer, number, size) for number, size in enumerate(sizes)]
    right: list[bool] = []
    for each in passes:
        for place, (number, ahead, launches) in enumerate(each):
            here = buffers.get(number, makers[number])
            for _ in range(launches):
                expected = makers[number]()
                simulated.launches.give(partial(_read, here, expected, right))
            if ahead and place + 1 < len(each):
                following = each[place + 1][0]
                buffers.ahead(following, makers[following])
    simulated.launches.synchronize()
    return right


def _read(found: Weights, expected: Weights, right: list[bool]) -> None:
    right.append(same(found, expected))


@pytest.mark.parametrize("launches", [late, early], ids=["late", "early"])
@pytest.mark.parametrize("copies", [late, early], ids=["late", "early"])
@pytest.mark.parametrize("ahead", [True, False])
def test_streams_that_are_as_late_and_as_early_as_events_allow(
    launches: Callable[[int], int], copies: Callable[[int], int], ahead: bool
) -> None:
    passes = [[(number, ahead, 1) for number in range(2, 7)]] * 3
    sizes = [40] * 7
    assert through(Simulated(Lane(launches), Lane(copies)), passes, sizes) == [True] * 15


steps = st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3))


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.lists(steps, max_size=8), max_size=3),
    st.lists(st.integers(1, 300), min_size=6, max_size=6),
)
def test_any_order_of_layers_at_any_pace(
    seed: int, passes: list[list[tuple[int, bool, int]]], sizes: list[int]
) -> None:
    right = through(Simulated(Lane(at_random(seed)), Lane(at_random(seed + 1))), passes, sizes)
    assert right == [True] * sum(n for each in passes for _, _, n in each)


def test_a_copy_runs_beside_the_launches_of_the_layer_before() -> None:
    """It waits for those of the layer that it replaces only, once there are two buffers."""
    launches, copies = Lane(late), Lane(late)
    buffers = TwoBuffers(Simulated(launches, copies), placed)
    seen: list[int] = []
    for number in range(5):
        buffers.get(number, partial(layer, number))
        launches.give(partial(seen.append, number))
        buffers.ahead(number + 1, partial(layer, number + 1))
        copies.synchronize()
        assert seen == list(range(max(number, 1)))


def test_layers_that_are_there_are_not_copied_again() -> None:
    made: list[int] = []

    def make(number: int) -> Weights:
        made.append(number)
        return layer(number)

    buffers = TwoBuffers(Simulated(Lane(early), Lane(early)), placed)
    for number in (0, 0, 1, 0, 1, 2, 1):
        assert same(buffers.get(number, partial(make, number)), layer(number))
        buffers.ahead(number, partial(make, number))
    assert made == [0, 1, 2]


def test_a_layer_that_cannot_be_sent_leaves_none_in_its_place() -> None:
    class Failing(Simulated):
        def send(self, host: NDArray[np.uint8], device: Any) -> None:
            if fail:
                raise OSError("no more")
            super().send(host, device)

    fail = False
    buffers = TwoBuffers(Failing(Lane(early), Lane(early)), placed)
    for number in range(3):
        kept = buffers.get(number, partial(layer, number))
    fail = True
    with pytest.raises(OSError, match="no more"):
        buffers.ahead(3, partial(layer, 3))
    fail = False
    assert same(kept, layer(2))
    assert same(buffers.get(1, partial(layer, 1)), layer(1))


def test_memory_is_given_back_when_nothing_is_on_its_way_there() -> None:
    copies = Lane(late)
    buffers = TwoBuffers(Simulated(Lane(early), copies), placed)
    buffers.ahead(0, partial(layer, 0))
    assert copies.done < len(copies.tasks)
    del buffers
    gc.collect()
    assert copies.done == len(copies.tasks)
