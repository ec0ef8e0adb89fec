"""Rows of Inputs by slices, numbers and masks, as of a NumPy array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs

DENSE = (np.arange(60).reshape(10, 6) % 4 > 1).astype(np.float32)
ALL = {
    "dense": Inputs.from_any(DENSE),
    "csr": Inputs.from_any(sp.csr_array(DENSE)),
    "bits": Inputs(10, 6, "memory", bits=np.packbits(DENSE.astype(bool), axis=1)),
}
numbers = st.integers(-10, 9)
limits = st.none() | st.integers(-12, 12)
steps = st.none() | st.integers(-3, 3).filter(bool)


@pytest.mark.parametrize("rows", ALL.values(), ids=list(ALL))
@given(
    index=st.builds(slice, limits, limits, steps)
    | st.lists(numbers)
    | st.lists(numbers, min_size=1).map(np.array)
    | st.lists(st.booleans(), min_size=10, max_size=10).map(np.array)
)
def test_the_rows_are_those_of_numpy(rows: Inputs, index: Any) -> None:
    expected = DENSE[np.array(index, np.int64)] if isinstance(index, list) else DENSE[index]
    found = rows[index]
    assert found.shape == expected.shape
    assert (found.to_dense() == expected).all()


def test_one_number_gives_one_row() -> None:
    for number in (3, -1, np.int16(5)):
        assert (ALL["csr"][number].to_dense() == DENSE[[number]]).all()


def test_a_slice_of_consecutive_rows_is_a_view() -> None:
    rows = ALL["dense"]
    assert rows.dense is not None
    assert np.shares_memory(rows[2:5].dense, rows.dense)


def test_length_and_shape() -> None:
    rows = ALL["bits"]
    assert (len(rows), rows.shape) == (10, (10, 6))
    assert len(list(rows)) == 10


@pytest.mark.parametrize(
    ("index", "error", "words"),
    [
        (10, IndexError, "row 10 of 10 input rows"),
        ([0, -11], IndexError, "row -11 of 10 input rows"),
        ((slice(3), 2), InputError, r"by one index, such as inputs\[:100\]"),
        (1.0, InputError, "use a slice, row numbers, or a mask of 10 values"),
        ("1", InputError, "use a slice"),
        (None, InputError, "use a slice"),
        (np.ones(9, bool), InputError, "a mask of 10 values"),
        ([[1], [2, 3]], InputError, "use a slice"),
        (np.zeros((2, 2), int), InputError, "use a slice"),
    ],
)
def test_other_indices_are_refused(index: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ALL["dense"][index]
