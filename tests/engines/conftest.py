"""The fixture of the two kernels."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session", params=["fused", "spgemm"])
def kernel(request: pytest.FixtureRequest) -> str:
    return str(request.param)
