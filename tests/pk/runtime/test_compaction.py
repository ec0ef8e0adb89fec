"""The values of compacted rows: those of the loop, for each type and length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compaction_kernels import compact, compact_one_by_one

from kkspdnn.pk import provide_pykokkos
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.dispatch import infer_types
from kkspdnn.pk.policy import ExecutionSpace

pk = provide_pykokkos()

DTYPES = ["float32", "float64"]
NUMBERS = ["int16", "uint16", "int32", "uint32"]


def launch(workunit: Any, dense: Any, index: Any, value: Any) -> Any:
    """Return the number of nonzeros of each row."""
    rows, n = dense.shape
    found = np.full(rows, -1, np.int64)
    policy = pk.RangePolicy(pk.Serial, 0, rows)
    arguments = {"dense": dense, "index": index, "value": value, "found": found, "n": n}
    pk.parallel_for("compact", policy, workunit, **arguments)
    return found


def rows_of(n: int, dtype: str) -> Any:
    """Return rows without zeros, with zeros of both signs only, and with some numbers of all
    kinds."""
    rng = np.random.default_rng(n)
    special = np.array([np.nan, np.inf, -np.inf, np.finfo(dtype).smallest_subnormal, -1.5])
    mixed = np.where(rng.random((4, n)) < 0.5, rng.choice(special, (4, n)), 0)
    zeros = np.where(np.arange(n) % 2, 0.0, -0.0)
    return np.vstack([np.arange(n) + 1, zeros, mixed]).astype(dtype)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_each_length(dtype: str, number: str) -> None:
    """Nothing is written behind a list."""
    for n in range(71):
        dense = rows_of(n, dtype)
        index, value = np.full(dense.size, 99, number), np.full(dense.size, 77, dtype)
        found = launch(compact, dense, index, value)
        for row, given in enumerate(dense):
            (nonzero,) = np.nonzero(given)
            assert found[row] == nonzero.size
            own = slice(row * n, row * n + nonzero.size)
            assert index[own].tolist() == nonzero.tolist()
            assert value[own].tobytes() == given[nonzero].tobytes()
            rest = slice(row * n + nonzero.size, (row + 1) * n)
            assert (index[rest] == 99).all()
            assert (value[rest] == 77).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_row_numbers_of_16_bits(dtype: str) -> None:
    n = 2**16
    dense = np.zeros((1, n), dtype)
    dense[0, [0, 2**15 - 1, 2**15, n - 1]] = [1, 2, 3, 4]
    index, value = np.zeros(n, np.uint16), np.zeros(n, dtype)
    assert launch(compact, dense, index, value).tolist() == [4]
    assert index[:4].tolist() == [0, 2**15 - 1, 2**15, n - 1]
    assert value[:4].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("first", [-40, -17, -1, 0, 1, 5, 16, 33, 64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_list_that_overlaps_the_row(dtype: str, first: int) -> None:
    """first: where the list begins in the row"""
    n, results = 64, []
    for workunit in (compact, compact_one_by_one):
        memory = np.random.default_rng(1).integers(0, 3, 3 * n).astype(dtype)
        dense, value = memory[n : 2 * n].reshape(1, n), memory[n + first : 2 * n + first]
        index = np.full(n, 99, np.int32)
        found = launch(workunit, dense, index, value)
        results.append((found.tolist(), index.tolist(), memory.tolist()))
    assert results[0] == results[1]


def test_only_one_of_the_workunits_is_a_compaction() -> None:
    """So the other one is the loop."""
    array = np.zeros(1, np.float32)
    given = {"dense": array.reshape(1, 1), "index": np.zeros(1, np.int32), "value": array}
    given |= {"found": np.zeros(1, np.int64), "n": 1}
    texts = [
        generate(each, ExecutionSpace.Serial, infer_types(each, given)).text
        for each in (compact, compact_one_by_one)
    ]
    assert ["lanes::compact(" in text for text in texts] == [True, False]
