"""How rows are grouped into batches, and the memory of activations by columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.engines.spgemm.columns import ColumnMemory, Grouping, is_dense, sparse_limit
from kkspdnn.pk.policy import INT32_MAX

DTYPES = st.sampled_from([np.dtype(np.float32), np.dtype(np.float64)])


def most_list_elements(grouping: Grouping, columns: int, dtype: np.dtype[Any]) -> int:
    """Return the list elements of a batch."""
    limit = grouping.sparse_limit
    return grouping.blocks * (-(-columns // grouping.blocks) * limit + grouping.size)


@given(
    rows=st.one_of(st.integers(0, 2000), st.integers(0, 2**30)),
    density=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1e-12, 1e-4, 0.01, 0.1, 1.0])),
    widest=st.one_of(st.integers(1, 2**17), st.sampled_from([2**20, 2**26, 2**31 - 1])),
    dtype=DTYPES,
    threads=st.integers(1, 256),
)
def test_every_grouping(
    rows: int, density: float, widest: int, dtype: np.dtype[Any], threads: int
) -> None:
    grouping = Grouping.choose(rows, density, widest, dtype, threads)
    lanes = 64 // dtype.itemsize
    assert grouping.rows == rows
    assert grouping.size % lanes == 0
    assert lanes <= grouping.size <= 2**16
    assert grouping.batches >= 1
    assert (
        (grouping.batches - 1) * grouping.size < max(1, rows) <= (grouping.batches * grouping.size)
    )
    assert 1 <= grouping.blocks <= widest
    assert grouping.items == grouping.batches * grouping.blocks
    if threads > 1:
        assert grouping.items >= min(4 * threads, grouping.batches * widest)


@given(
    rows=st.integers(0, 2**20),
    density=st.floats(0, 1),
    widest=st.integers(1, 2**20),
    dtype=DTYPES,
    threads=st.integers(1, 256),
)
def test_places_of_lists_fit_into_32_bits(
    rows: int, density: float, widest: int, dtype: np.dtype[Any], threads: int
) -> None:
    grouping = Grouping.choose(rows, density, widest, dtype, threads)
    assert most_list_elements(grouping, widest, dtype) <= INT32_MAX


FLOAT = np.dtype(np.float32)


@pytest.mark.parametrize(
    ("rows", "density", "widest", "threads", "expected"),
    [
        # Dense columns: 256 rows, or as many as a thread gets, but at least 64.
        (60_000, 1.0, 1024, 2, (256, 1)),
        (60_000, 0.2, 1024, 2, (256, 1)),
        (300, 1.0, 1024, 2, (160, 4)),
        (300, 1.0, 1024, 1, (160, 1)),
        (10, 1.0, 1024, 2, (16, 8)),
        # Lists: 32 entries on average.
        (60_000, 0.01, 1024, 2, (3168, 1)),
        (60_000, 0.0, 1024, 2, (60_000, 8)),
        (200_000, 0.0, 1024, 1, (50_000, 1)),
        # No more blocks than columns.
        (10, 1.0, 3, 2, (16, 3)),
        (0, 0.0, 1024, 2, (16, 8)),
        # Places of lists are int32.
        (10**6, 0.0, 2**20, 1, (2048, 1)),
    ],
)
def test_choice(
    rows: int, density: float, widest: int, threads: int, expected: tuple[int, int]
) -> None:
    grouping = Grouping.choose(rows, density, widest, FLOAT, threads)
    assert (grouping.size, grouping.blocks) == expected


def test_sizes_that_differ_much() -> None:
    sizes = [16, 64, 65, 256, 272]
    groupings = [Grouping(1000, size, 1, 0) for size in sizes]
    assert [groupings[1].differs_much(each) for each in groupings] == [False] * 4 + [True]
    assert [each.differs_much(groupings[0]) for each in groupings] == [False] * 2 + [True] * 3


@pytest.mark.parametrize(
    ("size", "dtype", "limit"),
    [(16, "float32", 0), (128, "float32", 0), (256, "float32", 8), (256, "float64", 24)],
)
def test_maximum_number_of_entries_of_a_list(size: int, dtype: str, limit: int) -> None:
    assert sparse_limit(size, np.dtype(dtype)) == limit


@pytest.mark.parametrize(("dtype", "last"), [("float32", 16), ("float64", 8)])
def test_rows_of_batches_are_full_registers(dtype: str, last: int) -> None:
    y = ColumnMemory(np.dtype(dtype)).allocate(Grouping(133, 64, 2, 8), 5)
    assert y.batch_rows.tolist() == [64, 64, last]
    assert y.batch_rows.dtype == np.int32


@pytest.mark.parametrize(
    ("density", "widest", "threads", "expected"),
    [
        # Lists: all rows together.
        (0.0, 1024, 2, INT32_MAX),
        (0.031, 1024, 2, INT32_MAX),
        # Dense columns: 64 MiB for each thread.
        (0.032, 1024, 1, 16_384),
        (1.0, 1024, 2, 32_768),
        # At least four batches for each thread.
        (1.0, 65_536, 2, 2048),
    ],
)
def test_rows_that_are_computed_together(
    density: float, widest: int, threads: int, expected: int
) -> None:
    assert Grouping.chunk_rows(density, widest, FLOAT, threads) == expected
    assert is_dense(density) == (expected != INT32_MAX)


def test_activations_take_turns() -> None:
    """The activations before the last ones are overwritten, also by smaller ones."""
    memory = ColumnMemory(FLOAT)
    grouping = Grouping(100, 64, 2, 8)
    first, second, third = (memory.allocate(grouping, columns) for columns in (9, 9, 5))
    for name, array in first.storage().items():
        assert not np.shares_memory(array, second.storage()[name])
        assert np.shares_memory(array, third.storage()[name])
    assert third.dense.shape == (2 * 5, 64)
    assert third.count.shape == third.place.shape == (2, 5)
    assert third.index.size == third.value.size == 2 * third.batch_capacity


def test_memory_grows() -> None:
    memory = ColumnMemory(FLOAT)
    small = memory.allocate(Grouping(100, 64, 1, 8), 5)
    memory.allocate(Grouping(100, 64, 1, 8), 5)
    large = memory.allocate(Grouping(1000, 64, 1, 8), 5)
    assert large.dense.shape == (16 * 5, 64)
    assert not np.shares_memory(small.dense, large.dense)
