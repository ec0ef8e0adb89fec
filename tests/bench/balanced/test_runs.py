"""The prepared runs of a worker: prepared, checked, timed and released."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bench.balanced import runs


def test_runs_are_prepared_checked_timed_and_released(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Callable[[dict[str, Any]], dict[str, Any]]] = []
    monkeypatch.setattr(runs, "serve", served.append)
    calls: list[tuple[str, int, int]] = []

    def prepare(network: str, rows: int, threads: int) -> tuple[runs.Run, Any]:
        calls.append((network, rows, threads))
        return runs.timed(lambda: np.ones(rows)), np.full(rows, 1.5)

    runs.serve_runs(prepare)
    (answer,) = served
    request = {"network": "dense", "rows": 3, "threads": 2}
    assert answer({"do": "prepare", **request}) == {"error": 0.5}
    assert calls == [("dense", 3, 2)]
    assert 0 < answer({"do": "run", **request})["seconds"] < 1
    assert answer({"do": "release", **request}) == {}
    with pytest.raises(KeyError):
        answer({"do": "run", **request})
