"""The fixtures of execution spaces and dtypes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from on_gpu import PATTERNS, copying, skip_unless_here

from kkspdnn.choices import SPACES
from kkspdnn.device.space import Space, open_space


@pytest.fixture(scope="session", params=SPACES)
def space(request: pytest.FixtureRequest) -> Space:
    skip_unless_here(request.param)
    opened = open_space(request.param)
    if not opened.gpu:
        return opened
    pk: Any = SimpleNamespace(**vars(opened.pk))
    for name in PATTERNS:
        setattr(pk, name, copying(getattr(opened.pk, name)))
    return replace(opened, pk=pk)


@pytest.fixture(scope="session", params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> np.dtype[Any]:
    return np.dtype(request.param)


@pytest.fixture
def on_the_host(space: Space) -> None:
    if space.gpu:
        pytest.skip("activations by columns are for a CPU")
