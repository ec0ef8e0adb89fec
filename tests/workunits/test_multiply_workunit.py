"""The product of activations by columns, with bias and ReLU, against NumPy.

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
from kkspdnn.workunits import spgemm

pytestmark = pytest.mark.usefixtures("on_the_host")


def multiply(
    space: Space,
    y: Stored,
    w: Any,
    limit: int,
    *,
    bias: Any = 0.0,
    low: float = -np.inf,
    ymax: float = np.inf,
    blocks: int = 1,
    first_item: Any = None,
    index: str = "uint16",
    order: Any = None,
) -> tuple[Stored, Any]:
    """Return the activations and the number of multiplications of each item.

    first_item: of each team, and the number of items; None: one team computes all
    """
    dtype = y.value.dtype
    edges, (inputs, outputs) = sp.csc_array(w.astype(dtype)), w.shape
    width = -(-outputs // blocks)
    items = y.count.shape[0] * blocks
    first_item = np.array([0, items], np.int32) if first_item is None else first_item
    teams = first_item.size - 1
    z = allocate(y.rows, y.size, outputs, dtype, blocks * (width * limit + y.size))
    multiplications = np.full(items, -1, np.int64)
    accumulator = np.zeros((teams, y.size), dtype)
    space.pk.parallel_for(
        "multiply",
        space.row_teams(teams, 1, 1),
        spgemm.multiply,
        wstart=edges.indptr.astype(np.int64),
        windex=edges.indices.astype(index),
        wvalue=edges.data,
        order=np.arange(outputs, dtype=np.uint32) if order is None else order,
        bias=np.full(outputs, bias, dtype),
        batch_rows=y.batch_rows,
        first_item=first_item,
        multiplications=multiplications,
        accumulator=accumulator,
        touched=np.full((teams, y.size + 1), 2**16 - 1, np.uint16),
        edge_place=np.full((teams, inputs + 1), -1, np.int32),
        edge_count=np.full((teams, inputs + 1), -1, np.int32),
        edge_weight=np.full((teams, inputs + 1), np.nan, dtype),
        zero=dtype.type(0),
        low=dtype.type(low),
        ymax=dtype.type(ymax),
        inputs=inputs,
        outputs=outputs,
        blocks=blocks,
        width=width,
        sparse_limit=limit,
        ycapacity=y.capacity,
        zcapacity=z.capacity // blocks,
        **y.storage("y"),
        **z.storage("z"),
    )
    assert not accumulator.any()
    return z, multiplications


@settings(max_examples=120)
@given(
    seed=SEEDS,
    rows=st.integers(0, 150),
    neurons=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    densities=st.tuples(DENSITIES, DENSITIES),
    size=st.sampled_from([16, 64, 128]),
    limits=st.tuples(st.sampled_from([0, 2, 9, 128]), st.sampled_from([0, 2, 9, 128])),
    blocks=st.integers(1, 4),
    teams=st.integers(1, 4),
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
    limits: tuple[int, int],
    blocks: int,
    teams: int,
    index: str,
    low: float,
    ymax: float,
    biased: bool,
) -> None:
    """The columns of Y and Z are lists, dense, or both. Teams have any share of the items."""
    rng = np.random.default_rng(seed)
    inputs, outputs = neurons
    blocks = min(blocks, outputs)
    dense = dense_matrix(rng, rows, inputs, densities[0], dtype)
    w = dense_matrix(rng, inputs, outputs, densities[1], dtype)
    bias = rng.integers(-16, 17, outputs) / 16 * biased
    y = store(dense, size, limits[0], seed)
    items = y.count.shape[0] * blocks
    shares = np.sort(rng.integers(0, items + 1, teams - 1))
    first_item = np.concatenate(([0], shares, [items])).astype(np.int32)
    order = rng.permutation(outputs).astype(np.uint32)
    z, multiplications = multiply(
        space, y, w, limits[1], bias=bias, low=low, ymax=ymax, blocks=blocks,
        first_item=first_item, index=index, order=order,
    )  # fmt: skip
    expected = activated(dense.astype(np.float64) @ w, bias, low, ymax)
    assert (read(z) == expected).all()
    check_forms(z, limits[1])

    counts = ((dense != 0).astype(int) @ (w != 0).astype(int))[:, order]
    width = -(-outputs // blocks)
    for item, found in enumerate(multiplications):
        row, column = item // blocks * size, item % blocks * width
        assert found == counts[row : row + size, column : column + width].sum()


SIZE = 64
WAYS = {
    "all dense": (0, 40),
    "many products": (64, 40),
    "many products of lists and dense columns": (20, 40),
    "few products": (64, 2),
}
"""For each way of a product: the limit of lists of Y, and the number of nonzeros of a column.

Columns with 40 nonzeros have at least as many products as an eighth of the rows; columns with 2
have fewer.
"""


def some_rows(way: str, dtype: np.dtype[Any], neurons: int) -> Stored:
    """Return a batch with equal columns; every third one has only two nonzeros."""
    limit, nonzeros = WAYS[way]
    dense = np.zeros((SIZE, neurons), dtype)
    dense[:nonzeros] = np.arange(1, nonzeros + 1)[:, None]
    dense[2:, 2::3] = 0
    return store(dense, SIZE, limit)


@pytest.mark.parametrize("limit", [0, 1, 64])
@pytest.mark.parametrize("way", WAYS)
def test_sums_that_cancel_are_no_activations(
    space: Space, dtype: np.dtype[Any], way: str, limit: int
) -> None:
    """Nor is the bias added to them. The last sum is zero before its last term."""
    y = some_rows(way, dtype, 4)
    w = np.zeros((4, 3))
    w[:, 0], w[:, 1], w[:, 2] = [1, -1, 0, 0], [2, -1, 0, -1], [1, -1, 0, 3]
    z, multiplications = multiply(space, y, w, limit, bias=5.0)
    first = read(y)[:, 0]
    expected = np.zeros((SIZE, 3))
    expected[:, 2] = np.where(first != 0, 3 * first + 5, 0)
    assert (read(z) == expected).all()
    check_forms(z, limit)
    assert multiplications.tolist() == [8 * np.count_nonzero(first)]


@pytest.mark.parametrize("limit", [0, 64])
@pytest.mark.parametrize("way", WAYS)
def test_a_bias_that_makes_a_sum_zero(
    space: Space, dtype: np.dtype[Any], way: str, limit: int
) -> None:
    y = some_rows(way, dtype, 1)
    z, _ = multiply(space, y, np.ones((1, 1)), limit, bias=-2.0)
    first = read(y)
    assert (read(z) == np.where(first != 0, first - 2, 0)).all()
    check_forms(z, limit)


@pytest.mark.parametrize("way", WAYS)
def test_columns_change_between_list_and_dense(
    space: Space, dtype: np.dtype[Any], way: str
) -> None:
    """A limit of 30 makes lists of dense columns, and a limit of 1 dense columns of lists."""
    y = some_rows(way, dtype, 7)
    w = np.eye(7)[:, ::-1] + np.eye(7)
    for limit in (1, 30):
        z, _ = multiply(space, y, w, limit, low=0.0, ymax=20.0)
        assert (read(z) == np.minimum(read(y) @ w, 20)).all()
        check_forms(z, limit)


@pytest.mark.parametrize("limit", [0, 64])
@pytest.mark.parametrize("way", WAYS)
def test_values_that_are_not_finite_stay(
    space: Space, dtype: np.dtype[Any], way: str, limit: int
) -> None:
    """So that an overflow is found after the layer."""
    y = some_rows(way, dtype, 2)
    huge = np.finfo(dtype).max
    w = np.array([[1, huge, -huge], [0, huge, -huge]])
    with np.errstate(over="ignore", invalid="ignore"):
        expected = (read(y)[:, :, None] * w.astype(dtype)).sum(axis=1)
    z, _ = multiply(space, y, w, limit)
    np.testing.assert_array_equal(read(z), expected)
    z, _ = multiply(space, z, np.array([[0], [1], [1]]), limit)
    assert np.isnan(read(z)).sum() == np.isinf(expected[:, 1]).sum() > 0


@pytest.mark.parametrize("limit", [0, 64])
@pytest.mark.parametrize("edges", [0, 1])
def test_outputs_without_products(
    space: Space, dtype: np.dtype[Any], edges: int, limit: int
) -> None:
    """Without edges, or with edges from neurons without activations."""
    y = store(np.zeros((40, 5), dtype), 16, limit)
    z, multiplications = multiply(space, y, np.full((5, 3), edges), limit, bias=1.0, blocks=2)
    assert not read(z).any()
    assert not z.count.any()
    assert multiplications.tolist() == [0] * 6
