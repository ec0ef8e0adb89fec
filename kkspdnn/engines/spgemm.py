"""SpGEMM, bias and ReLU one after the other on CSR activations, as KK-SpDNN chains them.

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
from kkspdnn.engines.activation import activation, upper_limit
from kkspdnn.engines.base import EngineRun, ProgressCallback
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.overflow_guard import LayerBound, OverflowGuard
from kkspdnn.engines.partial_result import PartialResult, RowSelector, Schedule
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.workunits import bias, relu, spgemm

_DENSE_ROWS_BYTES = 1 << 30
"""The dense rows of all workers on a GPU, which has too many threads to give each one."""


@dataclass(frozen=True, eq=False)
class Csr:
    """A CSR matrix as the workunits take it, where they run: int64 offsets, uint32 columns."""

    columns: int
    start: Any
    index: Any
    value: Any

    @property
    def rows(self) -> int:
        return int(self.start.size) - 1

    @classmethod
    def from_scipy(cls, matrix: sp.csr_array) -> Csr:
        """With NumPy's arrays."""
        index = matrix.indices.astype(np.uint32)
        return cls(matrix.shape[1], matrix.indptr.astype(np.int64), index, matrix.data)

    def to_device(self, copy: ToDevice) -> Csr:
        """This matrix with its arrays copied by `copy`."""
        return Csr(self.columns, copy(self.start), copy(self.index), copy(self.value))

    def to_scipy(self, space: Space) -> sp.csr_array:
        value, index, start = (space.to_host(each) for each in (self.value, self.index, self.start))
        return sp.csr_array((value, index.astype(np.int64), start), shape=(self.rows, self.columns))


@dataclass(frozen=True, eq=False)
class SpgemmLayer:
    """W as CSR (inputs, outputs), the bias, and the activation as the workunits take it."""

    outputs: int
    growth: LayerBound
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
    """CSR activations, six launches a layer."""

    def __init__(self, space: Space, dtype: np.dtype[Any], ymax: float | None) -> None:
        self.space = space
        self.dtype = dtype
        self.exits: Exits = "none"
        self.ends: Sequence[ExitBounds] = ()
        self.in_csr = True
        self.ymax = upper_limit(dtype, ymax)

    def prepare(self, layer: Layer, before: SpgemmLayer | None) -> SpgemmLayer:
        if not layer.keeps_zeros:
            raise InputError(
                "its bias makes activations of zeros, which SpGEMM does not store; "
                "use the fused kernel"
            )
        return SpgemmLayer(
            outputs=layer.outputs,
            growth=LayerBound.of(layer, self.ymax),
            weights=Csr.from_scipy(layer.weights()),
            bias=layer.bias,
            scalars=activation(layer, self.dtype, self.ymax),
        )

    def size(self, layer: SpgemmLayer) -> int:
        w = layer.weights
        return int(w.start.nbytes + w.index.nbytes + w.value.nbytes + layer.bias.nbytes)

    def to_device(self, layer: SpgemmLayer, copy: ToDevice) -> SpgemmLayer:
        return replace(layer, weights=layer.weights.to_device(copy), bias=copy(layer.bias))

    def arrange(self, layers: Iterable[SpgemmLayer]) -> list[SpgemmLayer]:
        return [self.to_device(layer, self.space.to_device) for layer in layers]

    def bytes_per_row(self, widest: int) -> int:
        # Y, Z and the next Y at once, should every entry be nonzero.
        return 3 * (widest * (4 + self.dtype.itemsize) + 16)

    def warm_up(self, layers: LayerStore, inputs: Inputs) -> None:
        few = inputs.slice(0, min(inputs.rows, 1))
        first = layers[:1]
        sizes = OverflowGuard(few, self.dtype)
        self.space.warm_up(lambda: self._run(first, few, sizes, lambda _: None))

    def compute_exit_bounds(self, layers: LayerStore, inputs: Inputs) -> None:
        pass

    def allocate(self, layers: LayerStore, inputs: Inputs) -> None:
        """Nothing: how many nonzeros there will be is known only layer by layer."""

    def run(
        self,
        layers: LayerStore,
        inputs: Inputs,
        wanted: RowSelector | None,
        report: ProgressCallback,
    ) -> EngineRun:
        return _Run(self._results(layers, inputs, wanted, report))

    def _results(
        self,
        layers: LayerStore,
        inputs: Inputs,
        wanted: RowSelector | None,
        report: ProgressCallback,
    ) -> Iterator[PartialResult]:
        sizes = OverflowGuard(inputs, self.dtype)
        for first, part in inputs.chunks(layers.rows):
            y, computed_edges = self._run(layers, part, sizes, report)
            rows = np.flatnonzero(np.diff(self.space.to_host(y.start))).astype(np.int64)
            if wanted is None:
                yield PartialResult(rows + first, None, computed_edges)
            else:
                valued = rows[wanted(rows + first)]
                yield PartialResult(
                    rows + first, y.to_scipy(self.space)[valued], computed_edges, valued + first
                )

    def _run(
        self,
        layers: Iterable[SpgemmLayer],
        inputs: Inputs,
        sizes: OverflowGuard,
        report: ProgressCallback,
    ) -> tuple[Csr, int]:
        y = Csr.from_scipy(inputs.to_csr(self.dtype)).to_device(self.space.to_device)
        computed_edges = 0
        for position, layer in enumerate(layers):
            if y.rows:
                z, done = self.multiply(y, layer.weights)
                computed_edges += done
                y = self.activate(z, layer)
                if sizes.may_overflow(position, layer.growth):
                    # What is no number, or not above `low`, is dropped, so that Z is looked at too.
                    low = layer.scalars["low"]
                    lost = (z.value != z.value) | ((z.value == low) & (low != 0))
                    sizes.check(z.value[lost], position)
                    sizes.check(y.value, position)
            else:
                y = Csr(layer.outputs, y.start, y.index, y.value)
            report(inputs.rows)
        return y, computed_edges

    def multiply(self, y: Csr, w: Csr) -> tuple[Csr, int]:
        """Z = Y W, and how many multiplications that took."""
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
        start, index, value = self._empty(size)
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
        """How many rows to compute at a time: each takes a dense row of memory."""
        if not self.space.gpu:
            return self.space.threads
        room = _DENSE_ROWS_BYTES // (columns * (4 + self.dtype.itemsize))
        return max(1, min(self.space.threads, rows, room))

    def activate(self, z: Csr, layer: SpgemmLayer) -> Csr:
        """min(max(Z + b, low), ymax) without its zeros; Z is changed."""
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
        start, index, value = self._empty(size)
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

    def _empty(self, size: Any) -> tuple[Any, Any, Any]:
        """Offsets for rows of these sizes, and room for their entries."""
        space = self.space
        start = space.zeros(size.size + 1, np.int64)
        total = space.pk.parallel_scan(
            "offsets", space.range(size.size), spgemm.offsets, size=size, start=start
        )
        return start, space.empty(int(total), np.uint32), space.empty(int(total), self.dtype)
