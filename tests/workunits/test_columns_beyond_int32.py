"""The workunits of activations by columns with lists and dense columns past 2^32 elements."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from by_columns import Stored, allocate, read
from mapped_memory import FAR, mapped

from kkspdnn.device.memory import peak_memory
from kkspdnn.device.space import Space
from kkspdnn.workunits import bias, columns, relu, spgemm

SIZE, COLUMNS, LAST_ROWS = 2**16, 2**15 + 1, 16
"""Two batches are full, and the third one, whose dense columns are past 2^32 numbers, has 16 rows.
"""

ROWS = 2 * SIZE + LAST_ROWS

CAPACITY = 2**31 - 1
"""The largest number of list elements of a batch, whose places are int32."""

LIMIT = 3
"""Maximum number of entries of a list."""


@pytest.fixture(autouse=True)
def _on_the_host(space: Space) -> Any:
    if space.gpu:
        pytest.skip("activations by columns are for a CPU")
    before = peak_memory()
    yield
    assert peak_memory() - before < 3 * 10**9


def far_columns(dtype: np.dtype[Any], capacity: int = CAPACITY) -> Stored:
    """Return activations of zeros, all of them in lists."""
    small = allocate(ROWS, SIZE, COLUMNS, dtype, 1, 1)
    small.count[:] = 0
    small.place[:] = 0
    return replace(
        small,
        capacity=capacity,
        index=mapped(3 * capacity, np.uint16),
        value=mapped(3 * capacity, dtype),
        dense=mapped((3 * COLUMNS, SIZE), dtype),
    )


def last_batch(y: Stored) -> Any:
    """Return the rows of the last batch as an array."""
    base = 2 * COLUMNS
    return read(
        replace(
            y,
            rows=LAST_ROWS,
            batch_rows=y.batch_rows[2:],
            count=y.count[2:],
            place=y.place[2:],
            index=y.index[2 * y.capacity :],
            value=y.value[2 * y.capacity :],
            dense=y.dense[base : base + COLUMNS],
        )
    )


FIRST, LAST = np.arange(16) - 4, np.arange(16) % 5
"""Values of the dense columns: the first column and the last one."""


def expected_rows() -> Any:
    rows = np.zeros((LAST_ROWS, COLUMNS))
    rows[:, 0], rows[:, -1] = FIRST, LAST
    rows[[9, 2, 15], 5] = [3, -4, 5]
    return rows


def some_columns(dtype: np.dtype[Any]) -> Stored:
    """Return activations with two dense columns and a list, which ends where memory ends."""
    y = far_columns(dtype)
    y.count[2, [0, 5, -1]] = [np.count_nonzero(FIRST), 3, np.count_nonzero(LAST)]
    y.place[2, [0, 5, -1]] = [-1, CAPACITY - 3, -2]
    base = 2 * COLUMNS
    y.dense[base, :LAST_ROWS], y.dense[base + 1, :LAST_ROWS] = FIRST, LAST
    y.index[-3:], y.value[-3:] = [9, 2, 15], [3, -4, 5]
    assert (last_batch(y) == expected_rows()).all()
    return y


def test_the_last_of_many_batches_is_cleared(space: Space, dtype: np.dtype[Any]) -> None:
    batches, size, neurons = 2**20, 1024, 4
    dense = mapped(((batches + 1) * neurons, size), dtype)
    dense[-neurons - 1 :] = 7
    policy = space.pk.RangePolicy(space.execution_space, batches, batches + 1)
    space.pk.parallel_for(
        "clear", policy, columns.clear_dense, dense=dense, size=size, columns=neurons, step=1
    )
    assert not dense[-neurons:].any()
    assert (dense[-neurons - 1] == 7).all()


def test_conversion_to_csr(space: Space, dtype: np.dtype[Any]) -> None:
    y, expected = some_columns(dtype), expected_rows()
    shape = y.scalars("rows", "size", "columns", "capacity")
    storage = y.storage()
    value = storage.pop("value")
    entries = np.full(ROWS, -1, np.int64)
    space.pk.parallel_for(
        "count", space.range(3), columns.count_row_entries, entries=entries, **storage, **shape
    )
    assert not entries[:-LAST_ROWS].any()
    assert (entries[-LAST_ROWS:] == np.count_nonzero(expected, axis=1)).all()
    start = FAR + np.append(0, np.cumsum(entries))
    index, csr_value = mapped(start[-1], np.uint32), mapped(start[-1], dtype)
    space.pk.parallel_for(
        "to_csr", space.range(3), columns.columns_to_csr, value=value, start=start,
        cursor=np.empty(ROWS, np.int64), csr_index=index, csr_value=csr_value, **storage, **shape,
    )  # fmt: skip
    rows, found = np.nonzero(expected)
    assert (index[FAR:] == found).all()
    assert (csr_value[FAR:] == expected[rows, found]).all()


def test_conversion_from_csr(space: Space, dtype: np.dtype[Any]) -> None:
    """The rows of the last batch are the last of the matrix, in reverse order."""
    expected = expected_rows()[::-1]
    start = np.full(ROWS + 1, FAR, np.int64)
    start[-LAST_ROWS:] += np.cumsum(np.count_nonzero(expected, axis=1))
    index, value = mapped(start[-1], np.uint32), mapped(start[-1], dtype)
    rows, index[FAR:] = np.nonzero(expected)
    value[FAR:] = expected[rows, index[FAR:]]
    selected = np.append(np.arange(2 * SIZE), np.arange(2 * SIZE, ROWS)[::-1])
    y = far_columns(dtype)
    space.pk.parallel_for(
        "from_csr", space.range(3), columns.csr_to_columns, start=start, csr_index=index,
        csr_value=value, selected=selected, cursor=np.empty_like(y.place),
        batch_rows=y.batch_rows, sparse_limit=LIMIT, **y.storage(),
        **y.scalars("rows", "size", "columns", "capacity"),
    )  # fmt: skip
    assert not y.count[:2].any()
    assert y.place[2, [0, 5, -1]].tolist() == [-1, 0, -2]
    assert (last_batch(y) == expected_rows()).all()


def test_checks_of_rows(space: Space, dtype: np.dtype[Any]) -> None:
    y, expected = some_columns(dtype), expected_rows()
    shape = y.scalars("batch_rows", "columns", "capacity")
    smallest, largest = np.empty((2, 3, SIZE), dtype)
    space.pk.parallel_for(
        "ranges", space.row_teams(3, 1, 1), columns.find_column_ranges, smallest=smallest,
        largest=largest, listed=np.empty((3, SIZE), np.int32), zero=dtype.type(0),
        infinity=dtype.type(np.inf), **y.storage(), **shape,
    )  # fmt: skip
    assert (smallest[2, :LAST_ROWS] == expected.min(axis=1)).all()
    assert (largest[2, :LAST_ROWS] == expected.max(axis=1)).all()
    assert not smallest[:2].any()
    assert not largest[:2].any()
    y.value[-1] = np.nan
    y.dense[2 * COLUMNS + 1, 7] = np.inf
    storage = y.storage()
    storage.pop("index")
    found = space.pk.parallel_reduce(
        "finite", space.range(3), columns.count_not_finite, **storage, **shape
    )
    assert found == 2


def test_bias_and_relu(space: Space, dtype: np.dtype[Any]) -> None:
    z, expected = some_columns(dtype), expected_rows()
    shape = z.scalars("batch_rows", "columns", "capacity")
    shifts = np.zeros(COLUMNS, dtype)
    shifts[[0, 5, -1]] = [1, 2, -1]
    storage = z.storage()
    storage.pop("index")
    policy = space.row_teams(3, 1, 1)
    space.pk.parallel_for("bias", policy, bias.add_bias, bias=shifts, **storage, **shape)
    expected = np.where(expected != 0, expected + shifts, 0)
    assert (last_batch(z) == expected).all()
    y = far_columns(dtype)
    space.pk.parallel_for(
        "relu", policy, relu.relu, low=dtype.type(0), ymax=dtype.type(6), sparse_limit=LIMIT,
        **z.storage("z"), **y.storage("y"), **shape,
    )  # fmt: skip
    assert not y.count[:2].any()
    assert (last_batch(y) == np.clip(expected, 0, 6)).all()


def test_products(space: Space, dtype: np.dtype[Any]) -> None:
    """A dense output, one from a list and a dense column, one from a list, and one without edges,
    in the second of two blocks. The edges are past 2^32."""
    y, zcapacity = some_columns(dtype), 2**30 - 1
    z = far_columns(dtype, 2 * zcapacity)
    width = COLUMNS // 2 + 1
    wstart = np.full(COLUMNS + 1, FAR, np.int64)
    wstart[width + 2 :] += 2
    wstart[width + 3 :] += 2
    wstart[COLUMNS:] += 1
    windex, wvalue = mapped(FAR + 5, np.uint16), mapped(FAR + 5, dtype)
    windex[FAR:], wvalue[FAR:] = [0, COLUMNS - 1, 5, COLUMNS - 1, 5], [2, 3, -1, 1, 4]
    used = [width + 1, width + 2, COLUMNS - 1]
    weights = np.zeros((COLUMNS, 3))
    weights[windex[FAR:], [0, 0, 1, 1, 2]] = wvalue[FAR:]
    space.pk.parallel_for(
        "multiply", space.row_teams(1, 1, 1), spgemm.multiply, wstart=wstart, windex=windex,
        wvalue=wvalue, order=np.arange(COLUMNS, dtype=np.uint32), bias=np.zeros(COLUMNS, dtype),
        batch_rows=y.batch_rows, first_item=np.array([0, 6], np.int32),
        multiplications=np.empty(6, np.int64), accumulator=np.zeros((1, SIZE), dtype),
        touched=np.empty((1, SIZE + 1), np.uint16), edge_place=np.empty((1, 3), np.int32),
        edge_count=np.empty((1, 3), np.int32), edge_weight=np.empty((1, 3), dtype),
        zero=dtype.type(0), low=dtype.type(-np.inf), ymax=dtype.type(np.inf), inputs=COLUMNS,
        outputs=COLUMNS, blocks=2, width=width, sparse_limit=LIMIT, ycapacity=CAPACITY,
        zcapacity=zcapacity, **y.storage("y"), **z.storage("z"),
    )  # fmt: skip
    expected = np.zeros((LAST_ROWS, COLUMNS))
    expected[:, used] = expected_rows() @ weights
    assert not z.count[:2].any()
    assert (z.place[2, used] >= 0).tolist() == [False, False, True]
    assert (last_batch(z) == expected).all()
