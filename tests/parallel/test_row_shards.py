"""Selecting the rows of each shard, and combining the results of all shards."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.engines import PartialResult
from kkspdnn.engines.partial_result import concatenate
from kkspdnn.model.inputs import Inputs
from kkspdnn.parallel.row_shards import RowShard


@given(st.integers(0, 40), st.integers(1, 7), st.integers(0, 2**32 - 1), st.booleans())
def test_the_results_of_all_shards_are_those_of_all_rows(
    rows: int, count: int, seed: int, packed: bool
) -> None:
    rng = np.random.default_rng(seed)
    dense = (rng.random((rows, 9)) < 0.2).astype(np.float32)
    if packed:
        inputs = Inputs(rows, 9, "here", bits=np.packbits(dense.astype(bool), axis=1))
    else:
        inputs = Inputs.from_any(sp.csr_array(dense))
    results = []
    for index in rng.permutation(count).tolist():
        shard = RowShard(index, count)
        own = shard.select(inputs)
        values = own.to_csr()
        full = np.arange(own.rows) % 2 == 1
        valued = np.flatnonzero(np.diff(values.indptr)).astype(np.int64)
        saturated = np.flatnonzero(full & (np.diff(values.indptr) == 0)).astype(np.int64)
        active = np.union1d(valued, saturated)
        results.append(
            shard.to_global(PartialResult(active, values[valued], own.rows, valued, saturated, 5.0))
        )
    whole = concatenate(results, 9, np.float32, values=True)
    assert whole.computed_edges == rows
    expected = dense.copy()
    for number in range(rows):
        if not dense[number].any() and number // count % 2 == 1:
            expected[number] = 5.0
    assert whole.rows.tolist() == np.flatnonzero(expected.any(axis=1)).tolist()
    assert np.array_equal(whole.select_rows(np.arange(rows)).toarray(), expected)
