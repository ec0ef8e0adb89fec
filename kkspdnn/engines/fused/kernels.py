"""The launches that compute layers on tiles of input rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kkspdnn.device.space import Space
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.tiles import Tiles
from kkspdnn.workunits import fused


@dataclass(frozen=True)
class FusedKernels:
    """The launches that compute layers, in an execution space and a dtype."""

    space: Space
    dtype: np.dtype[Any]

    @property
    def zero(self) -> Any:
        """0 as a scalar of the dtype."""
        return self.dtype.type(0)

    def compute(self, rows: Tiles, layer: FusedLayer, depth: int) -> None:
        """Compute Y = min(max(Y W + b, low), ymax) in all tiles, for `depth` layers of the group of
        `layer`, starting with `layer`."""
        outputs, shape, tiles = layer.outputs, rows.shape, rows.count
        blocks = 1 if depth > 1 else self._neuron_blocks(outputs, tiles)
        # In the order of LAUNCH_ARGUMENTS.
        layer.launch(
            self.space.pk,
            self.space.teams(tiles * blocks),
            rows.array,
            depth,
            rows.buffer,
            shape.widest,
            blocks,
            -(-outputs // blocks),
            shape.lanes,
        )
        rows.swap_buffers(depth, outputs)

    def count_inputs(self, counts: Tiles, first: FusedLayer) -> None:
        """Count the inputs of each output of the first layer that are 1.

        counts: tiles of uint8, with the bits of the input rows; then with the counts
        """
        self.space.pk.parallel_for(
            "count_edges",
            self.space.teams(counts.count),
            fused.count_edges,
            x=counts.array,
            index=first.weights["index"],
            layer=first.group_index,
            buffer=counts.buffer,
            widest=counts.shape.widest,
            blocks=1,
            width=first.outputs,
            outputs=first.outputs,
            fan_in=first.fan_in,
            lanes=counts.shape.lanes,
        )
        counts.swap_buffers(1, first.outputs)

    def compute_from_counts(
        self, rows: Tiles, counts: Tiles, first: FusedLayer, following: Sequence[FusedLayer] = ()
    ) -> None:
        """Compute the first layer from the counts of the same rows, and then the layers of
        `following`, which are from one group and can follow counts."""
        after = following[0] if following else first
        self.space.pk.parallel_for(
            "fused_counts",
            self.space.teams(rows.count),
            fused.fused_counts,
            x=counts.array,
            a=rows.array,
            weight=first.weight,
            bias=first.weights["bias"],
            next_index=after.weights["index"],
            next_weight=after.weight,
            next_bias=after.weights["bias"],
            zero=self.zero,
            **first.scalars,
            layer=first.group_index,
            next_layer=after.group_index,
            depth=len(following),
            count_offset=counts.first_neuron,
            buffer=rows.buffer,
            widest=rows.shape.widest,
            blocks=1,
            width=first.outputs,
            outputs=first.outputs,
            next_fan_in=after.fan_in,
            lanes=rows.shape.lanes,
        )
        rows.swap_buffers(1 + len(following), first.outputs)

    def max_depth(self, tiles: int) -> int:
        """Return the maximum number of layers in a launch over this number of tiles: 1 if one team
        for each tile leaves threads idle."""
        teams = self.space.concurrent_teams
        # A GPU starts a team when another one ends. A CPU distributes the tiles before the launch.
        turns = 1 if self.space.gpu else -(-tiles // teams)
        return self.space.launch.layers_a_launch if tiles >= 0.9 * turns * teams else 1

    def _neuron_blocks(self, outputs: int, tiles: int) -> int:
        """Return the number of blocks of output neurons for which a launch has separate teams, so
        that it has about eight times as many teams as run concurrently."""
        if tiles >= self._wanted_teams:
            return 1
        blocks = -(-self._wanted_teams // (tiles or 1))
        return min(blocks, outputs // 16) or 1

    @cached_property
    def _wanted_teams(self) -> int:
        return 8 * self.space.concurrent_teams
