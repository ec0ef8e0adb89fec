"""Runs from dense rows to dense rows without early exit, prepared once and made many times."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kkspdnn.engines.fused.dense_rows import is_dense, pack_launch, split_lines, unpack_launch
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.tile_shape import TileShape
from kkspdnn.engines.fused.tiles import Tiles
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.overflow_guard import safe_input
from kkspdnn.model.matrices import Floats
from kkspdnn.pk.launch_sequence import Launch, LaunchSequence
from kkspdnn.workunits import tiles

_TILES_PER_THREAD = 4
"""Tiles that a thread takes through all layers at a time, so that they stay in its L2 cache."""

_MAX_SEQUENCES = 16
"""Numbers of tiles whose launches are kept."""


class DenseRun:
    """A network on a CPU for batches of dense rows, whose layers are all resident.

    The rows go through all layers in chunks. All launches of a chunk are one native call: after it
    has read the weights of all layers, Python's own code and data are no longer in the cache, and
    a launch from Python would take several times as long.
    """

    def __init__(self, kernels: FusedKernels, layers: LayerStore) -> None:
        """Prepare the launches; `layers` must not be empty."""
        self._dtype = kernels.dtype
        self._inputs, self._outputs = layers[0].inputs, layers.outputs
        space = kernels.space
        chunk = _TILES_PER_THREAD * space.threads * space.launch.lanes(self._dtype)
        chunk = min(chunk, layers.max_rows)
        safe_square = safe_input([each.bound for each in layers], self._dtype) ** 2
        # With few rows, tiles are narrower, so that each thread has one.
        widths = (space.launch.tile_bytes // 4, space.launch.tile_bytes // 2)
        self._stages = []
        for tile_bytes in (each for each in widths if each >= self._dtype.itemsize):
            narrow = replace(space.launch, tile_bytes=tile_bytes)
            few = FusedKernels(replace(space, launch=narrow), self._dtype)
            rows = min(space.threads * narrow.lanes(self._dtype), layers.max_rows)
            self._stages.append(_Stage(few, layers, rows, safe_square))
        self._stages.append(_Stage(kernels, layers, chunk, safe_square))

    def warm_up(self) -> None:
        """Launch each kernel of a run."""
        for stage in self._stages:
            self._run_stage(stage, np.zeros((1, self._inputs), self._dtype))

    def takes(self, rows: Any) -> bool:
        """Return whether `run` accepts these rows: an array of the right type and shape."""
        return is_dense(rows, self._dtype, self._inputs)

    def run(self, x: Floats) -> Floats | None:
        """Return the activations after the last layer, a new array (rows, outputs); None if values
        of `x` are not finite or so large that activations may overflow.

        x: rows for which `takes` is true
        """
        rows = x.shape[0]
        stages = (each for each in self._stages if rows <= each.capacity)
        return self._run_stage(next(stages, self._stages[-1]), x)

    def _run_stage(self, stage: _Stage, x: Floats) -> Floats | None:
        rows = x.shape[0]
        out = np.empty((rows, self._outputs), self._dtype)
        if rows <= stage.capacity:
            return out if stage.run(x, out) else None
        for begin in range(0, rows, stage.capacity):
            end = begin + stage.capacity
            if not stage.run(x[begin:end], out[begin:end]):
                return None
        return out


class _Stage:
    """Tiles for chunks of up to `capacity` rows, and the launches over them."""

    def __init__(
        self, kernels: FusedKernels, layers: LayerStore, capacity: int, safe_square: float
    ) -> None:
        """safe_square: the maximum sum of the squares of a row for which no layer overflows"""
        self.capacity = capacity
        self._kernels = kernels
        self._space = space = kernels.space
        self._layers = layers
        dtype = kernels.dtype
        self._shape = TileShape.of(space, dtype, layers.widest)
        self._tiles = Tiles(self._shape, capacity)
        teams = self._shape.tile_count(capacity) + space.threads
        self._squares = space.empty((teams, self._shape.lanes), dtype)
        self._safe_square = dtype.type(safe_square)
        self._exceeded = np.zeros(1, np.int32)
        self._sequences: dict[int, LaunchSequence] = {}

    def run(self, x: Floats, out: Floats) -> bool:
        """Compute the outputs of a chunk of rows. Return False if values of `x` are not finite or
        too large."""
        rows = x.shape[0]
        count = self._shape.tile_count(rows)
        sequence = self._sequences.get(count)
        if sequence is None:
            if len(self._sequences) == _MAX_SEQUENCES:
                self._sequences.clear()
            sequence = self._sequences[count] = self._sequence(rows)
        sequence(self._space.pk, x, rows, out)
        return not self._exceeded.item()

    def _sequence(self, rows: int) -> LaunchSequence:
        """Return the launches for as many tiles as this number of rows needs."""
        self._tiles.rows = rows
        launches = [*self._load(), *self._compute(), self._pack()]
        return LaunchSequence("dense_run", launches, ("x", "rows", "out"))

    def _load(self) -> tuple[Launch, Launch, Launch]:
        """Return the launches that copy rows into the tiles and check their values."""
        space, array, first = self._space, self._tiles.array, self._layers[0]
        count, lanes = self._tiles.count, self._shape.lanes
        # With few tiles, several teams load each of them.
        blocks, width = split_lines(first.inputs, -(-space.threads // count))
        squares = {
            "a": array,
            "squares": self._squares,
            "zero": self._kernels.zero,
            "neurons": first.inputs,
            "blocks": blocks,
            "width": width,
            "lanes": lanes,
        }
        checking = {
            "squares": self._squares,
            "limit": self._safe_square,
            "exceeded": self._exceeded,
            "teams": count * blocks,
            "lanes": lanes,
        }
        teams = space.teams(count * blocks)
        return (
            unpack_launch(space, array, first.input_permutation, count, blocks, width),
            Launch("sum_squares", teams, tiles.sum_squares, squares, {}),
            Launch("check_squares", space.range(1), tiles.check_squares, checking, {}),
        )

    def _compute(self) -> list[Launch]:
        rows, kernels = self._tiles, self._kernels
        rows.swap_buffers(rows.buffer, self._layers[0].inputs)  # to buffer 0
        launches: list[Launch] = []
        position = 0
        while position < len(self._layers):
            layer = self._layers[position]
            depth = min(layer.group_remaining, kernels.max_depth(rows.count, layer.workunit))
            launches.append(kernels.compute_launch(rows, layer, depth))
            position += depth
        return launches

    def _pack(self) -> Launch:
        permutation, rows = self._layers[-1].output_permutation, self._tiles
        return pack_launch(self._space, rows.array, permutation, rows.count, rows.first_neuron)
