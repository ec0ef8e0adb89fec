"""kkspdnn through its public function `kkspdnn.infer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bench.peer import EdgeCounting, RunResult
from bench.peers.gpu import missing_cuda_toolchain
from kkspdnn.choices import Exits, Kernel, SpaceName
from kkspdnn.inference import Result, infer
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.pk.installed.requirements import is_installed
from kkspdnn.version import own_version


class Kkspdnn:
    """kkspdnn with one choice of options.

    kernel, exits, fold, space: see `kkspdnn.infer`
    implementation: of PyKokkos, builtin or pykokkos, see KKSPDNN_PK

    The time is the inference time of the record: from input rows in memory, in CSR for SpGEMM, to
    categories.
    """

    serial = False
    edge_counting: EdgeCounting = "own"

    def __init__(
        self,
        name: str,
        label: str,
        kernel: Kernel = "fused",
        exits: Exits = "all",
        fold: bool = False,
        implementation: str = "builtin",
        space: SpaceName = "openmp",
    ) -> None:
        self.name = name
        self.label = label
        self._kernel: Kernel = kernel
        self._exits: Exits = exits
        self._fold = fold
        self._implementation = implementation
        self._space: SpaceName = space
        self.gpu = space == "cuda"
        self.env: Mapping[str, str] = {"KKSPDNN_PK": implementation}
        # fused: one activation per lane and one index per tile; SpGEMM: see CsrPeer
        lanes = 32 if self.gpu else 64
        self.bytes_per_edge: float | None = 4 + 2 / lanes if kernel == "fused" else 16.0

    def available(self) -> str | None:
        if self._implementation == "pykokkos" and not is_installed():
            return "PyKokkos is not installed"
        return missing_cuda_toolchain() if self.gpu else None

    def version(self) -> str:
        return own_version()

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        if self._kernel == "spgemm":
            # Like the other CSR peers: the clock starts with rows in CSR.
            inputs = replace(inputs, bits=None, dense=None, csr=inputs.to_csr(np.float32))
        self._network, self._inputs, self._threads = network, inputs, threads
        sample = inputs.slice(0, min(inputs.rows, 128))
        return self._infer(sample).record.compile_seconds

    def run(self) -> RunResult:
        result = self._infer(self._inputs)
        record = result.record
        return RunResult(result.categories, record.inference_seconds, record.edges_multiplied)

    def _infer(self, inputs: Inputs) -> Result:
        return infer(
            self._network,
            inputs,
            space=self._space,
            kernel=self._kernel,
            exits=self._exits,
            fold=self._fold,
            tune=False,
            threads=None if self.gpu else self._threads,
            dtype=np.float32,
        )
