"""Random input rows for the benchmark of SpGEMM."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from bench.distinct_indices import distinct_indices
from kkspdnn.model.inputs import Inputs


def row_nonzeros(neurons: int, density: float) -> int:
    """Return the number of nonzeros of an input row of this density: at least 1."""
    return max(1, round(density * neurons))


def random_inputs(rows: int, neurons: int, density: float, seed: int) -> Inputs:
    """Return CSR rows with nonzeros at uniformly random positions, float32, uniform in [0.5, 1.5).

    density: the share of nonzeros, the same in each row
    """
    count = row_nonzeros(neurons, density)
    rng = np.random.default_rng([seed, neurons, rows, count])
    dtype = np.int32 if rows * count <= np.iinfo(np.int32).max else np.int64
    indices = distinct_indices(rng, rows, count, neurons).ravel().astype(dtype)
    values = rng.random(indices.size, np.float32)
    values += np.float32(0.5)
    starts = np.arange(0, indices.size + 1, count, dtype=dtype)
    csr = sp.csr_array((values, indices, starts), shape=(rows, neurons))
    return Inputs(rows, neurons, f"random, {100 * density:g} % nonzeros", csr=csr)
