"""Selected rows of a CSR matrix and ranges of its rows, against SciPy and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from exact_numbers import DENSITIES, SEEDS, csr_arguments, dense_matrix, matrix, offsets
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.device.space import Space
from kkspdnn.workunits import csr_rows

SHAPES = {
    "seed": SEEDS,
    "rows": st.integers(1, 20),
    "columns": st.integers(1, 20),
    "density": DENSITIES,
}


@settings(max_examples=30)
@given(**SHAPES, count=st.integers(0, 30))
def test_selected_rows(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    columns: int,
    density: float,
    count: int,
) -> None:
    """In any order, and some of them several times."""
    rng = np.random.default_rng(seed)
    given_matrix = matrix(rng, rows, columns, density, dtype)
    selected, size = rng.integers(0, rows, count), np.full(count, -1, np.int64)
    start = given_matrix.indptr.astype(np.int64)
    policy = space.range(count)
    space.pk.parallel_for(
        "count", policy, csr_rows.count_selected, start=start, selected=selected, size=size
    )
    expected = sp.csr_array(given_matrix[selected]) if count else None
    assert size.tolist() == (np.diff(expected.indptr).tolist() if expected is not None else [])
    selected_start, total = offsets(space, size)
    index, value = np.full(total, 2**32 - 1, np.uint32), np.full(total, np.nan, dtype)
    space.pk.parallel_for(
        "copy",
        policy,
        csr_rows.copy_selected,
        **csr_arguments("", given_matrix),
        value=given_matrix.data,
        selected=selected,
        selected_start=selected_start,
        selected_index=index,
        selected_value=value,
    )
    if expected is not None:
        assert index.tolist() == expected.indices.tolist()
        assert value.tolist() == expected.data.tolist()


@settings(max_examples=30)
@given(**SHAPES, sign=st.sampled_from([-1, 0, 1]))
def test_ranges_of_rows(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    columns: int,
    density: float,
    sign: int,
) -> None:
    """A row without zeros has none in its range. sign: of all values; 0: both"""
    dense = dense_matrix(np.random.default_rng(seed), rows, columns, density, dtype)
    if sign:
        dense = sign * abs(dense)
    if density == 1:
        dense = np.where(dense == 0, dtype.type(sign or 1), dense)
    given_matrix = sp.csr_array(dense)
    smallest, largest = np.full((2, rows), np.nan, dtype)
    space.pk.parallel_for(
        "ranges",
        space.range(rows),
        csr_rows.find_csr_ranges,
        start=given_matrix.indptr.astype(np.int64),
        value=given_matrix.data,
        smallest=smallest,
        largest=largest,
        zero=dtype.type(0),
        infinity=dtype.type(np.inf),
        columns=columns,
    )
    assert (smallest == dense.min(axis=1)).all()
    assert (largest == dense.max(axis=1)).all()
