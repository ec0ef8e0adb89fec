"""The spaces and types that every workunit is tried in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kkspdnn.spaces import Space, open_space


@pytest.fixture(scope="session", params=["serial", "openmp"])
def space(request: pytest.FixtureRequest) -> Space:
    return open_space(request.param)


@pytest.fixture(scope="session", params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype[Any]:
    return np.dtype(request.param)
