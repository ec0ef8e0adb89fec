"""SpGEMM, bias and ReLU one after the other on CSR activations, as KK-SpDNN chains them.

Ellis and Rajamanickam, "Scalable Inference for Sparse Deep Neural Networks using Kokkos Kernels",
HPEC 2019.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.engines.base import Exits, Growth, Range, Report, upper_limit
from kkspdnn.engines.outcome import Order, Outcome, Wanted
from kkspdnn.inputs import Inputs
from kkspdnn.network import Layer
from kkspdnn.spaces import Space
from workunits import bias, relu, spgemm

if TYPE_CHECKING:
    from kkspdnn.engines.prepared import PreparedLayers


@dataclass(frozen=True, eq=False)
class Csr:
    """A CSR matrix as the workunits take it: int64 offsets, uint32 columns."""

    columns: int
    start: NDArray[np.int64]
    index: NDArray[np.uint32]
    value: NDArray[Any]

    @property
    def rows(self) -> int:
        return int(self.start.size) - 1

    @classmethod
    def from_scipy(cls, matrix: sp.csr_array) -> Csr:
        return cls(
            matrix.shape[1],
            matrix.indptr.astype(np.int64),
            matrix.indices.astype(np.uint32),
            matrix.data,
        )

    def to_scipy(self) -> sp.csr_array:
        return sp.csr_array(
            (self.value, self.index.astype(np.int64), self.start), shape=(self.rows, self.columns)
        )


@dataclass(frozen=True, eq=False)
class SpgemmLayer:
    """W as CSR (inputs, outputs), and the bias."""

    outputs: int
    growth: Growth
    weights: Csr
    bias: NDArray[Any]


class SpgemmEngine:
    """CSR activations, six launches a layer."""

    def __init__(self, space: Space, dtype: np.dtype[Any], ymax: float | None) -> None:
        self.space = space
        self.dtype = dtype
        self.exits: Exits = "none"
        self.order = Order()
        self.ymax = upper_limit(dtype, ymax)
        self.limit = ymax
        self.workers = space.threads

    def prepare(self, layer: Layer, before: SpgemmLayer | None) -> SpgemmLayer:
        weights = Csr.from_scipy(layer.weights())
        return SpgemmLayer(layer.outputs, Growth.of(layer), weights, layer.bias)

    def size(self, layer: SpgemmLayer) -> int:
        w = layer.weights
        return int(w.start.nbytes + w.index.nbytes + w.value.nbytes + layer.bias.nbytes)

    def arrange(self, layers: Iterable[SpgemmLayer]) -> list[SpgemmLayer]:
        return list(layers)

    def bytes_per_row(self, widest: int) -> int:
        # Y, Z and the next Y at once, should every entry be nonzero.
        return 3 * (widest * (4 + self.dtype.itemsize) + 16)

    def warm_up(self, layers: PreparedLayers, inputs: Inputs) -> None:
        few = inputs.slice(0, min(inputs.rows, 1))
        first = layers[:1]
        sizes = Range(few, self.dtype, self.limit)
        self.space.warm_up(lambda: self._run(first, few, sizes, lambda _: None))

    def prove(self, layers: PreparedLayers) -> None:
        pass

    def run(
        self, layers: PreparedLayers, inputs: Inputs, wanted: Wanted | None, report: Report
    ) -> Iterator[Outcome]:
        sizes = Range(inputs, self.dtype, self.limit)
        for first, part in inputs.parts(layers.rows):
            y, multiplied = self._run(layers, part, sizes, report)
            rows = np.flatnonzero(np.diff(y.start)).astype(np.int64)
            if wanted is None:
                yield Outcome(rows + first, None, multiplied)
            else:
                valued = rows[wanted(rows + first)]
                yield Outcome(rows + first, y.to_scipy()[valued], multiplied, valued + first)

    def _run(
        self, layers: Iterable[SpgemmLayer], inputs: Inputs, sizes: Range, report: Report
    ) -> tuple[Csr, int]:
        y = Csr.from_scipy(inputs.to_csr(self.dtype))
        multiplied = 0
        for position, layer in enumerate(layers):
            if y.rows:
                z, done = self.multiply(y, layer.weights)
                multiplied += done
                y = self.activate(z, layer.bias)
                if sizes.may_overflow(position, layer.growth):
                    # The ReLU drops NaN, so that Z is looked at as well.
                    sizes.check(z.value[np.isnan(z.value)], position)
                    sizes.check(y.value, position)
            else:
                y = Csr(layer.outputs, y.start, y.index, y.value)
            report(inputs.rows)
        return y, multiplied

    def multiply(self, y: Csr, w: Csr) -> tuple[Csr, int]:
        """Z = Y W, and how many multiplications that took."""
        space, workers = self.space, self.workers
        size = np.empty(y.rows, np.int64)
        stamp = np.zeros((workers, w.columns), np.int32)
        factors = {
            "ystart": y.start,
            "yindex": y.index,
            "wstart": w.start,
            "windex": w.index,
            "rows": y.rows,
            "workers": workers,
        }
        multiplied = space.pk.parallel_reduce(
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
            accumulator=np.zeros((workers, w.columns), self.dtype),
            columns=w.columns,
            **factors,
        )
        return Csr(w.columns, start, index, value), int(multiplied)

    def activate(self, z: Csr, layer_bias: NDArray[Any]) -> Csr:
        """min(max(Z + b, 0), ymax) without its zeros; Z is changed."""
        space, rows = self.space, self.space.range(z.rows)
        space.pk.parallel_for(
            "add_bias",
            rows,
            bias.add_bias,
            start=z.start,
            index=z.index,
            value=z.value,
            bias=layer_bias,
        )
        size = np.empty(z.rows, np.int64)
        space.pk.parallel_for(
            "relu_symbolic", rows, relu.relu_symbolic, start=z.start, value=z.value, size=size
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
            ymax=self.ymax,
        )
        return Csr(z.columns, start, index, value)

    def _empty(
        self, size: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32], NDArray[Any]]:
        """Offsets for rows of these sizes, and room for their entries."""
        start = np.zeros(size.size + 1, np.int64)
        total = self.space.pk.parallel_scan(
            "offsets", self.space.range(size.size), spgemm.offsets, size=size, start=start
        )
        return start, np.empty(int(total), np.uint32), np.empty(int(total), self.dtype)
