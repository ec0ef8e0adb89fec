"""Activations by columns from CSR and to CSR, and checks of rows, against SciPy and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from by_columns import Stored, allocate, check_forms, read, store
from exact_numbers import SHAPES, dense_matrix, offsets
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.device.space import Space
from kkspdnn.workunits import columns

pytestmark = pytest.mark.usefixtures("on_the_host")


def from_csr(space: Space, matrix: sp.csr_array, selected: Any, size: int, limit: int) -> Stored:
    neurons = matrix.shape[1]
    capacity = neurons * limit + size
    y = allocate(selected.size, size, neurons, matrix.dtype, capacity)
    space.pk.parallel_for(
        "from_csr",
        space.range(y.count.shape[0]),
        columns.csr_to_columns,
        start=matrix.indptr.astype(np.int64),
        csr_index=matrix.indices.astype(np.uint32),
        csr_value=matrix.data,
        selected=selected,
        cursor=np.full_like(y.place, -1),
        batch_rows=y.batch_rows,
        sparse_limit=limit,
        **y.storage(),
        **y.scalars("rows", "size", "columns", "capacity"),
    )
    return y


def to_csr(space: Space, y: Stored) -> sp.csr_array:
    entries = np.full(y.rows, -1, np.int64)
    storage = y.storage()
    value = storage.pop("value")
    shape = y.scalars("rows", "size", "columns", "capacity")
    policy = space.range(y.count.shape[0])
    space.pk.parallel_for(
        "count", policy, columns.count_row_entries, entries=entries, **storage, **shape
    )
    start, total = offsets(space, entries)
    index, csr_value = np.full(total, 2**32 - 1, np.uint32), np.full(total, np.nan, value.dtype)
    space.pk.parallel_for(
        "to_csr",
        policy,
        columns.columns_to_csr,
        value=value,
        start=start,
        cursor=np.full(y.rows, -1, np.int64),
        csr_index=index,
        csr_value=csr_value,
        **storage,
        **shape,
    )
    shape_ = (y.rows, y.columns)
    return sp.csr_array((csr_value, index.astype(np.int64), start), shape=shape_)


def assert_equal(found: sp.csr_array, dense: Any) -> None:
    expected = sp.csr_array(dense)
    assert found.indptr.tolist() == expected.indptr.tolist()
    assert found.indices.tolist() == expected.indices.tolist()
    assert found.data.tolist() == expected.data.tolist()


@settings(max_examples=40)
@given(**SHAPES)
def test_from_csr_and_back(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    neurons: int,
    density: float,
    size: int,
    limit: int,
) -> None:
    """Some rows of a matrix, in any order."""
    rng = np.random.default_rng(seed)
    dense = dense_matrix(rng, rows + 5, neurons, density, dtype)
    selected = rng.permutation(rows + 5)[:rows].astype(np.int64)
    y = from_csr(space, sp.csr_array(dense), selected, size, limit)
    assert (read(y) == dense[selected]).all()
    check_forms(y, limit)
    assert_equal(to_csr(space, y), dense[selected])


@settings(max_examples=40)
@given(**SHAPES)
def test_lists_in_any_order_to_csr(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    neurons: int,
    density: float,
    size: int,
    limit: int,
) -> None:
    dense = dense_matrix(np.random.default_rng(seed), rows, neurons, density, dtype)
    assert_equal(to_csr(space, store(dense, size, limit, seed)), dense)


@pytest.mark.parametrize("limit", [0, 2**16])
def test_the_largest_batch(space: Space, dtype: np.dtype[Any], limit: int) -> None:
    """The last row has number 65,535."""
    dense = np.zeros((2**16 + 1, 2), dtype)
    dense[[0, 2**15, 2**16 - 1, 2**16], 1] = [1, 2, 3, 4]
    y = from_csr(space, sp.csr_array(dense), np.arange(dense.shape[0]), 2**16, limit)
    assert y.count.tolist() == [[0, 3], [0, 1]]
    assert_equal(to_csr(space, y), dense)


@settings(max_examples=40)
@given(**SHAPES, sign=st.sampled_from([-1, 0, 1]))
def test_ranges_of_rows(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    neurons: int,
    density: float,
    size: int,
    limit: int,
    sign: int,
) -> None:
    """A row without zeros has none in its range. sign: of all values; 0: both"""
    dense = dense_matrix(np.random.default_rng(seed), rows, neurons, density, dtype)
    if sign:
        dense = sign * abs(dense)
    if density == 1:
        dense = np.where(dense == 0, dtype.type(sign or 1), dense)
    y = store(dense, size, limit, seed)
    shape = y.count.shape[0], size
    smallest, largest = np.full((2, *shape), np.nan, dtype)
    space.pk.parallel_for(
        "ranges",
        space.row_teams(shape[0], 1, 1),
        columns.find_column_ranges,
        smallest=smallest,
        largest=largest,
        listed=np.full(shape, -1, np.int32),
        zero=dtype.type(0),
        infinity=dtype.type(np.inf),
        **y.storage(),
        **y.scalars("batch_rows", "columns", "capacity"),
    )
    assert (smallest.ravel()[:rows] == dense.min(axis=1)).all()
    assert (largest.ravel()[:rows] == dense.max(axis=1)).all()


@settings(max_examples=30)
@given(**SHAPES, bad=st.lists(st.sampled_from([np.inf, -np.inf, np.nan]), max_size=20))
def test_values_that_are_not_finite_are_counted(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    neurons: int,
    density: float,
    size: int,
    limit: int,
    bad: list[float],
) -> None:
    rng = np.random.default_rng(seed)
    dense = dense_matrix(rng, rows, neurons, density, dtype)
    bad = bad[: dense.size]
    dense.ravel()[rng.permutation(dense.size)[: len(bad)]] = bad
    y = store(dense, size, limit, seed)
    storage = y.storage()
    storage.pop("index")
    found = space.pk.parallel_reduce(
        "finite",
        space.range(y.count.shape[0]),
        columns.count_not_finite,
        **storage,
        **y.scalars("batch_rows", "columns", "capacity"),
    )
    assert found == len(bad)


def test_dense_columns_are_cleared(space: Space, dtype: np.dtype[Any]) -> None:
    """Those of the batches of the launch only."""
    policy = space.pk.RangePolicy(space.execution_space, 1, 3)
    for step in (1, 2, 5):
        dense = np.ones((3 * 5, 16), dtype)
        space.pk.parallel_for(
            "clear", policy, columns.clear_dense, dense=dense, size=16, columns=5, step=step
        )
        assert (dense[:5] == 1).all()
        cleared = ~dense.reshape(3, 5, 16).any(axis=2)
        assert cleared[1:].tolist() == [[j % step == 0 for j in range(5)]] * 2


def test_lists_are_cleared(space: Space, dtype: np.dtype[Any]) -> None:
    """Their first elements, in the batches of the launch only."""
    index, value = np.ones(3 * 5, np.uint16), np.ones(3 * 5, dtype)
    policy = space.pk.RangePolicy(space.execution_space, 1, 3)
    space.pk.parallel_for(
        "clear", policy, columns.clear_lists, index=index, value=value, entries=2, capacity=5
    )
    for each in (index, value):
        assert each.reshape(3, 5).tolist() == [[1] * 5, [0, 0, 1, 1, 1], [0, 0, 1, 1, 1]]
