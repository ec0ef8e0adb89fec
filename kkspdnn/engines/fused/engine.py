"""Fused layers on tiles of input rows; rows whose end is known leave, and tiles stay full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kkspdnn.choices import Exits
from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space
from kkspdnn.engines.activation import upper_limit
from kkspdnn.engines.base import ProgressCallback
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.fused.buffers import Buffers, bytes_per_row, counts_inputs, find_buffers
from kkspdnn.engines.fused.early_exit import EarlyExit, find_early_exit
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.layer import MOST_DEPTH, FusedLayer, prepared, stacked
from kkspdnn.engines.fused.schedule import FusedRun
from kkspdnn.engines.fused.warm_up import launch_all
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.overflow_guard import OverflowGuard
from kkspdnn.engines.partial_result import RowSelector
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer


class FusedEngine:
    """Tiles `a[tile][side * widest + neuron][lane]`, one or more layers a launch.

    Rows leave whose end is known: rows of zeros, which stay so under the challenge's bias and under
    an ordinary one once no later layer wakes them; and those that provably end as zeros or at ymax
    because their values are small or large enough, see `ends`.
    """

    in_csr = False

    def __init__(
        self, space: Space, dtype: np.dtype[Any], ymax: float | None, exits: Exits
    ) -> None:
        self.space = space
        self.dtype = dtype
        self.ymax = upper_limit(dtype, ymax)
        self.kernels = FusedKernels(space, dtype)
        self.early_exit = EarlyExit(exits)
        self._buffers = Buffers()

    @property
    def exits(self) -> Exits:
        return self.early_exit.exits

    @property
    def ends(self) -> Sequence[ExitBounds]:
        return self.early_exit.ends

    def prepare(self, layer: Layer, before: FusedLayer | None) -> FusedLayer:
        return prepared(layer, before, self.ymax)

    def size(self, layer: FusedLayer) -> int:
        return layer.size

    def to_device(self, layer: FusedLayer, copy: ToDevice) -> FusedLayer:
        return layer.to_device(copy)

    def arrange(self, layers: Iterable[FusedLayer]) -> list[FusedLayer]:
        return stacked(layers, MOST_DEPTH, self.space.to_device)

    def bytes_per_row(self, widest: int) -> int:
        return bytes_per_row(self.dtype, widest)

    def warm_up(self, layers: LayerStore, inputs: Inputs) -> None:
        samples = layers.sample()
        self.space.warm_up(lambda: launch_all(self.kernels, layers, samples, inputs, self.ymax))

    def compute_exit_bounds(self, layers: LayerStore, inputs: Inputs) -> None:
        counted = counts_inputs(layers, inputs)
        self.early_exit = find_early_exit(self.kernels, layers, self.early_exit, self.ymax, counted)

    def allocate(self, layers: LayerStore, inputs: Inputs) -> None:
        self._find_buffers(layers, inputs).first_touch(inputs.rows)

    def run(
        self,
        layers: LayerStore,
        inputs: Inputs,
        wanted: RowSelector | None,
        report: ProgressCallback,
        into: Any = None,
    ) -> FusedRun:
        """As of every engine; into: zeros (input rows, outputs) where the workunits run, for the
        activations of all rows; the outcomes then have neither rows nor values."""
        return FusedRun(
            kernels=self.kernels,
            layers=layers,
            early_exit=self.early_exit,
            ymax=self.ymax,
            sizes=OverflowGuard(inputs, self.dtype),
            buffers=self._find_buffers(layers, inputs),
            inputs=inputs,
            wanted=wanted,
            report=report,
            into=into,
        )

    def _find_buffers(self, layers: LayerStore, inputs: Inputs) -> Buffers:
        self._buffers = find_buffers(
            self.space, self.dtype, layers, inputs, self.exits, self._buffers
        )
        return self._buffers
