"""The fused engine: an `Engine` on tiles of input rows, with early exit of rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from kkspdnn.choices import Exits
from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.launch_parameters import MAX_LAYERS_A_LAUNCH
from kkspdnn.device.space import Space
from kkspdnn.engines.activation import upper_limit
from kkspdnn.engines.base import ProgressCallback
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.fused.buffers import Buffers, allocate_buffers, bytes_per_row, counts_bits
from kkspdnn.engines.fused.early_exit import EarlyExit, compute_early_exit
from kkspdnn.engines.fused.kernels import FusedKernels
from kkspdnn.engines.fused.layer import FusedLayer, group_layers
from kkspdnn.engines.fused.packing import pack_layer
from kkspdnn.engines.fused.recorded_run import RecordedFusedRun
from kkspdnn.engines.fused.schedule import FusedRun
from kkspdnn.engines.fused.warm_up import launch_all
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.overflow_guard import OverflowGuard
from kkspdnn.engines.partial_result import RowSelector
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.pk.runtime.launch_times import is_recording


class FusedEngine:
    """Runs a network on tiles of input rows; one launch computes product, bias and ReLU of one or
    more layers.

    A row is retired once its final output is proven: rows of zeros, which stay zeros under the
    challenge's bias, and under another one if no later layer changes that; rows of small values,
    which go to zero; and rows of large values, which saturate. `exit_bounds` are the proven bounds.
    """

    sparse = False
    epilogue = None

    def __init__(
        self, space: Space, dtype: np.dtype[Any], ymax: float | None, exits: Exits
    ) -> None:
        self.space = space
        self.dtype = dtype
        self.ymax = upper_limit(dtype, ymax)
        self.kernels = FusedKernels(space, dtype)
        self._run_kernels = self.kernels
        self.early_exit = EarlyExit(exits)
        self._buffers = Buffers()

    @property
    def exits(self) -> Exits:
        return self.early_exit.exits

    @property
    def exit_bounds(self) -> Sequence[ExitBounds]:
        return self.early_exit.bounds

    def pack_layer(self, layer: Layer, previous: FusedLayer | None) -> FusedLayer:
        return pack_layer(layer, previous, self.ymax, self.kernels.packing)

    def packed_bytes(self, layer: FusedLayer) -> int:
        return layer.packed_bytes

    def to_device(self, layer: FusedLayer, copy: ToDevice) -> FusedLayer:
        return layer.to_device(copy)

    def pack_network(self, layers: Iterable[FusedLayer]) -> list[FusedLayer]:
        return group_layers(layers, MAX_LAYERS_A_LAUNCH, self.space.to_device)

    def bytes_per_row(self, widest: int) -> int:
        return bytes_per_row(self.dtype, widest)

    def warm_up(self, layers: LayerStore, inputs: Inputs) -> None:
        samples = layers.samples()
        self.space.warm_up(lambda: launch_all(self.kernels, layers, samples, inputs, self.ymax))

    def compute_exit_bounds(self, layers: LayerStore, inputs: Inputs) -> None:
        counted = counts_bits(layers, inputs)
        self.early_exit = compute_early_exit(
            self.kernels, layers, self.early_exit, self.ymax, counted
        )

    def allocate(self, layers: LayerStore, inputs: Inputs) -> None:
        self._allocate(layers, inputs).prepare(inputs)

    def run(
        self,
        layers: LayerStore,
        inputs: Inputs,
        row_selector: RowSelector | None,
        on_progress: ProgressCallback,
        out: Any = None,
    ) -> FusedRun:
        """Return a run of all layers over all rows of `inputs`, as `Engine.run`.

        out: None; or zeros (input rows, outputs) in the memory of the space, into which the run
        writes the output of each row, and its partial results have neither rows nor values
        """
        buffers = self._allocate(layers, inputs)
        # With few rows, the space of the tiles has other launch parameters.
        tiles_space = buffers.stages[0].shape.space
        if self._run_kernels.space is not tiles_space:
            self._run_kernels = FusedKernels(tiles_space, self.dtype)
        run = RecordedFusedRun if is_recording() else FusedRun
        return run(
            kernels=self._run_kernels,
            layers=layers,
            early_exit=self.early_exit,
            ymax=self.ymax,
            overflow_guard=OverflowGuard(inputs, self.dtype),
            buffers=buffers,
            inputs=inputs,
            row_selector=row_selector,
            on_progress=on_progress,
            out=out,
        )

    def _allocate(self, layers: LayerStore, inputs: Inputs) -> Buffers:
        """Return the buffers of a run; those of the last call, if they fit."""
        self._buffers = allocate_buffers(
            self.space, self.dtype, layers, inputs, self.exits, self._buffers
        )
        return self._buffers
