"""A dense layer on a few rows, the workunit alone, against NumPy.

All values are small multiples of 1/16, so that every sum is exact in both types.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from exact_numbers import RULES, layer_outputs, random_array

from kkspdnn.device.space import Space
from kkspdnn.workunits import dense_layer

pytestmark = pytest.mark.usefixtures("on_the_host")


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 8, 12, 16])
@pytest.mark.parametrize(
    ("inputs", "outputs", "width"),
    [(1, 1, 16), (40, 10, 16), (40, 16, 16), (33, 70, 32), (9, 5, 3)],
)
def test_a_dense_layer(
    space: Space, dtype: np.dtype[Any], lanes: int, inputs: int, outputs: int, width: int
) -> None:
    """On two tiles, of which the last may be partly filled. Nothing else is written to."""
    rng = np.random.default_rng(lanes + outputs)
    blocks = -(-outputs // width)
    weights = np.zeros((inputs, blocks * width), dtype)
    weights[:, :outputs] = random_array(rng, (inputs, outputs), dtype, 1.0)
    bias = random_array(rng, (outputs,), dtype)
    for filled, ymax, (unbiased, low) in itertools.product(
        range(1, lanes + 1, 2), (2.0, np.inf), RULES
    ):
        rows = lanes + filled
        x = random_array(rng, (2, inputs, lanes), dtype)
        x[1, :, filled:] = 0
        y = np.full((rows + 1, outputs + 1), 99, dtype)
        teams = 2 * lanes // 4 if lanes % 4 == 0 else 2 * lanes
        space.pk.parallel_for(
            "dense",
            space.teams(teams * blocks),
            dense_layer.fused_dense,
            x=x,
            y=y,
            sums=np.full((blocks, 2 * lanes, width), np.nan, dtype),
            value=np.ascontiguousarray(weights.reshape(inputs, blocks, width).transpose(1, 0, 2)),
            bias=bias,
            zero=dtype.type(0),
            unbiased=dtype.type(unbiased),
            low=dtype.type(low),
            ymax=dtype.type(ymax),
            rows=rows,
            teams=teams,
            inputs=inputs,
            outputs=outputs,
            width=width,
            lanes=lanes,
        )
        dense = x.transpose(0, 2, 1).reshape(2 * lanes, inputs)[:rows]
        expected = layer_outputs(dense, weights[:, :outputs], bias, ymax, unbiased, low)
        assert (y[:rows, :outputs] == expected).all()
        assert (y[rows] == 99).all()
        assert (y[:, outputs] == 99).all()
