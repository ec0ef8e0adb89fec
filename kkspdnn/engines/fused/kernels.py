"""The launches that compute layers on tiles of input rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kkspdnn.device.space import Space
from kkspdnn.engines.fused.layer import FusedLayer
from kkspdnn.engines.fused.packing import Packing
from kkspdnn.engines.fused.tiles import Tiles
from kkspdnn.pk.launch_sequence import Launch
from kkspdnn.workunits import first_layer

_BLOCK_NEURONS = 16
"""Blocks of output neurons have a multiple of this. Then neurons with the same inputs, 16 in a
RadiX-Net, are in one block, which loads their inputs into the L1 cache once."""


@dataclass(frozen=True)
class FusedKernels:
    """The launches that compute layers, in an execution space and a dtype."""

    space: Space
    dtype: np.dtype[Any]
    # By workunit, once its kernels are compiled; each launch needs it.
    _concurrent_teams: dict[Any, int] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    # The policy, the number of blocks and their size, by number of tiles, units and outputs, and
    # whether there may be several blocks; each launch needs them.
    _policies: dict[tuple[int, int, int, bool], tuple[Any, int, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def zero(self) -> Any:
        """0 as a scalar of the dtype."""
        return self.dtype.type(0)

    @property
    def packing(self) -> Packing:
        """How layers are packed for this space."""
        return Packing.of(self.space.launch)

    def compute(self, rows: Tiles, layer: FusedLayer, depth: int, ranges: bool = False) -> None:
        """Compute Y = min(max(Y W + b, low), ymax) in all tiles, for `depth` layers of the group of
        `layer`, starting with `layer`.

        ranges: find the range of each row in the same launch. It is not found if the launch has
        more blocks of neurons than a tile has entries, or several blocks of groups.
        """
        policy, values, entries = self._layer_launch(rows, layer, depth, ranges)
        layer.launch(self.space.pk, policy, *values)
        rows.swap_buffers(depth, layer.outputs, entries)

    def compute_launch(self, rows: Tiles, layer: FusedLayer, depth: int) -> Launch:
        """Return the launch of `compute` without ranges, and record in `rows` that it was made."""
        policy, values, _ = self._layer_launch(rows, layer, depth, ranges=False)
        rows.swap_buffers(depth, layer.outputs)
        return layer.launch.with_values(policy, *values)

    def _layer_launch(
        self, rows: Tiles, layer: FusedLayer, depth: int, ranges: bool
    ) -> tuple[Any, tuple[Any, ...], int]:
        """Return the policy of a launch, the values of LAUNCH_ARGUMENTS, and the entries of ranges
        for a tile."""
        shape, outputs = rows.shape, layer.outputs
        key = rows.count, layer.units, outputs, depth == 1
        if key not in self._policies:
            self._policies[key] = self._policy(*key)
        policy, blocks, width = self._policies[key]
        parts = 0
        if ranges and (blocks == 1 or not layer.grouped):
            parts = rows.max_entries // blocks
        values = (
            *(rows.array, rows.ranges, layer.group_index, depth, rows.buffer, shape.widest),
            *(blocks, width, parts, shape.lanes),
        )
        return policy, values, parts * blocks

    def count_inputs(self, counts: Tiles, first: FusedLayer, ranges: bool = False) -> None:
        """Count the inputs of each output of the first layer that are 1.

        counts: tiles of uint8, with the bits of the input rows; then with the counts
        ranges: find the range of each row in the same launch
        """
        parts = counts.max_entries if ranges else 0
        self.space.pk.parallel_for(
            "count_edges",
            self.space.teams(counts.count),
            first_layer.count_edges,
            x=counts.array,
            ranges=counts.ranges,
            index=first.weights["index"],
            layer=first.group_index,
            buffer=counts.buffer,
            widest=counts.shape.widest,
            blocks=1,
            width=first.outputs,
            parts=parts,
            outputs=first.outputs,
            fan_in=first.fan_in,
            lanes=counts.shape.lanes,
        )
        counts.swap_buffers(1, first.outputs, parts)

    def compute_from_counts(
        self,
        rows: Tiles,
        counts: Tiles,
        first: FusedLayer,
        following: Sequence[FusedLayer] = (),
        ranges: bool = False,
    ) -> None:
        """Compute the first layer from the counts of the same rows, and then the layers of
        `following`, which are from one group and can follow counts.

        ranges: find the range of each row in the same launch
        """
        after = following[0] if following else first
        parts = rows.max_entries if ranges else 0
        self.space.pk.parallel_for(
            "fused_counts",
            self.space.teams(rows.count),
            first_layer.fused_counts,
            x=counts.array,
            a=rows.array,
            ranges=rows.ranges,
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
            parts=parts,
            outputs=first.outputs,
            next_fan_in=after.fan_in,
            lanes=rows.shape.lanes,
        )
        rows.swap_buffers(1 + len(following), first.outputs, parts)

    def max_depth(self, tiles: int, workunit: Any) -> int:
        """Return the maximum number of layers in a launch of a workunit over this number of tiles:
        1 if one team for each tile leaves threads idle."""
        teams = self._concurrent_teams.get(workunit)
        if teams is None:
            teams = self._concurrent_teams[workunit] = self.space.concurrent_teams(workunit)
        turns = -(-tiles // teams)
        return self.space.launch.layers_a_launch if tiles >= 0.9 * turns * teams else 1

    def _policy(
        self, tiles: int, units: int, outputs: int, may_split: bool
    ) -> tuple[Any, int, int]:
        """Return the policy of a launch, and its blocks as `_blocks`."""
        blocks, width = self._blocks(tiles, units, outputs) if may_split else (1, units)
        return self.space.teams(tiles * blocks, width), blocks, width

    def _blocks(self, tiles: int, units: int, outputs: int) -> tuple[int, int]:
        """Return the number of blocks of output neurons, or of their groups, for which a launch has
        separate teams, so that it has about eight times as many teams as run concurrently; and the
        size of a block, which is a multiple of 16 neurons if there are several blocks.

        units: number of output neurons or groups; outputs: of output neurons
        """
        if tiles >= self._wanted_teams:
            return 1, units
        blocks = -(-self._wanted_teams // (tiles or 1))
        multiple = max(1, _BLOCK_NEURONS * units // outputs)
        width = -(-units // (multiple * blocks)) * multiple
        return (-(-units // width), width) if width < units else (1, units)

    @cached_property
    def _wanted_teams(self) -> int:
        return 8 * self.space.concurrent_teams()
