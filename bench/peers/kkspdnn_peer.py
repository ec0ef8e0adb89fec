"""kkspdnn with an engine that is prepared once and called for each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter

import numpy as np

from bench.peer import EdgeCounting, RunResult
from bench.peers.gpu import missing_cuda_toolchain
from bench.processes import ALL_THREADS
from kkspdnn.choices import Exits, Kernel, SpaceName
from kkspdnn.device.space import open_space
from kkspdnn.engines import make_engine, no_progress
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.partial_result import concatenate
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.model.neuron_merging import merge_neurons
from kkspdnn.pk.installed.requirements import is_installed
from kkspdnn.version import own_version


class Kkspdnn:
    """kkspdnn with one choice of options.

    kernel, exits, fold, space: see `kkspdnn.infer`
    implementation: of PyKokkos, builtin or pykokkos, see KKSPDNN_PK

    The time is that of a run of an engine that has packed the layers and allocated its memory, as
    the time of the other peers: from input rows in memory, in CSR for SpGEMM, to categories.
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
        self.env: Mapping[str, str] = {"KKSPDNN_PK": implementation, **ALL_THREADS}
        # fused: one activation per lane and one index per tile; SpGEMM: see CsrPeer
        lanes = 32 if self.gpu else 64
        self.bytes_per_edge: float | None = 4 + 2 / lanes if kernel == "fused" else 16.0

    def available(self) -> str | None:
        if self._implementation == "pykokkos" and not is_installed():
            return "PyKokkos is not installed"
        return missing_cuda_toolchain() if self.gpu else None

    def version(self) -> str:
        return own_version()

    @ieee_arithmetic()
    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        if self._kernel == "spgemm":
            # Like the other CSR peers: the clock starts with rows in CSR.
            inputs = replace(inputs, bits=None, dense=None, csr=inputs.to_csr(np.float32))
        space = open_space(self._space, None if self.gpu else threads)
        if self._fold:
            network = merge_neurons(network).network
        dtype = np.dtype(np.float32)
        self._engine = make_engine(self._kernel, space, dtype, network.ymax, self._exits)
        self._layers = LayerStore(network, self._engine, dtype)
        self._inputs = inputs
        begun = perf_counter()
        self._engine.warm_up(self._layers, inputs)
        compile_seconds = perf_counter() - begun
        self._engine.compute_exit_bounds(self._layers, inputs)
        self._engine.allocate(self._layers, inputs)
        return compile_seconds

    @ieee_arithmetic()
    def run(self) -> RunResult:
        blocks = self._engine.run(self._layers, self._inputs, None, no_progress)
        result = concatenate(blocks, self._layers.outputs, self._layers.dtype, values=False)
        return RunResult(result.rows + 1, computed_edges=result.computed_edges)
