"""The kernel written by hand for GPUs, `bench/ceiling/ceiling.cu`: a ceiling among peers."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter

import numpy as np

from bench.ceiling.cuda import load_kernels
from bench.ceiling.hand_cuda import LANES, HandCuda
from bench.ceiling.work import Work as Tiled
from bench.peer import Answer, Work
from bench.peers.gpu import missing_to_compile
from kkspdnn.device.space import open_space
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.version import own_version

_DEPTH = 16


class HandPeer:
    """Fused layers, several a launch, no row leaving; from input rows in memory to categories."""

    name = "hand"
    label = "CUDA kernel by hand, no row leaves"
    serial = False
    gpu = True
    work: Work = "all"
    bytes_per_edge: float | None = 4 + 2 / LANES
    environment: Mapping[str, str] = {}

    def available(self) -> str | None:
        return missing_to_compile()

    def version(self) -> str:
        return own_version()

    def prepare(self, network: Network, inputs: Inputs, threads: int) -> float:
        begun = perf_counter()
        space = open_space("cuda")
        kernels = load_kernels(space)
        compiled = perf_counter() - begun
        self._hand = HandCuda(kernels, Tiled.of(space, network, inputs), _DEPTH)
        self._layers = len(network.layers)
        self._space, self._rows = space, inputs.rows
        return compiled

    def run(self) -> Answer:
        self._hand.start()
        self._hand.run(self._layers)
        alive = self._space.to_host((self._hand.tiles.front != 0).any(axis=1)).reshape(-1)
        return Answer(np.flatnonzero(alive[: self._rows]).astype(np.int64) + 1)
