"""Blocks arrive at the launches on them unchanged, however the streams are scheduled."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from fake_streams import FakeEvent, FakeStream, FakeTransfer, at_random, early, late
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kkspdnn.device.block_transfer import BlockTransfer

Schedule = Callable[[int], int]
schedules = pytest.mark.parametrize(
    ("launches", "copies"), [(late, late), (late, early), (early, late), (early, early)]
)


def rows_of(number: int, rows: int, dtype: Any = np.uint8) -> NDArray[Any]:
    return np.random.default_rng(number).integers(0, 256, (rows, 5)).astype(dtype)


def send_all(
    transfer: FakeTransfer, arrays: list[NDArray[Any]], block_rows: int, launches: int = 1
) -> list[bool]:
    """Send arrays, with launches on each block. Return for each launch whether it read its rows."""
    blocks, correct = BlockTransfer(transfer), list[bool]()

    def compare(block: NDArray[Any], expected: NDArray[Any]) -> None:
        correct.append(block.dtype == expected.dtype and np.array_equal(block, expected))

    for array in arrays:
        seen = 0
        for first, block in blocks.send(array, block_rows):
            assert first == seen
            seen += len(block)
            expected = array[first : first + block_rows].copy()
            for _ in range(launches):
                transfer.launches.add(partial(compare, block, expected))
        assert seen == len(array)
    transfer.launches.synchronize()
    return correct


@schedules
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 40, 41])
def test_any_number_of_rows(launches: Schedule, copies: Schedule, rows: int) -> None:
    transfer = FakeTransfer(FakeStream(launches), FakeStream(copies))
    arrays = [rows_of(0, rows), rows_of(1, rows, np.float32), rows_of(2, rows, np.float64)]
    assert send_all(transfer, arrays, 8) == [True] * (3 * -(-rows // 8))


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 30), max_size=4),
    st.integers(1, 12),
    st.integers(0, 2),
)
def test_any_scheduling_of_streams(
    seed: int, rows: list[int], block_rows: int, launches: int
) -> None:
    transfer = FakeTransfer(FakeStream(at_random(seed)), FakeStream(at_random(seed + 1)))
    arrays = [rows_of(number, each) for number, each in enumerate(rows)]
    correct = send_all(transfer, arrays, block_rows, launches)
    assert correct == [True] * (launches * sum(-(-each // block_rows) for each in rows))


class Deaf(FakeStream):
    """A stream that does not wait for events."""

    def wait_event(self, event: FakeEvent) -> None:
        pass


class Impatient(FakeStream):
    """A stream whose events do not block the host."""

    def record(self) -> FakeEvent:
        event = super().record()
        return _Passed(event.stream, event.count)


class _Passed(FakeEvent):
    def synchronize(self) -> None:
        pass


@pytest.mark.parametrize(
    ("launches", "copies"),
    [
        (Deaf(early), FakeStream(late)),
        (FakeStream(late), Deaf(early)),
        (FakeStream(late), Impatient(late)),
    ],
    ids=["launch before its copy", "copy before earlier launches", "host before earlier copies"],
)
def test_each_wait_is_needed(launches: FakeStream, copies: FakeStream) -> None:
    """Without it the comparison above fails."""
    transfer = FakeTransfer(launches, copies)
    assert not all(send_all(transfer, [rows_of(0, 60)], 8))


def test_a_block_is_copied_during_the_launches_on_the_one_before_it() -> None:
    """It waits only for the launches on the block that it overwrites."""
    launches, copies = FakeStream(late), FakeStream(late)
    computed: list[int] = []
    sent = BlockTransfer(FakeTransfer(launches, copies)).send(rows_of(0, 40), 8)
    for number, _ in enumerate(sent):
        copies.synchronize()
        assert computed == list(range(max(number - 1, 0)))
        launches.add(partial(computed.append, number))


def test_two_buffers_of_a_block_are_all_the_memory() -> None:
    sizes: list[int] = []

    class Counting(FakeTransfer):
        def allocate(self, size: int) -> NDArray[np.uint8]:
            sizes.append(size)
            return super().allocate(size)

    blocks = BlockTransfer(Counting(FakeStream(early), FakeStream(early)))
    blocks.allocate(8 * 5)
    assert sizes == [40, 40]
    for array in (rows_of(0, 100), rows_of(1, 3), rows_of(2, 64)):
        assert all(len(block) <= 8 for _, block in blocks.send(array, 8))
    assert sizes == [40, 40]
    assert all(blocks.send(rows_of(0, 9, np.float32), 8))
    assert sizes == [40, 40, 160, 160]


def test_a_block_that_is_not_finished() -> None:
    """The launches on it may go on when the next array is sent."""
    transfer, correct = FakeTransfer(FakeStream(late), FakeStream(early)), list[bool]()
    blocks, array = BlockTransfer(transfer), rows_of(0, 8)

    def compare(block: NDArray[Any]) -> None:
        correct.append(np.array_equal(block, array))

    for _, block in blocks.send(array, 8):
        transfer.launches.add(partial(compare, block))
        break
    gc.collect()
    for number in (1, 2, 3):
        assert len(list(blocks.send(rows_of(number, 8), 8))) == 1
    transfer.launches.synchronize()
    assert correct == [True]


def test_memory_is_freed_only_after_the_copies_into_it() -> None:
    copies = FakeStream(late)
    blocks = BlockTransfer(FakeTransfer(FakeStream(late), copies))
    assert len(list(blocks.send(rows_of(0, 8), 8))) == 1
    assert copies.done < len(copies.tasks)
    del blocks
    gc.collect()
    assert copies.done == len(copies.tasks)
