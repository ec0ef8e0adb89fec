"""The fixtures of the two kernels, and of the labels of launches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from on_gpu import PATTERNS


@pytest.fixture(scope="session", params=["fused", "spgemm"])
def kernel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def record_labels(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[str]]:
    """A function that returns a list, to which each later launch by a module of PyKokkos adds its
    label."""

    def record(pk: Any) -> list[str]:
        labels: list[str] = []

        def recorded(launch: Any) -> Any:
            def run(label: str, *given: Any, **arguments: Any) -> Any:
                labels.append(label)
                return launch(label, *given, **arguments)

            return run

        for name in PATTERNS:
            monkeypatch.setattr(pk, name, recorded(getattr(pk, name)))
        return labels

    return record
