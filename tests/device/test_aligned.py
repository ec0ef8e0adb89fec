"""Memory that starts at a page."""

from __future__ import annotations

import numpy as np
import pytest

from kkspdnn.device.aligned import aligned_empty
from kkspdnn.device.space import open_space


@pytest.mark.parametrize("shape", [0, 7, (3, 5), (2, 0, 4), (1000, 1000)])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_arrays_start_at_a_page(shape: int | tuple[int, ...], dtype: str) -> None:
    for found in (aligned_empty(shape, dtype), open_space("serial").empty(shape, dtype)):
        assert found.shape == np.empty(shape).shape
        assert found.dtype == dtype
        assert found.flags.c_contiguous
        assert found.flags.writeable
        assert found.ctypes.data % 4096 == 0 or not found.size
