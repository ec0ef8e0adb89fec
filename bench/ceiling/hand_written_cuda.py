"""The hand-written CUDA kernel as a candidate, for networks with one fan-in."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.ceiling.cuda import Kernels
from bench.ceiling.hand_written import check_layers
from bench.ceiling.tiled_problem import LaunchCandidate, TiledProblem
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.errors import InputError

LANES = 32
"""Rows of a tile with the default launch parameters."""

_ALL_LANES = 32, 64, 128
_LANES_PER_THREAD = 4
_INDICES = 8
"""Indices that the kernel reads with one load."""

_THREADS = 512
_NEURONS = 16
"""Blocks of neurons are a multiple of it, as in the engine."""

_BLOCKS = 4096
"""Enough thread blocks to occupy any GPU."""


class HandWrittenCudaKernel(LaunchCandidate):
    """Launches ceiling.cu with the arrays of the workunit.

    Raises InputError if ceiling.cu does not support the layers.
    """

    def __init__(self, kernels: Kernels, problem: TiledProblem, depth: int, first: int = 0) -> None:
        super().__init__(problem, depth, first)
        check_layers(problem, _ALL_LANES)
        columns = {layer.weights["index"].shape[1] for layer in problem.layers}
        if any(each % _INDICES for each in columns):
            raise InputError(
                "the hand-written kernel needs rows of edges that are a multiple of "
                f"{_INDICES}; use a RadiX-Net"
            )
        self._kernels = {name: kernels.get(f"kkspdnn_hand_{name}") for name in ("equal", "fan_in")}

    def launch(self, layer: FusedLayer, depth: int) -> None:
        """See LaunchCandidate."""
        weights: dict[str, Any] = layer.weights
        neurons, tiles = self.problem.shape.widest, self.tiles.count
        blocks, width = self._blocks(neurons, tiles) if depth == 1 else (1, neurons)
        threads = self.problem.shape.lanes // _LANES_PER_THREAD
        kernel = self._kernels["fan_in" if "value" in weights else "equal"]
        numbers = (
            *(weights["fan_in"], weights["index"].shape[1], layer.group_index, depth),
            *(self.tiles.buffer, neurons, width),
        )
        kernel(
            (tiles, blocks),
            (threads, _THREADS // threads),
            (
                self.tiles.array,
                weights["index"],
                weights.get("value", np.uint64(0)),
                np.float32(weights.get("weight", 0)),
                weights["bias"],
                np.float32(self.problem.engine.ymax),
                *[np.int32(number) for number in numbers],
            ),
        )
        self.tiles.swap_buffers(depth, layer.outputs)

    @staticmethod
    def _blocks(neurons: int, tiles: int) -> tuple[int, int]:
        """Return the number of blocks of neurons of a tile, and their size."""
        wanted = -(-_BLOCKS // tiles)
        width = -(-neurons // (_NEURONS * wanted)) * _NEURONS
        return -(-neurons // width), min(width, neurons)
