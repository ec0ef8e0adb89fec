"""Rows of edges that begin at a multiple of 16 bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.engines.fused.aligned_rows import pad_rows, padded_size, starts


@given(st.lists(st.integers(0, 40), max_size=20), st.sampled_from([1, 8]))
def test_rows_keep_their_elements(sizes: list[int], multiple: int) -> None:
    size = np.array(sizes, np.int32)
    padded = padded_size(size, multiple)
    values = np.arange(1, 2 * size.sum() + 1).reshape(-1, 2)
    stored = pad_rows(values, size, padded)
    kept = [stored[s : s + n] for s, n in zip(starts(padded), size, strict=True)]
    assert np.array_equal(np.concatenate([*kept, values[:0]]), values)
    assert np.count_nonzero(stored) == values.size
    assert len(stored) == padded.sum()


@pytest.mark.parametrize(
    ("size", "expected"), [([32, 32], [32, 32]), ([30, 17], [32, 24]), ([3, 3], [3, 3]), ([], [])]
)
def test_rows_are_aligned_if_the_padding_is_small(size: list[int], expected: list[int]) -> None:
    assert padded_size(np.array(size, np.int64), 8).tolist() == expected
    assert padded_size(np.array(size, np.int64), 1).tolist() == size
