"""The memory of activations by columns."""

from __future__ import annotations

import numpy as np

from kkspdnn.engines.spgemm.columns import ColumnMemory
from kkspdnn.engines.spgemm.grouping import ALL_DENSE, Grouping

FLOAT = np.dtype(np.float32)


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


def test_memory_without_lists_starts_at_a_page() -> None:
    y = ColumnMemory(FLOAT).allocate(Grouping(100, 64, 2, ALL_DENSE), 9)
    assert y.dense.ctypes.data % 4096 == 0
    assert y.capacity == 64
