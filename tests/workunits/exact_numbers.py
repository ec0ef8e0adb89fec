"""Random matrices of small multiples of 1/16, so that every sum is exact in both types."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import strategies as st

from kkspdnn.device.space import Space
from kkspdnn.workunits import csr

SEEDS = st.integers(0, 2**32 - 1)
DENSITIES = st.sampled_from([0.0, 0.1, 0.4, 1.0])

SHAPES = {
    "seed": SEEDS,
    "rows": st.integers(0, 80),
    "neurons": st.integers(1, 12),
    "density": DENSITIES,
    "size": st.sampled_from([16, 32, 64]),
    "limit": st.sampled_from([0, 2, 7, 64]),
}
"""Activations by columns: several batches, the last one partly filled; all columns dense, all of
them lists, and both."""


LIMITS = {
    "low": st.sampled_from([0.0, -np.inf]),
    "ymax": st.sampled_from([0.5, 2.0, np.inf]),
    "biased": st.booleans(),
}
"""Bias and limits of the activations after a product."""


RULES = [(0.0, 0.0), (np.nan, 0.0), (np.nan, -np.inf), (0.0, -np.inf)]
"""(unbiased, low): the challenge's rule, an ordinary ReLU, and no activation."""


def layer_outputs(
    y: Any, weights: Any, bias: Any, ymax: float, unbiased: float = 0.0, low: float = 0.0
) -> Any:
    """Return the outputs of a layer for dense rows, float64."""
    z = y.astype(np.float64) @ weights.astype(np.float64)
    z = np.where(z != unbiased, z + bias.astype(np.float64), z)
    return np.minimum(np.maximum(z, low), ymax)


def random_array(rng: Any, shape: tuple[int, ...], dtype: Any, density: float = 0.5) -> Any:
    """Return a random array, with zeros in random places."""
    values = rng.integers(-32, 33, shape) / 16
    # No -0.0.
    return (values * (rng.random(shape) < density) + 0.0).astype(dtype)


def activated(sums: Any, bias: Any, low: float, ymax: float) -> Any:
    """Return the activations of exact sums; the bias is added to nonzeros only."""
    return np.clip(np.where(sums != 0, sums + bias, 0), low, ymax)


def dense_matrix(rng: Any, rows: int, columns: int, density: float, dtype: Any) -> Any:
    """Return a random array with empty rows and columns."""
    values = rng.integers(-32, 33, (rows, columns)) / 16
    values *= rng.random((rows, columns)) < density
    values[rng.random(rows) < 0.2] = 0
    values[:, rng.random(columns) < 0.2] = 0
    # No -0.0.
    return (values + 0.0).astype(dtype)


def matrix(rng: Any, rows: int, columns: int, density: float, dtype: Any) -> sp.csr_array:
    """Return a random CSR matrix with empty rows and columns."""
    return sp.csr_array(dense_matrix(rng, rows, columns, density, dtype))


def csr_arguments(prefix: str, given_matrix: sp.csr_array) -> dict[str, Any]:
    return {
        f"{prefix}start": given_matrix.indptr.astype(np.int64),
        f"{prefix}index": given_matrix.indices.astype(np.uint32),
    }


def offsets(space: Space, size: Any) -> tuple[Any, int]:
    """Return the offsets of rows of these sizes, and the sum of the sizes."""
    start = np.zeros(size.size + 1, np.int64)
    total = space.pk.parallel_scan(
        "offsets", space.range(size.size), csr.offsets, size=size, start=start
    )
    return start, int(total)
