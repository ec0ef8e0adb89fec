"""The SpGEMM engine: SpGEMM, bias and ReLU as separate kernels on CSR activations, as in KK-SpDNN.

Ellis and Rajamanickam, "Scalable Inference for Sparse Deep Neural Networks using Kokkos Kernels",
HPEC 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kkspdnn.choices import Exits
from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space
from kkspdnn.engines.activation import activation_arguments, upper_limit
from kkspdnn.engines.base import EngineRun, ProgressCallback, no_progress
from kkspdnn.engines.csr import Csr
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.overflow_guard import LayerBound, OverflowGuard
from kkspdnn.engines.partial_result import PartialResult, RowSelector, Schedule
from kkspdnn.engines.spgemm_kernels import SpgemmKernels, ThreadKernels
from kkspdnn.engines.spgemm_team_kernels import TeamKernels
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.workunits import spgemm


@dataclass(frozen=True, eq=False)
class SpgemmLayer:
    """A packed layer.

    weights: (inputs, outputs), in the form of the kernels; bias: (outputs,)
    scalars: `low` and `ymax`, arguments of the workunits
    """

    outputs: int
    bound: LayerBound
    weights: Any
    bias: Any
    scalars: dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Run:
    """A run that computes layer after layer, which is the only schedule of this engine."""

    results: Iterator[PartialResult]
    schedule: Schedule = field(default_factory=Schedule)

    def __iter__(self) -> Iterator[PartialResult]:
        return self.results


class SpgemmEngine:
    """Runs a network on CSR activations, with separate launches for SpGEMM, bias and ReLU."""

    def __init__(self, space: Space, dtype: np.dtype[Any], ymax: float | None) -> None:
        self.space = space
        self.dtype = dtype
        self.exits: Exits = "none"
        self.exit_bounds: Sequence[ExitBounds] = ()
        self.in_csr = True
        self.ymax = upper_limit(dtype, ymax)
        self.kernels: SpgemmKernels = TeamKernels(space) if space.gpu else ThreadKernels(space)

    def pack_layer(self, layer: Layer, previous: SpgemmLayer | None) -> SpgemmLayer:
        if not layer.keeps_zeros:
            raise InputError(
                "its bias makes activations of zeros, which SpGEMM does not store; "
                "use the fused kernel"
            )
        return SpgemmLayer(
            outputs=layer.outputs,
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
        # Y, Z and the next Y at a time, without zeros.
        return 3 * (widest * (4 + self.dtype.itemsize) + 16)

    def warm_up(self, layers: LayerStore, inputs: Inputs) -> None:
        few = inputs.slice(0, min(inputs.rows, 1))
        first = layers[:1]
        guard = OverflowGuard(few, self.dtype)
        self.space.warm_up(lambda: self._compute(first, few, guard, no_progress))

    def compute_exit_bounds(self, layers: LayerStore, inputs: Inputs) -> None:
        """Do nothing: this engine has no early exit."""

    def allocate(self, layers: LayerStore, inputs: Inputs) -> None:
        """Do nothing: the number of nonzeros is not known before a layer is computed."""

    def run(
        self,
        layers: LayerStore,
        inputs: Inputs,
        row_selector: RowSelector | None,
        on_progress: ProgressCallback,
    ) -> EngineRun:
        return _Run(self._results(layers, inputs, row_selector, on_progress))

    def _results(
        self,
        layers: LayerStore,
        inputs: Inputs,
        row_selector: RowSelector | None,
        on_progress: ProgressCallback,
    ) -> Iterator[PartialResult]:
        guard = OverflowGuard(inputs, self.dtype)
        for first, chunk in inputs.chunks(layers.max_rows):
            y, computed_edges = self._compute(layers, chunk, guard, on_progress)
            rows = np.flatnonzero(np.diff(self.space.to_host(y.start))).astype(np.int64)
            if row_selector is None:
                yield PartialResult(rows + first, None, computed_edges)
            else:
                selected = rows[row_selector(rows + first)]
                values = y.to_scipy(self.space)[selected]
                yield PartialResult(rows + first, values, computed_edges, selected + first)

    def _compute(
        self,
        layers: Iterable[SpgemmLayer],
        inputs: Inputs,
        guard: OverflowGuard,
        on_progress: ProgressCallback,
    ) -> tuple[Csr, int]:
        """Return the activations after the last layer, and the number of multiplications."""
        y = Csr.from_scipy(inputs.to_csr(self.dtype)).to_device(self.space.to_device)
        computed_edges = 0
        for position, layer in enumerate(layers):
            if y.rows:
                z, multiplications = self.multiply(y, layer.weights)
                computed_edges += multiplications
                y = self.activate(z, layer)
                if guard.may_overflow(position, layer.bound):
                    # The ReLU drops NaN and -inf, so check Z for both.
                    low = layer.scalars["low"]
                    dropped = (z.value != z.value) | ((z.value == low) & (low != 0))
                    guard.check(z.value[dropped], position)
                    guard.check(y.value, position)
            else:
                y = Csr(layer.outputs, y.start, y.index, y.value)
            on_progress(inputs.rows)
        return y, computed_edges

    def multiply(self, y: Csr, w: Any) -> tuple[Csr, int]:
        """Return Z = Y W and the number of multiplications.

        w: the weights of a packed layer
        """
        product = self.kernels.product(y, w)
        size, computed_edges = product.symbolic()
        start, index, value = self._allocate(size)
        z = Csr(w.columns, start, index, value)
        product.numeric(z)
        return z, computed_edges

    def activate(self, z: Csr, layer: SpgemmLayer) -> Csr:
        """Return min(max(Z + b, low), ymax) without zeros. Adds the bias to Z in place."""
        self.kernels.add_bias(z, layer.bias)
        size = self.space.empty(z.rows, np.int64)
        self.kernels.relu_symbolic(z, layer.scalars["low"], size)
        y = Csr(z.columns, *self._allocate(size))
        self.kernels.relu_numeric(z, y, layer.scalars)
        return y

    def _allocate(self, size: Any) -> tuple[Any, Any, Any]:
        """Return the offsets of CSR rows of these sizes, and uninitialised indices and values."""
        space = self.space
        start = space.zeros(size.size + 1, np.int64)
        total = space.pk.parallel_scan(
            "offsets", space.range(size.size), spgemm.offsets, size=size, start=start
        )
        return start, space.empty(int(total), np.uint32), space.empty(int(total), self.dtype)
