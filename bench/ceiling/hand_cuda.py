"""The kernel written by hand for GPUs, on a network whose neurons all have the same fan-in."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.ceiling.cuda import Kernels
from bench.ceiling.hand import check_layers
from bench.ceiling.work import OnTiles, Work
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.errors import InputError

LANES = 128
"""Rows in a tile, as ceiling.cu has them."""

_INDICES = 8
"""Indices of one load."""

_BLOCKS = 4096
"""As many keep every GPU busy."""


class HandCuda(OnTiles):
    """ceiling.cu on the very arrays that the workunit gets, up to `depth` layers of a tile in one
    launch.

    Raises InputError for layers that it does not take.
    """

    def __init__(self, kernels: Kernels, work: Work, depth: int) -> None:
        super().__init__(work)
        check_layers(work, LANES)
        if work.layers[0].weights["fan_in"] % _INDICES:
            raise InputError(
                f"the kernel takes multiples of {_INDICES} edges a neuron; use a RadiX-Net"
            )
        self._depth = depth
        self._kernels = {name: kernels.get(f"kkspdnn_hand_{name}") for name in ("equal", "fan_in")}

    def run(self, layers: int) -> None:
        """Take all rows through the first so many layers."""
        position = 0
        while position < layers:
            layer = self.work.layers[position]
            depth = min(self._depth, layer.following, layers - position)
            self._launch(layer, depth)
            self.tiles.swap(depth, layer.outputs)
            position += depth
        self.wait()

    def _launch(self, layer: FusedLayer, depth: int) -> None:
        weights: dict[str, Any] = layer.weights
        neurons, tiles = self.work.shape.widest, self.tiles.count
        numbers = weights["fan_in"], layer.position, depth, self.tiles.side, neurons
        blocks = max(1, min(-(-_BLOCKS // tiles), neurons // 16)) if depth == 1 else 1
        kernel = self._kernels["fan_in" if "value" in weights else "equal"]
        kernel(
            (tiles, blocks),
            (512,),
            (
                self.tiles.all,
                weights["index"],
                weights.get("value", np.uint64(0)),
                np.float32(weights.get("weight", 0)),
                weights["bias"],
                np.float32(self.work.engine.ymax),
                *[np.int32(number) for number in numbers],
            ),
        )
