"""Launches of the fused workunits over tiles of input rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kkspdnn.device.space import Space
from kkspdnn.engines.fused.layer import MOST_DEPTH, FusedLayer
from kkspdnn.engines.fused.tiles import Tiles
from kkspdnn.workunits import fused


@dataclass(frozen=True)
class FusedKernels:
    """The launches that compute layers, in one space and dtype."""

    space: Space
    dtype: np.dtype[Any]

    @property
    def zero(self) -> Any:
        """0 of the dtype."""
        return self.dtype.type(0)

    def compute(self, rows: Tiles, layer: FusedLayer, depth: int) -> None:
        """Y = min(max(Y W + b, low), ymax) over all tiles, for `depth` layers from `layer` on."""
        blocks = 1 if depth > 1 else self._blocks(layer.outputs, rows.count)
        self.space.pk.parallel_for(
            "fused",
            self.space.teams(rows.count * blocks),
            layer.workunit,
            a=rows.all,
            **layer.weights,
            zero=self.zero,
            **layer.scalars,
            layer=layer.position,
            depth=depth,
            buffer=rows.side,
            widest=rows.shape.widest,
            blocks=blocks,
            width=-(-layer.outputs // blocks),
            outputs=layer.outputs,
            lanes=rows.shape.lanes,
        )
        rows.swap(depth, layer.outputs)

    def count(self, counted: Tiles, layer: FusedLayer) -> None:
        """Count the inputs of a first layer that are 1, from bytes to bytes."""
        self.space.pk.parallel_for(
            "count_edges",
            self.space.teams(counted.count),
            fused.count_edges,
            x=counted.all,
            index=layer.weights["index"],
            layer=layer.position,
            buffer=counted.side,
            widest=counted.shape.widest,
            blocks=1,
            width=layer.outputs,
            outputs=layer.outputs,
            fan_in=layer.fan_in,
            lanes=counted.shape.lanes,
        )
        counted.swap(1, layer.outputs)

    def activate(
        self, rows: Tiles, counted: Tiles, layer: FusedLayer, following: Sequence[FusedLayer] = ()
    ) -> None:
        """Compute a first layer from the counts of the same rows, and those of the stack of equal
        weights and its own rule that follow."""
        after = following[0] if following else layer
        self.space.pk.parallel_for(
            "fused_counts",
            self.space.teams(rows.count),
            fused.fused_counts,
            x=counted.all,
            a=rows.all,
            weight=layer.weight,
            bias=layer.weights["bias"],
            next_index=after.weights["index"],
            next_weight=after.weight,
            next_bias=after.weights["bias"],
            zero=self.zero,
            **layer.scalars,
            layer=layer.position,
            next_layer=after.position,
            depth=len(following),
            count_offset=counted.first,
            buffer=rows.side,
            widest=rows.shape.widest,
            blocks=1,
            width=layer.outputs,
            outputs=layer.outputs,
            next_fan_in=after.fan_in,
            lanes=rows.shape.lanes,
        )
        rows.swap(1 + len(following), layer.outputs)

    def most_depth(self, tiles: int) -> int:
        """Layers in a launch over so many tiles: one where a team a tile leaves threads idle."""
        teams = self.space.concurrent_teams
        # A GPU begins a team where another one ends; the threads of a CPU get their tiles before.
        turns = 1 if self.space.gpu else -(-tiles // teams)
        return MOST_DEPTH if tiles >= 0.9 * turns * teams else 1

    def _blocks(self, outputs: int, tiles: int) -> int:
        """Into how many blocks of neurons a tile is cut, so that there are eight teams for
        each that runs at a time."""
        wanted = -(-8 * self.space.concurrent_teams // max(1, tiles))
        return max(1, min(wanted, outputs // 16))
