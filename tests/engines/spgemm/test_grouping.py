"""How rows are grouped into batches, and when their columns are dense."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.engines.spgemm import grouping as grouping_module
from kkspdnn.engines.spgemm.grouping import ALL_DENSE, Grouping, GroupingRule, sparse_limit
from kkspdnn.pk.policy import INT32_MAX

DTYPES = st.sampled_from([np.dtype(np.float32), np.dtype(np.float64)])
FLOAT = np.dtype(np.float32)


def most_list_elements(grouping: Grouping, columns: int) -> int:
    """Return the list elements of a batch."""
    limit = max(0, grouping.sparse_limit)
    return grouping.blocks * (-(-columns // grouping.blocks) * limit + grouping.size)


@given(
    rows=st.one_of(st.integers(0, 2000), st.integers(0, 2**30)),
    density=st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1e-12, 1e-4, 0.01, 0.1, 1.0])),
    widest=st.one_of(st.integers(1, 2**17), st.sampled_from([2**20, 2**26, 2**31 - 1])),
    fan_in=st.floats(0, 1e6),
    dtype=DTYPES,
    threads=st.integers(1, 256),
)
def test_every_grouping(
    rows: int, density: float, widest: int, fan_in: float, dtype: np.dtype[Any], threads: int
) -> None:
    grouping = GroupingRule(widest, fan_in, dtype, threads).choose(rows, density)
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
    fan_in=st.floats(0, 1e6),
    dtype=DTYPES,
    threads=st.integers(1, 256),
)
def test_places_of_lists_fit_into_32_bits(
    rows: int, density: float, widest: int, fan_in: float, dtype: np.dtype[Any], threads: int
) -> None:
    grouping = GroupingRule(widest, fan_in, dtype, threads).choose(rows, density)
    assert most_list_elements(grouping, widest) <= INT32_MAX


@pytest.mark.parametrize(
    ("rows", "density", "widest", "threads", "expected"),
    [
        # Dense columns: four registers, or one.
        (60_000, 1.0, 1024, 2, (64, 1, True)),
        (60_000, 0.1, 1024, 2, (64, 1, True)),
        (300, 1.0, 1024, 2, (64, 2, True)),
        (300, 1.0, 1024, 1, (64, 1, True)),
        (17, 1.0, 1024, 1, (64, 1, True)),
        (16, 1.0, 1024, 2, (16, 8, True)),
        # Lists: 32 entries on average.
        (60_000, 0.01, 1024, 2, (3168, 1, False)),
        (60_000, 0.0, 1024, 2, (60_000, 8, False)),
        (200_000, 0.0, 1024, 1, (50_000, 1, False)),
        # No more blocks than columns.
        (10, 1.0, 3, 2, (16, 3, True)),
        (0, 0.0, 1024, 2, (16, 8, False)),
        # Places of lists are int32.
        (10**6, 0.0, 2**20, 1, (2048, 1, False)),
    ],
)
def test_choice(
    rows: int, density: float, widest: int, threads: int, expected: tuple[int, int, bool]
) -> None:
    grouping = GroupingRule(widest, 32.0, FLOAT, threads).choose(rows, density)
    assert (grouping.size, grouping.blocks, grouping.all_dense) == expected


@pytest.mark.parametrize(
    ("fan_in", "lists", "dense"),
    [(2, 0.28, 0.29), (32, 0.05, 0.051), (512, 0.035, 0.036), (0, 0.53, 0.54)],
)
def test_columns_are_dense_from_a_density_on(fan_in: float, lists: float, dense: float) -> None:
    rule = GroupingRule(1024, fan_in, FLOAT, 2)
    assert not rule.choose(1000, lists).all_dense
    assert rule.choose(1000, dense).all_dense


@pytest.mark.parametrize(
    ("rows", "fan_in", "density", "by_rows"),
    [
        # Long lists; few edges; dense columns; no activations.
        (60_000, 32, 0.01, False),
        (1000, 2, 0.01, False),
        (1000, 512, 0.1, False),
        (1000, 512, 0.0, False),
        # Many edges: in long lists too if there are many products for an activation.
        (1000, 512, 0.001, True),
        (60_000, 512, 0.001, False),
        (60_000, 512, 0.01, True),
        (1000, 32, 0.003, True),
        (2000, 32, 0.003, False),
    ],
)
def test_products_by_rows_have_short_lists_or_many_edges(
    rows: int, fan_in: float, density: float, by_rows: bool
) -> None:
    assert GroupingRule(1024, fan_in, FLOAT, 2).choose(rows, density).by_rows is by_rows


def test_a_grouping_is_slow_if_the_density_changed_much() -> None:
    rule = GroupingRule(1024, 32.0, FLOAT, 1)
    dense, lists = rule.choose(5000, 0.1), rule.choose(5000, 0.01)
    assert lists.size == 2512
    assert [rule.is_slow(dense, each) for each in (1.0, 0.03, 0.025, 0.0)] == [0, 0, 1, 1]
    # Batches of half or a quarter of the size are fast enough, dense columns are faster.
    assert [rule.is_slow(lists, each) for each in (0.0, 0.01, 0.04, 0.05, 0.051)] == [0, 0, 0, 0, 1]
    assert rule.is_slow(Grouping(5000, 512, 1, 24), 0.01)
    assert not rule.is_slow(Grouping(5000, 1024, 1, 56), 0.01)


@pytest.mark.parametrize(
    ("fan_in", "density", "expected"),
    [
        # Up to eight times as many as without zeros, and less the more a layer may make of them.
        *((2, 0.0, 8000), (2, 0.001, 8000), (2, 0.01, 6666)),
        *((32, 0.0, 8000), (32, 0.0001, 8000), (32, 0.001, 4166), (32, 0.00125, 3333)),
        # Lists with more entries than dense columns; dense columns after the layer, or before it.
        *((2, 0.11, 1000), (32, 0.0013, 1000), (32, 1.0, 1000)),
    ],
)
def test_rows_that_fit_into_memory(fan_in: float, density: float, expected: int) -> None:
    rule = GroupingRule(1024, fan_in, FLOAT, 2)
    assert rule.max_rows(density, 1000) == expected
    for nonzeros in (expected * 1024 * density, expected * 1024 * density * fan_in):
        assert rule.fits(expected, 1024, int(nonzeros), 1000)


@pytest.mark.parametrize(
    ("dense_rows", "expected"), [(3000, 10_000), (10_000, 12_800), (20_000, 20_000)]
)
def test_no_more_rows_than_make_long_lists(dense_rows: int, expected: int) -> None:
    assert GroupingRule(1024, 2, FLOAT, 2).max_rows(0.02, dense_rows) == expected


def test_activations_that_do_not_fit() -> None:
    rule = GroupingRule(1024, 32.0, FLOAT, 2)
    # All columns would be dense; lists of too many entries; a narrower layer has fewer.
    assert not rule.fits(1001, 1024, 1001 * 1024, 1000)
    assert not rule.fits(8000, 1024, 1000 * 1024 // 6 + 1, 1000)
    assert rule.fits(8000, 512, 1000 * 1024 // 6, 1000)


def test_address_space_that_cannot_be_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping_module, "can_overcommit", lambda: False)
    assert GroupingRule(1024, 32.0, FLOAT, 2).max_rows(0.0, 1000) == 1000


@pytest.mark.parametrize(
    ("size", "dtype", "limit"),
    [(16, "float32", 0), (128, "float32", 0), (256, "float32", 8), (256, "float64", 24)],
)
def test_maximum_number_of_entries_of_a_list(size: int, dtype: str, limit: int) -> None:
    assert sparse_limit(size, np.dtype(dtype)) == limit


@pytest.mark.parametrize(
    ("rows", "limit", "dtype", "expected"),
    [
        # Lists and dense columns: full registers.
        (133, 8, "float32", [64, 64, 16]),
        (133, 8, "float64", [64, 64, 8]),
        (0, 8, "float32", [0]),
        # Dense columns: four registers, unless one has all rows.
        (144, ALL_DENSE, "float32", [64, 64, 16]),
        (145, ALL_DENSE, "float32", [64, 64, 64]),
        (73, ALL_DENSE, "float64", [64, 32]),
    ],
)
def test_rows_of_batches_are_full_registers(
    rows: int, limit: int, dtype: str, expected: list[int]
) -> None:
    found = Grouping(rows, 64, 2, limit).batch_rows(np.dtype(dtype))
    assert found.tolist() == expected
    assert found.dtype == np.int32


@pytest.mark.parametrize(
    ("density", "widest", "threads", "expected"),
    [
        # Lists: all rows together.
        (0.0, 1024, 2, INT32_MAX),
        (0.05, 1024, 2, INT32_MAX),
        # Dense columns: 64 MiB for each thread.
        (0.051, 1024, 1, 16_384),
        (1.0, 1024, 2, 32_768),
        # At least 1024 rows for each thread.
        (1.0, 65_536, 2, 2048),
    ],
)
def test_rows_that_are_computed_together(
    density: float, widest: int, threads: int, expected: int
) -> None:
    assert GroupingRule(widest, 32.0, FLOAT, threads).chunk_rows(density) == expected
