"""The hand-written CUDA kernel as a candidate, for networks with one fan-in."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.ceiling.cuda import Kernels
from bench.ceiling.hand_written import check_layers
from bench.ceiling.tiled_problem import TileCandidate, TiledProblem
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.errors import InputError

LANES = 128
"""Rows of a tile in ceiling.cu."""

_INDICES = 8
"""Indices that the kernel reads with one load."""

_BLOCKS = 4096
"""Enough thread blocks to occupy any GPU."""


class HandWrittenCudaKernel(TileCandidate):
    """Launches ceiling.cu with the arrays of the workunit, up to `depth` layers per launch.

    Raises InputError if ceiling.cu does not support the layers.
    """

    def __init__(self, kernels: Kernels, problem: TiledProblem, depth: int) -> None:
        super().__init__(problem)
        check_layers(problem, LANES)
        if problem.layers[0].weights["fan_in"] % _INDICES:
            raise InputError(
                f"the hand-written kernel needs a fan-in that is a multiple of {_INDICES}; "
                "use a RadiX-Net"
            )
        self._depth = depth
        self._kernels = {name: kernels.get(f"kkspdnn_hand_{name}") for name in ("equal", "fan_in")}

    def run(self, layers: int) -> None:
        """Compute the first `layers` layers for all rows."""
        position = 0
        while position < layers:
            layer = self.problem.layers[position]
            depth = min(self._depth, layer.group_remaining, layers - position)
            self._launch(layer, depth)
            self.tiles.swap_buffers(depth, layer.outputs)
            position += depth
        self.wait()

    def _launch(self, layer: FusedLayer, depth: int) -> None:
        weights: dict[str, Any] = layer.weights
        neurons, tiles = self.problem.shape.widest, self.tiles.count
        numbers = weights["fan_in"], layer.group_index, depth, self.tiles.buffer, neurons
        blocks = max(1, min(-(-_BLOCKS // tiles), neurons // 16)) if depth == 1 else 1
        kernel = self._kernels["fan_in" if "value" in weights else "equal"]
        kernel(
            (tiles, blocks),
            (512,),
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
