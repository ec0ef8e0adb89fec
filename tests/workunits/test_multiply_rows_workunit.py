"""The product of sparse activations by rows, with bias and ReLU, against NumPy.

All values are small multiples of 1/16, so that every sum is exact in both types.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from exact_numbers import DENSITIES, LIMITS, SEEDS, activated, dense_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.device.space import Space
from kkspdnn.workunits import spgemm_rows

pytestmark = pytest.mark.usefixtures("on_the_host")


def multiply_rows(
    space: Space,
    y: Any,
    w: Any,
    *,
    bias: Any = 0.0,
    low: float = -np.inf,
    ymax: float = np.inf,
    first_row: Any = None,
    index: str = "uint16",
) -> Any:
    """Return the activations as an array.

    first_row: of each team, and the number of rows; None: one team computes all
    """
    dtype, (rows, outputs) = y.dtype, (y.shape[0], w.shape[1])
    first_row = np.array([0, rows], np.int32) if first_row is None else first_row
    teams = first_row.size - 1
    edges, matrix = sp.csr_array(w.astype(dtype)), sp.csr_array(y)
    start = np.full(rows + teams, -1, np.int64)
    found = np.full(rows * outputs, 2**32 - 1, np.uint32)
    value = np.full(rows * outputs, np.nan, dtype)
    accumulator = np.zeros((teams, outputs), dtype)
    space.pk.parallel_for(
        "multiply_rows",
        space.row_teams(teams, 1, 1),
        spgemm_rows.multiply_rows,
        ystart=matrix.indptr.astype(np.int64),
        yindex=matrix.indices.astype(np.uint32),
        yvalue=matrix.data,
        wstart=edges.indptr.astype(np.int64),
        windex=edges.indices.astype(index),
        wvalue=edges.data,
        bias=np.full(outputs, bias, dtype),
        zstart=start,
        zindex=found,
        zvalue=value,
        first_row=first_row,
        first_entry=first_row.astype(np.int64) * outputs,
        accumulator=accumulator,
        activated=np.full((teams, outputs), np.nan, dtype),
        zero=dtype.type(0),
        low=dtype.type(low),
        ymax=dtype.type(ymax),
        outputs=outputs,
    )
    assert not accumulator.any()
    z = np.zeros((rows, outputs), dtype)
    for team in range(teams):
        for row in range(first_row[team], first_row[team + 1]):
            entries = slice(start[row + team], start[row + team + 1])
            assert (np.diff(found[entries].astype(np.int64)) > 0).all()
            assert (value[entries] != 0).all()
            z[row, found[entries]] = value[entries]
    return z


@settings(max_examples=80)
@given(
    seed=SEEDS,
    rows=st.integers(0, 60),
    neurons=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    densities=st.tuples(DENSITIES, DENSITIES),
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
    teams: int,
    index: str,
    low: float,
    ymax: float,
    biased: bool,
) -> None:
    """Teams have any share of the rows."""
    rng = np.random.default_rng(seed)
    y = dense_matrix(rng, rows, neurons[0], densities[0], dtype)
    w = dense_matrix(rng, *neurons, densities[1], dtype)
    bias = rng.integers(-16, 17, neurons[1]) / 16 * biased
    shares = np.sort(rng.integers(0, rows + 1, teams - 1))
    first_row = np.concatenate(([0], shares, [rows])).astype(np.int32)
    found = multiply_rows(
        space, y, w, bias=bias, low=low, ymax=ymax, first_row=first_row, index=index
    )
    assert (found == activated(y.astype(np.float64) @ w, bias, low, ymax)).all()


def test_sums_that_cancel_are_no_activations(space: Space, dtype: np.dtype[Any]) -> None:
    """Nor is the bias added to them, and a bias may make a sum zero."""
    w = np.array([[1, 1, 2], [-1, 1, -1]])
    found = multiply_rows(space, np.ones((20, 2), dtype), w, bias=-2.0)
    assert (found == [0, 0, -1]).all()


def test_values_that_are_not_finite_stay(space: Space, dtype: np.dtype[Any]) -> None:
    """So that an overflow is found after the layer."""
    huge = np.finfo(dtype).max
    z = multiply_rows(space, np.full((3, 1), 2, dtype), np.array([[huge, -huge]]))
    assert z.tolist() == [[np.inf, -np.inf]] * 3
    assert np.isnan(multiply_rows(space, z, np.array([[1], [1]]))).all()
