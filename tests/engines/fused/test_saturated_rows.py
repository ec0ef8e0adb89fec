"""Ids of rows that saturate, on the host and as a mask in the memory of a GPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kkspdnn.device.space import open_space
from kkspdnn.engines.fused.saturated_rows import SaturatedRows


@pytest.mark.parametrize("name", ["openmp", "cuda"])
def test_ids_of_rows_that_saturate_at_different_times(name: str) -> None:
    """Rows that go to zero are dropped; others saturate later or never."""
    saturated = SaturatedRows(replace(open_space("openmp"), name=name))  # type: ignore[arg-type]
    for first in (0, 100):
        saturated.start(first, 6)
        assert saturated.take_ids().size == 0
        saturated.add(first + np.array([0, 1, 2, 3, 4, 5]), np.array([0, 0, 1, 0, 0, 0], bool))
        saturated.add(first + np.array([0, 3, 4, 5]), np.array([0, 0, 1, 0], bool))
        saturated.add(first + np.array([0, 3, 5]), np.array([1, 0, 0], bool))
        ids = saturated.take_ids()
        assert (ids.dtype, ids.tolist()) == (np.int64, [first, first + 2, first + 4])
        assert saturated.take_ids().size == 0
