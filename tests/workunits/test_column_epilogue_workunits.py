"""Bias and ReLU as workunits of their own, on activations by columns, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from by_columns import Stored, allocate, check_forms, read, store
from exact_numbers import SHAPES, dense_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from kkspdnn.device.space import Space
from kkspdnn.workunits import bias, relu

pytestmark = pytest.mark.usefixtures("on_the_host")


def add_bias(space: Space, z: Stored, vector: Any) -> None:
    storage = z.storage()
    storage.pop("index")
    space.pk.parallel_for(
        "bias",
        space.row_teams(z.count.shape[0], 1, 1),
        bias.add_bias,
        bias=vector,
        **storage,
        **z.scalars("batch_rows", "columns", "capacity"),
    )


def activate(space: Space, z: Stored, low: float, ymax: float, limit: int) -> Stored:
    dtype = z.value.dtype
    y = allocate(z.rows, z.size, z.columns, dtype, z.capacity)
    space.pk.parallel_for(
        "relu",
        space.row_teams(z.count.shape[0], 1, 1),
        relu.relu,
        low=dtype.type(low),
        ymax=dtype.type(ymax),
        sparse_limit=limit,
        **z.storage("z"),
        **y.storage("y"),
        **z.scalars("batch_rows", "columns", "capacity"),
    )
    return y


@settings(max_examples=40)
@given(**SHAPES)
def test_bias_goes_to_nonzeros_only(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    neurons: int,
    density: float,
    size: int,
    limit: int,
) -> None:
    rng = np.random.default_rng(seed)
    dense = dense_matrix(rng, rows, neurons, density, dtype)
    vector = (rng.integers(-16, 17, neurons) / 16).astype(dtype)
    z = store(dense, size, limit, seed)
    add_bias(space, z, vector)
    assert (read(z) == np.where(dense != 0, dense + vector, 0)).all()


@settings(max_examples=60)
@given(**SHAPES, low=st.sampled_from([0.0, -np.inf]), ymax=st.sampled_from([0.5, 1.0, np.inf]))
def test_relu_after_bias(
    space: Space,
    dtype: np.dtype[Any],
    seed: int,
    rows: int,
    neurons: int,
    density: float,
    size: int,
    limit: int,
    low: float,
    ymax: float,
) -> None:
    """The bias makes some sums zero, also in lists. Dense columns become lists."""
    rng = np.random.default_rng(seed)
    dense = dense_matrix(rng, rows, neurons, density, dtype)
    vector = (rng.integers(-32, 9, neurons) / 16).astype(dtype)
    z = store(dense, size, limit, seed)
    add_bias(space, z, vector)
    y = activate(space, z, low, ymax, limit)
    assert (read(y) == np.clip(np.where(dense != 0, dense + vector, 0), low, ymax)).all()
    check_forms(y, limit)


@pytest.mark.parametrize("limit", [0, 64])
@pytest.mark.parametrize(
    ("low", "expected"),
    [(0.0, [np.nan, 0, 0, 0, 0, 3, 3]), (-np.inf, [np.nan, -np.inf, 0, 0, -1, 3, 3])],
)
def test_relu_keeps_values_that_are_not_finite(
    space: Space, dtype: np.dtype[Any], low: float, expected: list[float], limit: int
) -> None:
    """So that an overflow is found after the layer."""
    values = np.array([np.nan, -np.inf, 0.0, -0.0, -1, 3, np.inf], dtype)
    y = activate(space, store(values[:, None], 16, limit), low, 3.0, limit)
    np.testing.assert_array_equal(read(y)[:, 0], expected)
    check_forms(y, limit)
