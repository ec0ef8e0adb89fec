"""The hand-written CUDA kernel, `bench/ceiling/ceiling.cu`, as a peer."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

import numpy as np

from bench.ceiling.cuda import load_kernels
from bench.ceiling.hand_written_cuda import LANES, HandWrittenCudaKernel
from bench.ceiling.tiled_problem import TiledProblem
from bench.peer import EdgeCounting, RunResult
from bench.peers.gpu import missing_cuda_toolchain
from kkspdnn.device.space import open_space
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.version import own_version

_DEPTH = 16


class HandWrittenPeer:
    """Fused layers, several per launch, without early exit; from input rows to categories."""

    name = "hand"
    label = "Hand-written CUDA kernel"
    serial = False
    gpu = True
    edge_counting: EdgeCounting = "all"
    bytes_per_edge: float | None = 4 + 2 / LANES
    env: Mapping[str, str] = {}

    def available(self) -> str | None:
        return missing_cuda_toolchain()

    def version(self) -> str:
        return own_version()

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        begun = perf_counter()
        space = open_space("cuda")
        kernels = load_kernels(space)
        compiled = perf_counter() - begun
        self._kernel = HandWrittenCudaKernel(
            kernels, TiledProblem.of(space, network, inputs), _DEPTH
        )
        self._layers = len(network.layers)
        self._space, self._rows = space, inputs.rows
        return compiled

    def run(self) -> RunResult:
        self._kernel.start()
        self._kernel.run(self._layers)
        active = self._space.to_host((self._kernel.tiles.activations != 0).any(axis=1)).reshape(-1)
        return RunResult(np.flatnonzero(active[: self._rows]).astype(np.int64) + 1)
