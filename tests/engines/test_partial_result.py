"""Results of blocks of rows: their concatenation, and the values of selected rows."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from kkspdnn.engines.partial_result import PartialResult, concatenate


def block(rows: list[int], values: list[list[float]], saturated: list[int]) -> PartialResult:
    value_rows = np.setdiff1d(rows, saturated)
    matrix = sp.csr_array(np.array(values, np.float32).reshape(-1, 2))
    return PartialResult(np.array(rows), matrix, 10, value_rows, np.array(saturated, np.int64), 9.0)


def test_concatenated_rows_are_ascending() -> None:
    # Row 3 saturates.
    blocks = [block([1, 3, 4], [[1, 0], [0, 4]], [3]), block([2, 6], [[6, 6]], [2])]
    whole = concatenate(blocks, 2, np.float32, values=True)
    assert whole.rows.tolist() == [1, 2, 3, 4, 6]
    assert whole.known_rows.tolist() == whole.rows.tolist()
    assert whole.computed_edges == 20
    expected = [[1, 0], [9, 9], [9, 9], [0, 4], [6, 6]]
    assert whole.select_rows(whole.rows).toarray().tolist() == expected
    # Any rows in any order; retired rows of zeros included.
    some = whole.select_rows(np.array([6, 0, 2, 1, 5]))
    assert some.toarray().tolist() == [[6, 6], [0, 0], [9, 9], [1, 0], [0, 0]]
    assert some.dtype == np.float32


def test_no_blocks_and_no_values() -> None:
    none = concatenate([], 3, np.float64, values=True)
    assert none.values is not None
    assert none.values.shape == (0, 3)
    assert none.select_rows(np.array([4])).toarray().tolist() == [[0, 0, 0]]
    assert concatenate([block([1], [[1, 2]], [])], 2, np.float32, values=False).values is None


def test_rows_without_values_are_not_known() -> None:
    whole = PartialResult(np.array([1, 2]), sp.csr_array(np.ones((1, 2))), 0, np.array([2]))
    assert whole.known_rows.tolist() == [2]
    assert whole.select_rows(np.array([1, 2])).toarray().tolist() == [[0, 0], [1, 1]]
