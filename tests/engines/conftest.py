"""Both kernels in all spaces."""

from __future__ import annotations

import pytest
from on_gpu import skip_unless_here

from kkspdnn.spaces import SPACES


@pytest.fixture(scope="session", params=SPACES)
def space(request: pytest.FixtureRequest) -> str:
    skip_unless_here(request.param)
    return str(request.param)


@pytest.fixture(scope="session", params=["fused", "spgemm"])
def kernel(request: pytest.FixtureRequest) -> str:
    return str(request.param)
