"""The host time of a launch, by part."""

from __future__ import annotations

import numpy as np
import pytest

import kkspdnn as kk
from bench.ceiling.tiled_problem import TiledProblem
from bench.gpu import host_time
from kkspdnn.device.space import open_space
from kkspdnn.pk.runtime.kokkos_runtime import get_runtime


def test_each_part_is_timed_and_launches_work_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_time, "_ROUNDS", 2)
    space, net = open_space("openmp"), kk.radixnet(64, 2)
    seconds = host_time.host_seconds(TiledProblem.of(space, net, kk.images(64, 8)))
    assert len(seconds) == 5
    assert all(0 < each < 0.1 for each in seconds.values())
    assert host_time.describe({"one": 1.24e-6, "two": 3e-6}) == "one 1.2, two 3.0"
    assert not isinstance(get_runtime(space.execution_space)._run, type(lambda: 0))
    result = kk.infer(net, np.ones((3, 64)), space="openmp", verify="full")
    assert result.record.verified.passed
