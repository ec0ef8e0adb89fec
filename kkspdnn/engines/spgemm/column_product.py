"""The product of activations by columns with the weights of a layer, on a CPU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.aligned import aligned_empty
from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space
from kkspdnn.engines.spgemm.columns import ColumnMemory, Columns
from kkspdnn.engines.spgemm.layer import SpgemmLayer
from kkspdnn.engines.spgemm.output_order import order_outputs
from kkspdnn.model.layers import Layer, edges_by_input, index_dtype
from kkspdnn.workunits import spgemm


@dataclass(frozen=True, eq=False)
class WeightsByInput:
    """W as CSR.

    start: int64, inputs + 1 offsets; index: uint16 or uint32, output neurons, ascending for an
    input; value: float32 or float64
    """

    start: Any
    index: Any
    value: Any


@dataclass(frozen=True, eq=False)
class ColumnWeights:
    """W by output neuron, as in the network.

    start: int64, outputs + 1 offsets; index: uint16 or uint32, input neurons, ascending for an
    output; value: float32 or float64
    order: uint32, the outputs in the order of their computation
    out_degree: int64, the edges of each input neuron
    longest: the largest number of edges of an output neuron
    """

    longest: int
    start: Any
    index: Any
    value: Any
    order: Any
    out_degree: Any

    @classmethod
    def of(cls, layer: Layer) -> ColumnWeights:
        """Return the weights of a layer, with NumPy arrays."""
        longest = int(np.diff(layer.start).max())
        order = order_outputs(layer).astype(np.uint32)
        out_degree = np.bincount(layer.index, minlength=layer.inputs)
        return cls(longest, layer.start, layer.index, layer.value, order, out_degree)

    def copy_by_input(self) -> WeightsByInput:
        """Return a copy by input neuron."""
        w = edges_by_input(self.start, self.index, self.value, self.out_degree.size)
        index = w.indices.astype(index_dtype(w.shape[1]))
        return WeightsByInput(w.indptr.astype(np.int64), index, w.data)

    @property
    def nbytes(self) -> int:
        return sum(int(each.nbytes) for each in self._arrays)

    def to_device(self, copy: ToDevice) -> ColumnWeights:
        return ColumnWeights(self.longest, *(copy(each) for each in self._arrays))

    @property
    def _arrays(self) -> tuple[Any, ...]:
        return self.start, self.index, self.value, self.order, self.out_degree


@dataclass(frozen=True, eq=False)
class _WorkRows:
    """Work rows of each team of a product; see `spgemm.multiply`."""

    accumulator: Any
    touched: Any
    edge_place: Any
    edge_count: Any
    edge_weight: Any

    @classmethod
    def allocate(cls, teams: int, size: int, edges: int, dtype: np.dtype[Any]) -> _WorkRows:
        """size: rows of a batch; edges: maximum number of edges of an output neuron"""
        accumulator = aligned_empty((teams, size), dtype)
        accumulator.fill(0)
        return cls(
            accumulator=accumulator,
            # np.zeros would leave the first touch of the memory to the product.
            touched=np.full((teams, size + 1), 0, np.uint16),
            edge_place=np.empty((teams, edges + 1), np.int32),
            edge_count=np.empty((teams, edges + 1), np.int32),
            edge_weight=np.empty((teams, edges + 1), dtype),
        )

    def fits(self, size: int, edges: int) -> bool:
        return bool(self.accumulator.shape[1] >= size and self.edge_place.shape[1] > edges)


@dataclass(eq=False)
class ColumnProduct:
    """Computes products with bias and ReLU, in memory that is kept from layer to layer."""

    space: Space
    dtype: np.dtype[Any]
    memory: ColumnMemory
    _work_rows: _WorkRows | None = None

    def compute(
        self, y: Columns, layer: SpgemmLayer, bias: Any, limits: dict[str, Any]
    ) -> tuple[Columns, int]:
        """Return min(max(Y W + bias, low), ymax) and the number of multiplications.

        limits: `low` and `ymax`
        """
        product = self._multiply_dense if y.grouping.all_dense else self._multiply
        weights, blocks = layer.weights, y.grouping.blocks
        arguments = {
            "wstart": weights.start,
            "windex": weights.index,
            "wvalue": weights.value,
            "order": weights.order,
            "bias": bias,
            "batch_rows": y.batch_rows,
            "zero": self.dtype.type(0),
            "inputs": layer.inputs,
            "outputs": layer.outputs,
            "blocks": blocks,
            "width": -(-layer.outputs // blocks),
            **limits,
        }
        return product(y, self.memory.allocate(y.grouping, layer.outputs), weights, arguments)

    def _multiply(
        self, y: Columns, z: Columns, weights: ColumnWeights, arguments: dict[str, Any]
    ) -> tuple[Columns, int]:
        grouping, teams = y.grouping, self.space.threads
        work = self.allocate_work_rows(grouping.size, weights.longest)
        multiplications = np.empty(grouping.items, np.int64)
        self.space.pk.parallel_for(
            "multiply",
            self.space.row_teams(teams, 1, 1),
            spgemm.multiply,
            first_item=share_work(y.work, teams),
            multiplications=multiplications,
            accumulator=work.accumulator,
            touched=work.touched,
            edge_place=work.edge_place,
            edge_count=work.edge_count,
            edge_weight=work.edge_weight,
            sparse_limit=grouping.sparse_limit,
            ycapacity=y.batch_capacity,
            zcapacity=z.capacity,
            **{f"y{name}": array for name, array in y.storage().items()},
            **{f"z{name}": array for name, array in z.storage().items()},
            **arguments,
        )
        return replace(z, work=multiplications), int(multiplications.sum())

    def _multiply_dense(
        self, y: Columns, z: Columns, weights: ColumnWeights, arguments: dict[str, Any]
    ) -> tuple[Columns, int]:
        multiplications, nonzeros = np.empty((2, y.grouping.items), np.int64)
        self.space.pk.parallel_for(
            "multiply_dense",
            self.space.row_teams(y.grouping.items, 1, 1),
            spgemm.multiply_dense,
            multiplications=multiplications,
            nonzeros=nonzeros,
            out_degree=weights.out_degree,
            ycount=y.count,
            ydense=y.dense,
            zcount=z.count,
            zplace=z.place,
            zdense=z.dense,
            **arguments,
        )
        return replace(z, known_nonzeros=int(nonzeros.sum())), int(multiplications.sum())

    def allocate_work_rows(self, size: int, edges: int) -> _WorkRows:
        """Return work rows, those of the last call if they fit."""
        work = self._work_rows
        if work is None or not work.fits(size, edges):
            work = self._work_rows = _WorkRows.allocate(self.space.threads, size, edges, self.dtype)
        return work


def share_work(work: NDArray[Any], teams: int) -> NDArray[np.int32]:
    """Return the first work item of each team, and the number of items: consecutive items of about
    the same work in total.

    work: estimate for each item
    """
    # Each item has some work of its own, also without products.
    ends = np.cumsum(work + work.mean() / 16 + 1)
    targets = ends[-1] * np.arange(1, teams) / teams
    middles = ends - (ends - np.append(0, ends[:-1])) / 2
    inner = np.searchsorted(middles, targets)
    return np.concatenate(([0], inner, [work.size])).astype(np.int32)
