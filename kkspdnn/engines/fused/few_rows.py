"""Runs over a few dense rows on a CPU, by input neuron: see the workunit `fused_inputs`.

Rows are the lanes of tiles that are as narrow as possible: one row has a tile of one lane, and
tiles of 64 bytes are the widest. There is no early exit, but input neurons that are zero in all
rows of a tile cost nothing, and after a ReLU half of the activations are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kkspdnn.device.space import Space
from kkspdnn.engines.fused.dense_layer import DenseLayer, dense_bytes, has_dense_last_layer
from kkspdnn.engines.fused.dense_rows import is_dense, pack_launch
from kkspdnn.engines.fused.input_lists import InputLists, list_bytes, pack_by_input
from kkspdnn.engines.fused.tiles import identity_permutation
from kkspdnn.engines.overflow_guard import LayerBound, safe_input
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import Floats
from kkspdnn.pk.launch_sequence import Launch, LaunchSequence
from kkspdnn.workunits import by_input

_MAX_TILES = 3
"""More rows than fit into this number of narrow tiles are faster in wide ones."""

_PAGE_BYTES = 4096

_DOT_SIZE = 8192
"""Elements of a dot product: longer ones make BLAS start threads of its own."""


class FewRows:
    """A network for a few dense rows."""

    def __init__(self, space: Space, layers: Sequence[Layer], ymax: Any) -> None:
        """Pack the layers, at least one, which have the dtype of the run.

        ymax: upper limit of the ReLU in this dtype, may be infinite
        """
        self._space, self._dtype = space, ymax.dtype
        self._inputs, self._outputs = layers[0].inputs, layers[-1].outputs
        bounds = [LayerBound.of(each, ymax) for each in layers]
        self._safe_square = safe_input(bounds, self._dtype) ** 2
        last = DenseLayer.last_of(layers, space.threads, ymax)
        listed = layers if last is None else layers[:-1]
        packed = [pack_by_input(each, space.threads, ymax) for each in listed]
        # Tuned tiles may have a few lanes.
        lanes = space.for_rows(1, self._dtype).launch.lanes(self._dtype)
        narrow = (each for each in (1, 2, 4, 8) if each < lanes)
        shapes = *((each, 1) for each in narrow), (lanes, _MAX_TILES)
        stages = [_Stage(space, packed, last, self._dtype, *shape) for shape in shapes]
        self._max_rows = lanes * _MAX_TILES
        self._stage_of = [
            next(each for each in stages if rows <= each.max_rows)
            for rows in range(self._max_rows + 1)
        ]

    def warm_up(self) -> None:
        """Launch each kernel of a run: any number of rows has the same."""
        self.run(np.zeros((1, self._inputs), self._dtype))

    def takes(self, rows: Any) -> bool:
        """Return whether `run` accepts these rows: an array of the right type and shape whose
        values are finite and so small that no activation overflows."""
        return (
            is_dense(rows, self._dtype, self._inputs)
            and rows.shape[0] <= self._max_rows
            # False if the sum is NaN.
            and bool(_sum_of_squares(rows) <= self._safe_square)
        )

    def run(self, x: Floats) -> Floats:
        """Return the activations after the last layer, a new array (rows, outputs).

        x: rows for which `takes` is true
        """
        rows = x.shape[0]
        out = np.empty((rows, self._outputs), self._dtype)
        self._stage_of[rows].run(x, out)
        return out


class _Stage:
    """Tiles of `lanes` rows, up to `capacity` tiles, and the launches over them."""

    def __init__(
        self,
        space: Space,
        layers: Sequence[InputLists],
        last: DenseLayer | None,
        dtype: np.dtype[Any],
        lanes: int,
        capacity: int,
    ) -> None:
        """last: the layer after those of `layers`, if it is dense"""
        self._space, self._layers, self._last, self._lanes = space, layers, last, lanes
        self.max_rows = lanes * capacity
        self._zero = dtype.type(0)
        self._input_width = -(-layers[0].inputs // space.threads)
        inputs, widest = layers[0].inputs, max(each.outputs for each in layers)
        self._x = space.empty((capacity, inputs, lanes), dtype)
        self._y = [space.empty((capacity, widest, lanes), dtype) for _ in range(2)]
        active = max(inputs, *(each.width * each.blocks for each in layers))
        self._active = [space.empty((capacity, active), np.int32) for _ in range(2)]
        blocks = max(space.threads, *(each.blocks for each in layers))
        self._count = [space.empty((capacity, blocks), np.int32) for _ in range(2)]
        row_bytes = lanes * dtype.itemsize
        page = max(1, _PAGE_BYTES // row_bytes)
        sums = -(-(max(each.width for each in layers) + 1) // page) * page
        teams = capacity * max(each.blocks for each in layers)
        self._sums = space.empty((teams, sums, lanes), dtype)
        if last is not None:
            self._last_sums = last.sums(space, self.max_rows)
        self._sequences: dict[int, LaunchSequence] = {}

    def run(self, x: Floats, out: Floats) -> None:
        """Compute the outputs of these rows."""
        rows = x.shape[0]
        count = -(-rows // self._lanes)
        sequence = self._sequences.get(count)
        if sequence is None:
            sequence = self._sequences[count] = self._sequence(count)
        sequence(self._space.pk, x, rows, out)

    def _sequence(self, count: int) -> LaunchSequence:
        """Return the launches for this number of tiles."""
        launches = [self._unpack(count), *self._compute(count), self._write(count)]
        return LaunchSequence("few_rows", launches, ("x", "rows", "out"))

    def _unpack(self, count: int) -> Launch:
        inputs, width = self._layers[0].inputs, self._input_width
        arguments = {
            "y": self._x,
            "zero": self._zero,
            "active": self._active[0],
            "count": self._count[0],
            "neurons": inputs,
            "width": width,
            "tiles": count,
            "lanes": self._lanes,
        }
        policy, changing = self._space.teams(-(-inputs // width)), {"x": "x", "rows": "rows"}
        return Launch("unpack_active", policy, by_input.unpack_active, arguments, changing)

    def _compute(self, count: int) -> list[Launch]:
        launches: list[Launch] = []
        x, width = self._x, self._input_width
        for number, layer in enumerate(self._layers):
            turn = number % 2
            y = self._y[turn]
            arguments = {
                **layer.arguments,
                "x": x,
                "y": y,
                "sums": self._sums,
                "active": self._active[turn],
                "count": self._count[turn],
                "next_active": self._active[1 - turn],
                "next_count": self._count[1 - turn],
                "tiles": count,
                "input_blocks": -(-layer.inputs // width),
                "input_width": width,
                "lanes": self._lanes,
            }
            policy = self._space.teams(layer.blocks * count)
            launches.append(Launch("fused_inputs", policy, by_input.fused_inputs, arguments, {}))
            x, width = y, layer.width
        return launches

    def _write(self, count: int) -> Launch:
        """Return the launch that writes the output rows, and computes the last layer if it is
        dense."""
        y = self._y[(len(self._layers) - 1) % 2]
        if self._last is not None:
            return self._last.launch(self._space, y, self._last_sums, count)
        permutation = identity_permutation(self._layers[-1].outputs)
        return pack_launch(self._space, y, permutation, count)


def packed_bytes(layers: Sequence[Layer], threads: int) -> int:
    """Return an upper limit of the bytes of the layers that `FewRows` packs. They have the dtype of
    the run."""
    if not has_dense_last_layer(layers, threads):
        return list_bytes(layers, threads)
    return list_bytes(layers[:-1], threads) + dense_bytes(layers[-1], threads)


def _sum_of_squares(rows: Floats) -> Any:
    """Return the sum of the squares of C-contiguous rows."""
    if rows.size <= _DOT_SIZE:
        return np.vdot(rows, rows)
    values = rows.reshape(-1)
    parts = (values[begin : begin + _DOT_SIZE] for begin in range(0, values.size, _DOT_SIZE))
    # The sum of Python's floats may overflow without a warning.
    return sum(float(np.vdot(part, part)) for part in parts)
