"""The SpGEMM engine: SpGEMM, bias and ReLU as separate kernels on CSR activations, as in KK-SpDNN.

Ellis and Rajamanickam, "Scalable Inference for Sparse Deep Neural Networks using Kokkos Kernels",
HPEC 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from kkspdnn.choices import Exits
from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space
from kkspdnn.engines.activation import activation_arguments, upper_limit
from kkspdnn.engines.base import EngineRun, ProgressCallback, no_progress
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.overflow_guard import LayerBound, OverflowGuard
from kkspdnn.engines.partial_result import PartialResult, RowSelector, Schedule
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.workunits import bias, relu, spgemm

_ACCUMULATOR_BYTES = 1 << 30
"""Maximum bytes of all accumulators on a GPU, which has more threads than dense rows fit into
memory."""


@dataclass(frozen=True, eq=False)
class Csr:
    """A CSR matrix in the memory of the execution space.

    start: int64, rows + 1 offsets; index: uint32, columns; value: float32 or float64
    """

    columns: int
    start: Any
    index: Any
    value: Any

    @property
    def rows(self) -> int:
        return int(self.start.size) - 1

    @classmethod
    def from_scipy(cls, matrix: sp.csr_array) -> Csr:
        """Return a matrix with NumPy arrays."""
        index = matrix.indices.astype(np.uint32)
        return cls(matrix.shape[1], matrix.indptr.astype(np.int64), index, matrix.data)

    def to_device(self, copy: ToDevice) -> Csr:
        """Return this matrix with its arrays copied by `copy`."""
        return Csr(self.columns, copy(self.start), copy(self.index), copy(self.value))

    def to_scipy(self, space: Space) -> sp.csr_array:
        """Return this matrix as a SciPy array on the host."""
        value, index, start = (space.to_host(each) for each in (self.value, self.index, self.start))
        return sp.csr_array((value, index.astype(np.int64), start), shape=(self.rows, self.columns))


@dataclass(frozen=True, eq=False)
class SpgemmLayer:
    """A packed layer.

    weights: (inputs, outputs); bias: (outputs,)
    scalars: `low` and `ymax`, arguments of the workunits
    """

    outputs: int
    bound: LayerBound
    weights: Csr
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
    """Runs a network on CSR activations, with seven launches for each layer."""

    def __init__(self, space: Space, dtype: np.dtype[Any], ymax: float | None) -> None:
        self.space = space
        self.dtype = dtype
        self.exits: Exits = "none"
        self.exit_bounds: Sequence[ExitBounds] = ()
        self.in_csr = True
        self.ymax = upper_limit(dtype, ymax)

    def pack_layer(self, layer: Layer, previous: SpgemmLayer | None) -> SpgemmLayer:
        if not layer.keeps_zeros:
            raise InputError(
                "its bias makes activations of zeros, which SpGEMM does not store; "
                "use the fused kernel"
            )
        return SpgemmLayer(
            outputs=layer.outputs,
            bound=LayerBound.of(layer, self.ymax),
            weights=Csr.from_scipy(layer.weights()),
            bias=layer.bias,
            scalars=activation_arguments(layer, self.dtype, self.ymax),
        )

    def packed_bytes(self, layer: SpgemmLayer) -> int:
        w = layer.weights
        return int(w.start.nbytes + w.index.nbytes + w.value.nbytes + layer.bias.nbytes)

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

    def multiply(self, y: Csr, w: Csr) -> tuple[Csr, int]:
        """Return Z = Y W and the number of multiplications."""
        space, workers = self.space, self._workers(y.rows, w.columns)
        size = space.empty(y.rows, np.int64)
        stamp = space.zeros((workers, w.columns), np.int32)
        factors = {
            "ystart": y.start,
            "yindex": y.index,
            "wstart": w.start,
            "windex": w.index,
            "rows": y.rows,
            "workers": workers,
        }
        computed_edges = space.pk.parallel_reduce(
            "spgemm_symbolic",
            space.range(workers),
            spgemm.spgemm_symbolic,
            size=size,
            stamp=stamp,
            **factors,
        )
        start, index, value = self._allocate(size)
        stamp.fill(0)
        space.pk.parallel_for(
            "spgemm_numeric",
            space.range(workers),
            spgemm.spgemm_numeric,
            yvalue=y.value,
            wvalue=w.value,
            zstart=start,
            zindex=index,
            zvalue=value,
            stamp=stamp,
            accumulator=space.zeros((workers, w.columns), self.dtype),
            columns=w.columns,
            **factors,
        )
        return Csr(w.columns, start, index, value), int(computed_edges)

    def _workers(self, rows: int, columns: int) -> int:
        """Return the number of rows that are computed concurrently; each has an accumulator."""
        if not self.space.gpu:
            return self.space.threads
        accumulators = _ACCUMULATOR_BYTES // (columns * (4 + self.dtype.itemsize))
        return max(1, min(self.space.threads, rows, accumulators))

    def activate(self, z: Csr, layer: SpgemmLayer) -> Csr:
        """Return min(max(Z + b, low), ymax) without zeros. Adds the bias to Z in place."""
        space, rows = self.space, self.space.range(z.rows)
        space.pk.parallel_for(
            "add_bias",
            rows,
            bias.add_bias,
            start=z.start,
            index=z.index,
            value=z.value,
            bias=layer.bias,
        )
        size = space.empty(z.rows, np.int64)
        space.pk.parallel_for(
            "relu_symbolic",
            rows,
            relu.relu_symbolic,
            start=z.start,
            value=z.value,
            low=layer.scalars["low"],
            size=size,
        )
        start, index, value = self._allocate(size)
        space.pk.parallel_for(
            "relu_numeric",
            rows,
            relu.relu_numeric,
            zstart=z.start,
            zindex=z.index,
            zvalue=z.value,
            ystart=start,
            yindex=index,
            yvalue=value,
            **layer.scalars,
        )
        return Csr(z.columns, start, index, value)

    def _allocate(self, size: Any) -> tuple[Any, Any, Any]:
        """Return the offsets of CSR rows of these sizes, and uninitialised indices and values."""
        space = self.space
        start = space.zeros(size.size + 1, np.int64)
        total = space.pk.parallel_scan(
            "offsets", space.range(size.size), spgemm.offsets, size=size, start=start
        )
        return start, space.empty(int(total), np.uint32), space.empty(int(total), self.dtype)
