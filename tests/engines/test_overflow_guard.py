"""The largest inputs for which no layer overflows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kkspdnn.engines.overflow_guard import LayerBound, safe_input
from kkspdnn.model.layers import Layer

DTYPES = [np.dtype(np.float32), np.dtype(np.float64)]
PLAIN = LayerBound(1.0, 0.0, math.inf)
"""The bound of a layer whose sums are at most as large as its inputs."""


def largest_power(dtype: Any) -> float:
    return 2.0 ** (np.finfo(dtype).maxexp // 2 - 1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_square_does_not_overflow(dtype: Any) -> None:
    for bounds in ([], [PLAIN], [PLAIN] * 100, [LayerBound(0.0, 0.0, 1.0)]):
        safe = safe_input(bounds, dtype)
        assert safe == largest_power(dtype)
        assert np.isfinite(dtype.type(safe) ** 2)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_gains_are_multiplied(dtype: Any) -> None:
    """Up to half of the largest number, which is about 2^(maxexp - 1)."""
    maximum = np.finfo(dtype).maxexp - 1
    for gain, layers in ((3, 1), (maximum - 10, 1), (10, maximum // 10), (maximum // 2, 2)):
        safe = safe_input([LayerBound(2.0**gain, 0.0, math.inf)] * layers, dtype)
        left = maximum - gain * layers
        if left > 0:
            assert safe == min(2.0**left / 2, largest_power(dtype))
        else:
            assert math.isnan(safe)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_limit_keeps_later_layers_small(dtype: Any) -> None:
    limited = LayerBound(2.0, 0.0, 32.0)
    assert safe_input([limited] * 10_000, dtype) == largest_power(dtype)
    first_is_linear = [LayerBound(2.0**20, 0.0, math.inf), LayerBound(2.0**10, 0.0, 32.0)]
    left = np.finfo(dtype).maxexp - 1 - 30
    assert safe_input(first_is_linear, dtype) == min(2.0**left / 2, largest_power(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_there_may_be_no_safe_input(dtype: Any) -> None:
    """No magnitude is at most NaN, not even 0."""
    largest = float(np.finfo(dtype).max)
    for bounds in (
        [LayerBound(0.0, 0.6 * largest, math.inf)],
        [LayerBound(largest, 0.0, math.inf)],
        [PLAIN, LayerBound(1.0, 0.3 * largest, math.inf), LayerBound(2.0, 0.0, math.inf)],
        [LayerBound(math.inf, 0.0, 1.0)],
    ):
        safe = safe_input(bounds, dtype)
        assert math.isnan(safe)
        assert not safe**2 >= 0


@given(st.integers(0, 2**32 - 1), st.sampled_from(DTYPES))
def test_no_sum_overflows(seed: int, dtype: Any) -> None:
    """Neither of dense layers at the safe magnitude, nor a partial sum of them."""
    rng = np.random.default_rng(seed)
    largest = float(np.finfo(dtype).max)
    ymax = float(rng.choice([4.0, math.inf]))
    layers = []
    for _ in range(3):
        weights = rng.random((6, 6)) * largest ** rng.choice([-0.1, 0.0, 0.2, 0.4])
        bias = rng.random(6) * largest ** rng.choice([0.0, 0.5])
        layers.append(Layer.from_sparse(weights.astype(dtype), bias, bias_to="all"))
    safe = safe_input([LayerBound.of(each, ymax) for each in layers], dtype)
    if math.isnan(safe):
        return
    y = np.full((1, 6), safe, dtype)
    with np.errstate(over="raise"):
        for layer in layers:
            z = y @ layer.weights().toarray() + layer.bias
            assert np.isfinite(z).all()
            y = np.clip(z, 0, ymax).astype(dtype)
