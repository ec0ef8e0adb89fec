"""The last layer of a network on a few dense rows, if its weights are dense."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kkspdnn.device.space import Space
from kkspdnn.engines.activation import output_arguments
from kkspdnn.model.layers import Layer
from kkspdnn.pk.launch_sequence import Launch
from kkspdnn.workunits import dense_layer

_TEAM_ROWS = 4
"""Input rows of a team of `fused_dense`, if the number of lanes is a multiple of it; else one."""

_REGISTER_BYTES, _MAX_REGISTERS = 64, 4
"""A block of output neurons fills up to this number of SIMD registers, of the largest size."""

_MIN_DENSITY = 0.5
"""The minimum fraction of edges in the padded weights. `fused_dense` computes all weights, each
several times as fast as other workunits compute an edge."""


@dataclass(frozen=True, eq=False)
class DenseLayer:
    """A layer with dense weights.

    blocks: of output neurons; width: output neurons of a block, with padding
    arguments: those of the workunit that do not depend on the rows
    """

    blocks: int
    width: int
    arguments: dict[str, Any]

    @classmethod
    def last_of(cls, layers: Sequence[Layer], threads: int, ymax: Any) -> DenseLayer | None:
        """Pack the last layer, which has the dtype of the run; None if it is not dense.

        ymax: upper limit of the ReLU in this dtype, may be infinite
        """
        layer = layers[-1]
        if not has_dense_last_layer(layers, threads):
            return None
        blocks, width = _blocks(layer, threads)
        padded = np.zeros((layer.inputs, blocks * width), layer.dtype)
        padded[:, : layer.outputs] = layer.weights().toarray()
        by_block = padded.reshape(layer.inputs, blocks, width).transpose(1, 0, 2)
        arguments = {
            "value": np.ascontiguousarray(by_block),
            **output_arguments(layer, ymax),
            "inputs": layer.inputs,
            "outputs": layer.outputs,
            "width": width,
        }
        return cls(blocks, width, arguments)

    def sums(self, space: Space, rows: int) -> Any:
        """Return the work array for up to this number of rows."""
        return space.empty((self.blocks, rows, self.width), self.arguments["value"].dtype)

    def launch(self, space: Space, x: Any, sums: Any, tiles: int) -> Launch:
        """Return the launch that computes the rows `out`, of number `rows`.

        x: tiles [tile][neuron][lane]; sums: see `sums`
        tiles: the number of those with rows
        """
        lanes = x.shape[2]
        teams = tiles * lanes // (_TEAM_ROWS if lanes % _TEAM_ROWS == 0 else 1)
        arguments = {**self.arguments, "x": x, "sums": sums, "teams": teams, "lanes": lanes}
        policy, changing = space.teams(teams * self.blocks), {"y": "out", "rows": "rows"}
        return Launch("fused_dense", policy, dense_layer.fused_dense, arguments, changing)


def has_dense_last_layer(layers: Sequence[Layer], threads: int) -> bool:
    """Return whether `fused_dense` should compute the last layer, which others precede."""
    padded = _padded_edges(layers[-1], threads)
    return len(layers) > 1 and layers[-1].edges >= _MIN_DENSITY * padded


def dense_bytes(layer: Layer, threads: int) -> int:
    """Return the bytes of the packed weights of a layer."""
    return _padded_edges(layer, threads) * layer.dtype.itemsize


def _padded_edges(layer: Layer, threads: int) -> int:
    blocks, width = _blocks(layer, threads)
    return layer.inputs * blocks * width


def _blocks(layer: Layer, threads: int) -> tuple[int, int]:
    """Return the number of blocks of output neurons, and their size: a block for each thread,
    unless blocks would be too large."""
    lanes = _REGISTER_BYTES // layer.dtype.itemsize
    registers = -(-layer.outputs // lanes)
    width = min(-(-registers // threads), _MAX_REGISTERS)
    return -(-registers // width), width * lanes
