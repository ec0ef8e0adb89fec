"""What is left of parts of the rows, concatenate, and the values of any of them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from kkspdnn.engines.partial_result import PartialResult, concatenate


def part(rows: list[int], values: list[list[float]], saturated: list[int]) -> PartialResult:
    valued = np.setdiff1d(rows, saturated)
    matrix = sp.csr_array(np.array(values, np.float32).reshape(-1, 2))
    return PartialResult(np.array(rows), matrix, 10, valued, np.array(saturated, np.int64), 9.0)


def test_parts_are_joined_with_every_row_in_its_place() -> None:
    # Row 3 left saturated while the rows of the first part were still on their way.
    parts = [part([1, 3, 4], [[1, 0], [0, 4]], [3]), part([2, 6], [[6, 6]], [2])]
    whole = concatenate(parts, 2, np.float32, values=True)
    assert whole.rows.tolist() == [1, 2, 3, 4, 6]
    assert whole.known.tolist() == whole.rows.tolist()
    assert whole.computed_edges == 20
    expected = [[1, 0], [9, 9], [9, 9], [0, 4], [6, 6]]
    assert whole.take(whole.rows).toarray().tolist() == expected
    # Any rows, in any order; those that died are zeros.
    some = whole.take(np.array([6, 0, 2, 1, 5]))
    assert some.toarray().tolist() == [[6, 6], [0, 0], [9, 9], [1, 0], [0, 0]]
    assert some.dtype == np.float32


def test_no_part_and_no_values() -> None:
    none = concatenate([], 3, np.float64, values=True)
    assert none.values is not None
    assert none.values.shape == (0, 3)
    assert none.take(np.array([4])).toarray().tolist() == [[0, 0, 0]]
    assert concatenate([part([1], [[1, 2]], [])], 2, np.float32, values=False).values is None


def test_values_that_are_not_kept_are_not_known() -> None:
    whole = PartialResult(np.array([1, 2]), sp.csr_array(np.ones((1, 2))), 0, np.array([2]))
    assert whole.known.tolist() == [2]
    assert whole.take(np.array([1, 2])).toarray().tolist() == [[0, 0], [1, 1]]
