"""The serial reference, whose categories every peer must return."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench.peer import EdgeCounting, RunResult, package_version
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.serial_reference import categories, timed_reference


class Reference:
    """`kkspdnn.reference`; its time is that of the arithmetic only."""

    name = "reference"
    label = "Serial reference"
    serial = True
    gpu = False
    edge_counting: EdgeCounting = "products"
    bytes_per_edge: float | None = 16.0
    env: Mapping[str, str] = {}

    def available(self) -> str | None:
        return None

    def version(self) -> str:
        return f"SciPy {package_version('scipy')}"

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        self._network, self._inputs = network, inputs
        return 0.0

    def run(self) -> RunResult:
        final, seconds = timed_reference(self._network, self._inputs, dtype=np.float32)
        return RunResult(categories(final), seconds)
