"""The SpGEMM engine: an `Engine` on sparse activations, with early exit of rows.

Ellis and Rajamanickam, "Scalable Inference for Sparse Deep Neural Networks using Kokkos Kernels",
HPEC 2019, chain SpGEMM, bias and ReLU in this way.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kkspdnn.choices import Epilogue, Exits
from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space
from kkspdnn.engines.activation import activation_arguments, upper_limit
from kkspdnn.engines.base import ProgressCallback
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.overflow_guard import LayerBound
from kkspdnn.engines.partial_result import RowSelector
from kkspdnn.engines.spgemm.column_kernels import ColumnKernels
from kkspdnn.engines.spgemm.csr import Csr
from kkspdnn.engines.spgemm.early_exit import bound_rows
from kkspdnn.engines.spgemm.kernels import SpgemmKernels
from kkspdnn.engines.spgemm.layer import SpgemmLayer
from kkspdnn.engines.spgemm.recorded_run import RecordedSpgemmRun
from kkspdnn.engines.spgemm.run import SpgemmRun, chunk_rows
from kkspdnn.engines.spgemm.team_kernels import TeamKernels
from kkspdnn.engines.spgemm.warm_up import launch_all, one_of_each_form
from kkspdnn.engines.uniform_layers import common_value, uniform_signature
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.pk.runtime.launch_times import is_recording


class SpgemmEngine:
    """Runs a network on sparse activations, one layer after the other.

    epilogue: fused, one workunit computes product, bias and ReLU; or separate, each has its own
    """

    sparse = True

    def __init__(
        self,
        space: Space,
        dtype: np.dtype[Any],
        ymax: float | None,
        exits: Exits,
        epilogue: Epilogue = "fused",
    ) -> None:
        self.space = space
        self.dtype = dtype
        self.ymax = upper_limit(dtype, ymax)
        self.exits = exits
        self.exit_bounds: Sequence[ExitBounds] = ()
        self.kernels: SpgemmKernels = (
            TeamKernels(space) if space.gpu else ColumnKernels(space, dtype)
        )
        self.epilogue: Epilogue = epilogue

    def pack_layer(self, layer: Layer, previous: SpgemmLayer | None) -> SpgemmLayer:
        if not layer.keeps_zeros:
            raise InputError(
                "its bias makes activations of zeros, which SpGEMM does not store; "
                "use the fused kernel"
            )
        return SpgemmLayer(
            inputs=layer.inputs,
            outputs=layer.outputs,
            fan_in=layer.edges / layer.outputs,
            uniform_signature=uniform_signature(layer, common_value(layer.value)),
            bound=LayerBound.of(layer, self.ymax),
            weights=self.kernels.pack(layer),
            bias=layer.bias,
            scalars=activation_arguments(layer, self.dtype, self.ymax),
        )

    def packed_bytes(self, layer: SpgemmLayer) -> int:
        return int(layer.weights.nbytes + layer.bias.nbytes)

    def to_device(self, layer: SpgemmLayer, copy: ToDevice) -> SpgemmLayer:
        return replace(layer, weights=layer.weights.to_device(copy), bias=copy(layer.bias))

    def pack_network(self, layers: Iterable[SpgemmLayer]) -> list[SpgemmLayer]:
        return [self.to_device(layer, self.space.to_device) for layer in layers]

    def bytes_per_row(self, widest: int) -> int:
        # Y, Z and the next Y on a GPU; on a CPU Y, the next Y, and one of them as CSR.
        return 3 * (widest * (4 + self.dtype.itemsize) + 16)

    def warm_up(self, layers: LayerStore, inputs: Inputs) -> None:
        few = inputs.slice(0, min(inputs.rows, 1))
        samples = one_of_each_form(layers.samples())
        rows = chunk_rows(self.kernels, layers, inputs)
        self.kernels.copy_weights(inputs, rows, samples, sys.maxsize)

        def launch_each() -> None:
            csr = Csr.from_inputs(few, self.dtype, self.space)
            launch_all(self.kernels, samples, inputs, csr, self.epilogue)

        self.space.warm_up(launch_each)

    def compute_exit_bounds(self, layers: LayerStore, inputs: Inputs) -> None:
        self.exits, self.exit_bounds = bound_rows(
            self.exits, layers, self.space, self.kernels, self.ymax
        )

    def allocate(self, layers: LayerStore, inputs: Inputs) -> None:
        rows = chunk_rows(self.kernels, layers, inputs)
        # A quarter of the memory for activations.
        spare = layers.max_rows * self.bytes_per_row(layers.widest) // 4
        self.kernels.copy_weights(inputs, rows, layers[: layers.resident], spare)
        self.kernels.allocate(inputs, rows)

    def run(
        self,
        layers: LayerStore,
        inputs: Inputs,
        row_selector: RowSelector | None,
        on_progress: ProgressCallback,
    ) -> SpgemmRun:
        run = RecordedSpgemmRun if is_recording() else SpgemmRun
        return run(
            space=self.space,
            kernels=self.kernels,
            epilogue=self.epilogue,
            dtype=self.dtype,
            layers=layers,
            exits=self.exits,
            exit_bounds=self.exit_bounds,
            ymax=self.ymax,
            inputs=inputs,
            row_selector=row_selector,
            on_progress=on_progress,
        )
