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
"""Input rows of a team of `fused_dense`, if there are so many lanes."""

_REGISTER_BYTES, _MAX_REGISTERS = 64, 4
"""Output neurons of a block fill SIMD registers of the largest size, up to this number. They are
split over threads."""

_MIN_DENSITY = 0.5
"""The minimum fraction of edges in the padded weights. `fused_dense` computes all of them, and is
several times as fast for each as other workunits are for an edge."""


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
        if not has_dense_last_layer(layers, layer.dtype, threads):
            return None
        blocks, width = _blocks(layer, layer.dtype, threads)
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


def has_dense_last_layer(layers: Sequence[Layer], dtype: np.dtype[Any], threads: int) -> bool:
    """Return whether `fused_dense` should compute the last layer, which others precede.

    dtype: of the run
    """
    padded = _padded_edges(layers[-1], dtype, threads)
    return len(layers) > 1 and layers[-1].edges >= _MIN_DENSITY * padded


def dense_bytes(layer: Layer, dtype: np.dtype[Any], threads: int) -> int:
    """Return the bytes of the weights of a layer that is packed in a dtype."""
    return _padded_edges(layer, dtype, threads) * dtype.itemsize


def _padded_edges(layer: Layer, dtype: np.dtype[Any], threads: int) -> int:
    blocks, width = _blocks(layer, dtype, threads)
    return layer.inputs * blocks * width


def _blocks(layer: Layer, dtype: np.dtype[Any], threads: int) -> tuple[int, int]:
    """Return the number of blocks of output neurons, and their size."""
    lanes = _REGISTER_BYTES // dtype.itemsize
    registers = -(-layer.outputs // lanes)
    width = min(-(-registers // threads), _MAX_REGISTERS)
    return -(-registers // width), width * lanes
