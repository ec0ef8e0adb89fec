"""The product of activations whose columns are all dense, and copies of their rows, against NumPy.

All values are small multiples of 1/16, so that every sum is exact in both types.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from by_columns import Stored, allocate, check_forms, read, store
from exact_numbers import DENSITIES, LIMITS, SEEDS, activated, dense_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.device.space import Space
from kkspdnn.engines.spgemm.grouping import ALL_DENSE
from kkspdnn.workunits import columns, spgemm

pytestmark = pytest.mark.usefixtures("on_the_host")


def multiply_dense(
    space: Space,
    y: Stored,
    w: Any,
    *,
    bias: Any = 0.0,
    low: float = -np.inf,
    ymax: float = np.inf,
    blocks: int = 1,
    index: str = "uint16",
    order: Any = None,
) -> tuple[Stored, Any, Any]:
    """Return the activations, the numbers of multiplications, and those of nonzeros."""
    dtype = y.dense.dtype
    edges, (inputs, outputs) = sp.csc_array(w.astype(dtype)), w.shape
    items = y.count.shape[0] * blocks
    z = allocate(y.rows, y.size, outputs, dtype, y.size)
    multiplications, nonzeros = np.full((2, items), -1, np.int64)
    space.pk.parallel_for(
        "multiply_dense",
        space.row_teams(items, 1, 1),
        spgemm.multiply_dense,
        ycount=y.count,
        ydense=y.dense,
        wstart=edges.indptr.astype(np.int64),
        windex=edges.indices.astype(index),
        wvalue=edges.data,
        order=np.arange(outputs, dtype=np.uint32) if order is None else order,
        out_degree=np.bincount(edges.indices, minlength=inputs),
        bias=np.full(outputs, bias, dtype),
        zcount=z.count,
        zplace=z.place,
        zdense=z.dense,
        batch_rows=y.batch_rows,
        multiplications=multiplications,
        nonzeros=nonzeros,
        zero=dtype.type(0),
        low=dtype.type(low),
        ymax=dtype.type(ymax),
        inputs=inputs,
        outputs=outputs,
        blocks=blocks,
        width=-(-outputs // blocks),
    )
    return z, multiplications, nonzeros


@settings(max_examples=60)
@given(
    seed=SEEDS,
    rows=st.integers(0, 150),
    neurons=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    densities=st.tuples(DENSITIES, DENSITIES),
    size=st.sampled_from([16, 64, 128]),
    blocks=st.integers(1, 4),
    index=st.sampled_from(["uint16", "uint32"]),
    **LIMITS,
)
def test_products_with_bias_and_relu(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    neurons: tuple[int, int],
    densities: tuple[float, float],
    size: int,
    blocks: int,
    index: str,
    low: float,
    ymax: float,
    biased: bool,
) -> None:
    rng = np.random.default_rng(seed)
    inputs, outputs = neurons
    blocks = min(blocks, outputs)
    dense = dense_matrix(rng, rows, inputs, densities[0], dtype)
    w = dense_matrix(rng, inputs, outputs, densities[1], dtype)
    bias = rng.integers(-16, 17, outputs) / 16 * biased
    y = store(dense, size, ALL_DENSE)
    z, multiplications, nonzeros = multiply_dense(
        space, y, w, bias=bias, low=low, ymax=ymax, blocks=blocks, index=index,
        order=rng.permutation(outputs).astype(np.uint32),
    )  # fmt: skip
    expected = activated(dense.astype(np.float64) @ w, bias, low, ymax)
    assert (read(z) == expected).all()
    check_forms(z, ALL_DENSE)
    assert (z.place == -1 - np.arange(outputs)).all()
    assert multiplications.min() >= 0
    assert multiplications.sum() == ((dense != 0).astype(int) @ (w != 0).astype(int)).sum()
    assert nonzeros.sum() == np.count_nonzero(expected)


def test_sums_that_cancel_are_no_activations(space: Space, dtype: np.dtype[Any]) -> None:
    """Nor is the bias added to them, and a bias may make a sum zero."""
    y = store(np.ones((20, 2), dtype), 64, ALL_DENSE)
    w = np.array([[1, 1, 2], [-1, 1, -1]])
    z, _, nonzeros = multiply_dense(space, y, w, bias=-2.0)
    assert (read(z) == [0, 0, -1]).all()
    assert nonzeros.tolist() == [20]


def test_values_that_are_not_finite_stay(space: Space, dtype: np.dtype[Any]) -> None:
    """So that an overflow is found after the layer."""
    huge = np.finfo(dtype).max
    y = store(np.full((3, 1), 2, dtype), 16, ALL_DENSE)
    z, _, _ = multiply_dense(space, y, np.array([[huge, -huge]]))
    assert read(z).tolist() == [[np.inf, -np.inf]] * 3
    z, _, _ = multiply_dense(space, z, np.array([[1], [1]]))
    assert np.isnan(read(z)).all()


@settings(max_examples=40)
@given(
    seed=SEEDS,
    rows=st.integers(1, 150),
    neurons=st.integers(1, 12),
    density=DENSITIES,
    sizes=st.tuples(st.sampled_from([16, 64]), st.sampled_from([16, 64])),
)
def test_selected_rows(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    neurons: int,
    density: float,
    sizes: tuple[int, int],
) -> None:
    rng = np.random.default_rng(seed)
    dense = dense_matrix(rng, rows, neurons, density, dtype)
    selected = np.flatnonzero(rng.random(rows) < rng.random())
    y = store(dense, sizes[0], ALL_DENSE)
    chosen = allocate(selected.size, sizes[1], neurons, dtype, sizes[1])
    row_batch, row_lane = np.divmod(selected.astype(np.int32), np.int32(y.size))
    space.pk.parallel_for(
        "select",
        space.range(chosen.count.shape[0]),
        columns.select_dense_rows,
        ydense=y.dense,
        row_batch=row_batch,
        row_lane=row_lane,
        count=chosen.count,
        place=chosen.place,
        dense=chosen.dense,
        **chosen.scalars("batch_rows", "rows", "size", "columns"),
    )
    assert (read(chosen) == dense[selected]).all()
    check_forms(chosen, ALL_DENSE)
    assert (chosen.place == -1 - np.arange(neurons)).all()
