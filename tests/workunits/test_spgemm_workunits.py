"""SpGEMM, bias and ReLU, each workunit alone, against SciPy and NumPy.

All values are small multiples of 1/16, so that every sum is exact in both types.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.device.space import Space
from kkspdnn.workunits import bias, relu, spgemm

SEEDS = st.integers(0, 2**32 - 1)
DENSITIES = st.sampled_from([0.0, 0.1, 0.4, 1.0])


def matrix(rng: Any, rows: int, columns: int, density: float, dtype: Any) -> sp.csr_array:
    """A random CSR matrix with empty rows and columns."""
    values = rng.integers(-32, 33, (rows, columns)) / 16
    values *= rng.random((rows, columns)) < density
    values[rng.random(rows) < 0.2] = 0
    values[:, rng.random(columns) < 0.2] = 0
    return sp.csr_array(values.astype(dtype))


def csr_arguments(prefix: str, given_matrix: sp.csr_array) -> dict[str, Any]:
    return {
        f"{prefix}start": given_matrix.indptr.astype(np.int64),
        f"{prefix}index": given_matrix.indices.astype(np.uint32),
    }


def offsets(space: Space, size: Any) -> tuple[Any, int]:
    start = np.zeros(size.size + 1, np.int64)
    total = space.pk.parallel_scan(
        "offsets", space.range(size.size), spgemm.offsets, size=size, start=start
    )
    return start, int(total)


def multiply(
    space: Space, y: sp.csr_array, w: sp.csr_array, workers: int
) -> tuple[sp.csr_array, int]:
    """Both passes and the scan between them."""
    rows, columns = y.shape[0], w.shape[1]
    common = {
        **csr_arguments("y", y),
        **csr_arguments("w", w),
        "rows": rows,
        "workers": workers,
    }
    size = np.full(rows, -1, np.int64)
    stamp = np.zeros((workers, columns), np.int32)
    computed_edges = space.pk.parallel_reduce(
        "symbolic",
        space.range(workers),
        spgemm.spgemm_symbolic,
        size=size,
        stamp=stamp,
        **common,
    )
    start, total = offsets(space, size)
    index = np.full(total, 2**32 - 1, np.uint32)
    value = np.full(total, np.nan, y.dtype)
    space.pk.parallel_for(
        "numeric",
        space.range(workers),
        spgemm.spgemm_numeric,
        yvalue=y.data,
        wvalue=w.data,
        zstart=start,
        zindex=index,
        zvalue=value,
        stamp=np.zeros_like(stamp),
        accumulator=np.zeros((workers, columns), y.dtype),
        columns=columns,
        **common,
    )
    return sp.csr_array(
        (value, index.astype(np.int64), start), shape=(rows, columns)
    ), computed_edges


@settings(max_examples=25)
@given(
    seed=SEEDS,
    shape=st.tuples(st.integers(0, 12), st.integers(1, 12), st.integers(1, 12)),
    densities=st.tuples(DENSITIES, DENSITIES),
    workers=st.integers(1, 5),
)
def test_spgemm_is_scipys_product_with_sorted_columns(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    shape: tuple[int, int, int],
    densities: tuple[float, float],
    workers: int,
) -> None:
    rng = np.random.default_rng(seed)
    rows, middle, columns = shape
    y = matrix(rng, rows, middle, densities[0], dtype)
    w = matrix(rng, middle, columns, densities[1], dtype)
    z, computed_edges = multiply(space, y, w, workers)

    # Without cancellation the pattern is that of a product of ones.
    pattern = sp.csr_array((y != 0).astype(np.int64) @ (w != 0).astype(np.int64))
    pattern.sort_indices()
    assert (z.indptr == pattern.indptr).all()
    assert (z.indices == pattern.indices).all()
    assert (z.toarray() == (y.toarray().astype(float) @ w.toarray().astype(float))).all()
    assert computed_edges == pattern.sum()


def test_a_sum_that_cancels_stays_as_an_entry(space: Space, dtype: np.dtype[Any]) -> None:
    y = sp.csr_array(np.array([[1, 1, 0], [0, 0, 0], [0, 0, 2]], dtype))
    w = sp.csr_array(np.array([[3, 1], [-3, 0], [0, 0]], dtype))
    z, computed_edges = multiply(space, y, w, 2)
    assert z.indptr.tolist() == [0, 2, 2, 2]
    assert z.indices.tolist() == [0, 1]
    assert z.data.tolist() == [0.0, 1.0]
    assert computed_edges == 3


def test_more_rows_than_workers_do_not_see_each_others_sums(
    space: Space, dtype: np.dtype[Any]
) -> None:
    rng = np.random.default_rng(1)
    y, w = matrix(rng, 301, 70, 0.3, dtype), matrix(rng, 70, 90, 0.3, dtype)
    for workers in (1, 2, 7, 400):
        z, _ = multiply(space, y, w, workers)
        assert (z.toarray() == y.toarray().astype(float) @ w.toarray().astype(float)).all()
        assert z.has_sorted_indices


@pytest.mark.parametrize("sizes", [[], [0], [3], [0, 2, 0, 5], list(range(1000))])
def test_offsets_are_a_running_sum(space: Space, sizes: list[int]) -> None:
    start, total = offsets(space, np.array(sizes, np.int64))
    assert start.tolist() == [0, *np.cumsum(sizes, dtype=np.int64).tolist()]
    assert total == sum(sizes)


def test_offsets_pass_32_bits(space: Space) -> None:
    start, total = offsets(space, np.full(5, 2**31, np.int64))
    assert start.tolist() == [k * 2**31 for k in range(6)]
    assert total == 5 * 2**31


@settings(max_examples=20)
@given(seed=SEEDS, rows=st.integers(0, 20), columns=st.integers(1, 20), density=DENSITIES)
def test_bias_goes_to_nonzero_entries_only(
    space: Space, dtype: np.dtype[Any], seed: int, rows: int, columns: int, density: float
) -> None:
    rng = np.random.default_rng(seed)
    z = matrix(rng, rows, columns, density, dtype)
    z.data[rng.random(z.nnz) < 0.3] = 0  # sums that cancelled
    vector = (rng.integers(-16, 17, columns) / 16).astype(dtype)
    expected = np.where(z.data != 0, z.data + vector[z.indices], 0)
    space.pk.parallel_for(
        "bias",
        space.range(rows),
        bias.add_bias,
        **csr_arguments("", z),
        value=z.data,
        bias=vector,
    )
    assert (z.data == expected).all()


@settings(max_examples=20)
@given(
    seed=SEEDS,
    rows=st.integers(0, 20),
    columns=st.integers(1, 20),
    density=DENSITIES,
    ymax=st.sampled_from([0.5, 1.0, np.inf]),
    low=st.sampled_from([0.0, -np.inf]),
)
def test_relu_keeps_what_is_above_zero_up_to_the_limit(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    columns: int,
    density: float,
    ymax: float,
    low: float,
) -> None:
    rng = np.random.default_rng(seed)
    z = matrix(rng, rows, columns, density, dtype)
    z.data[rng.random(z.nnz) < 0.3] = 0
    expected = sp.csr_array(np.clip(z.toarray(), low, ymax))
    size = np.full(rows, -1, np.int64)
    space.pk.parallel_for(
        "symbolic",
        space.range(rows),
        relu.relu_symbolic,
        start=z.indptr.astype(np.int64),
        value=z.data,
        low=dtype.type(low),
        size=size,
    )
    assert size.tolist() == np.diff(expected.indptr).tolist()
    start, total = offsets(space, size)
    index, value = np.full(total, 99, np.uint32), np.full(total, np.nan, dtype)
    space.pk.parallel_for(
        "numeric",
        space.range(rows),
        relu.relu_numeric,
        **csr_arguments("z", z),
        zvalue=z.data,
        ystart=start,
        yindex=index,
        yvalue=value,
        low=dtype.type(low),
        ymax=dtype.type(ymax),
    )
    assert index.tolist() == expected.indices.tolist()
    assert value.tolist() == expected.data.tolist()
