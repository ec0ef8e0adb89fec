"""The launches of the SpGEMM engine on a CPU, where activations are stored by columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space
from kkspdnn.engines.spgemm.columns import (
    ColumnMemory,
    Columns,
    Grouping,
    is_dense,
)
from kkspdnn.engines.spgemm.csr import Csr, allocate_csr
from kkspdnn.engines.spgemm.layer import SpgemmLayer
from kkspdnn.engines.spgemm.output_order import order_outputs
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import Floats
from kkspdnn.workunits import bias, columns, relu, spgemm


@dataclass(frozen=True, eq=False)
class ColumnWeights:
    """W by output neuron, as in the network.

    start: int64, outputs + 1 offsets; index: uint16 or uint32, input neurons, ascending for an
    output; value: float32 or float64
    order: uint32, the outputs in the order of their computation
    longest: the largest number of edges of an output neuron
    """

    longest: int
    start: Any
    index: Any
    value: Any
    order: Any

    @property
    def nbytes(self) -> int:
        arrays = (self.start, self.index, self.value, self.order)
        return sum(int(each.nbytes) for each in arrays)

    def to_device(self, copy: ToDevice) -> ColumnWeights:
        arrays = (self.start, self.index, self.value, self.order)
        return ColumnWeights(self.longest, *(copy(each) for each in arrays))


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
        return cls(
            # np.zeros would leave the first touch of the memory to the product.
            accumulator=np.full((teams, size), 0, dtype),
            touched=np.full((teams, size + 1), 0, np.uint16),
            edge_place=np.empty((teams, edges + 1), np.int32),
            edge_count=np.empty((teams, edges + 1), np.int32),
            edge_weight=np.empty((teams, edges + 1), dtype),
        )

    def fits(self, size: int, edges: int) -> bool:
        return bool(self.accumulator.shape[1] >= size and self.edge_place.shape[1] > edges)


@dataclass(eq=False)
class ColumnKernels:
    """Products column by column, for a CPU.

    widest: the largest number of columns of a layer so far
    longest: the largest number of edges of an output neuron so far
    """

    space: Space
    dtype: np.dtype[Any]
    zero_rows_cost: bool = True
    widest: int = 1
    longest: int = 0
    _memory: ColumnMemory = field(init=False)
    _work_rows: _WorkRows | None = None

    def __post_init__(self) -> None:
        self._memory = ColumnMemory(self.dtype)

    def pack(self, layer: Layer) -> ColumnWeights:
        self.widest = max(self.widest, layer.inputs, layer.outputs)
        longest = int(np.diff(layer.start).max())
        self.longest = max(self.longest, longest)
        order = order_outputs(layer).astype(np.uint32)
        return ColumnWeights(longest, layer.start, layer.index, layer.value, order)

    def chunk_rows(self, inputs: Inputs) -> int:
        widest = max(self.widest, inputs.neurons)
        return Grouping.chunk_rows(_density(inputs), widest, self.dtype, self.space.threads)

    def allocate(self, inputs: Inputs, rows: int) -> None:
        density, widest = _density(inputs), max(self.widest, inputs.neurons)
        grouping = self._grouping(rows, density, widest)
        policy = self.space.range(grouping.batches)
        self._allocate_work_rows(grouping.size, self.longest)
        for _ in range(2):
            y = self._memory.allocate(grouping, widest)
            y.count.fill(0)
            y.place.fill(0)
            # A guess: as many entries as in the input rows, and some more.
            entries = int(2 * density * grouping.size * widest)
            self.space.pk.parallel_for(
                "clear_lists",
                policy,
                columns.clear_lists,
                index=y.index,
                value=y.value,
                entries=min(entries, y.batch_capacity),
                capacity=y.batch_capacity,
            )
            # A block of columns writes its first dense column in any case.
            step = 1 if is_dense(density) else -(-widest // grouping.blocks)
            self.space.pk.parallel_for(
                "clear_dense",
                policy,
                columns.clear_dense,
                dense=y.dense,
                size=grouping.size,
                columns=widest,
                step=step,
            )

    def load(self, y: Csr, selected: NDArray[Any] | None = None) -> Columns:
        if selected is None:
            selected = np.arange(y.rows, dtype=np.int64)
        entries = y.start[selected + 1] - y.start[selected]
        density = float(entries.sum()) / max(1, selected.size * y.columns)
        grouping = self._grouping(selected.size, density, y.columns)
        loaded = self._memory.allocate(grouping, y.columns)
        self.space.pk.parallel_for(
            "csr_to_columns",
            self.space.range(grouping.batches),
            columns.csr_to_columns,
            start=y.start,
            csr_index=y.index,
            csr_value=y.value,
            selected=selected,
            cursor=np.empty_like(loaded.place),
            batch_rows=loaded.batch_rows,
            sparse_limit=grouping.sparse_limit,
            **loaded.storage(),
            **_rows(loaded),
        )
        begins = np.arange(grouping.batches) * grouping.size
        batch_entries = np.add.reduceat(np.append(entries, 0), begins)
        return replace(loaded, work=np.repeat(batch_entries / grouping.blocks, grouping.blocks))

    def regrouped(self, y: Columns) -> bool:
        """Return whether batches of another size are faster for the density of Y."""
        best = self._grouping(y.rows, y.density, y.columns)
        return best.differs_much(y.grouping)

    def to_csr(self, y: Columns) -> Csr:
        entries = np.empty(y.rows, np.int64)
        storage = y.storage()
        value = storage.pop("value")
        policy = self.space.range(y.grouping.batches)
        self.space.pk.parallel_for(
            "count_row_entries",
            policy,
            columns.count_row_entries,
            entries=entries,
            **storage,
            **_rows(y),
        )
        csr = allocate_csr(self.space, y.columns, entries, self.dtype)
        self.space.pk.parallel_for(
            "columns_to_csr",
            policy,
            columns.columns_to_csr,
            value=value,
            start=csr.start,
            cursor=np.empty_like(entries),
            csr_index=csr.index,
            csr_value=csr.value,
            **storage,
            **_rows(y),
        )
        return csr

    def compute(self, y: Columns, layer: SpgemmLayer) -> tuple[Columns, int]:
        return self._product(y, layer, layer.bias, layer.scalars)

    def multiply(self, y: Columns, layer: SpgemmLayer) -> tuple[Columns, int]:
        infinity = self.dtype.type(np.inf)
        no_bias = np.zeros(layer.outputs, self.dtype)
        return self._product(y, layer, no_bias, {"low": -infinity, "ymax": infinity})

    def _product(
        self, y: Columns, layer: SpgemmLayer, bias_: Any, limits: dict[str, Any]
    ) -> tuple[Columns, int]:
        grouping, weights = y.grouping, layer.weights
        teams = self.space.threads
        work = self._allocate_work_rows(grouping.size, weights.longest)
        multiplications = np.empty(grouping.items, np.int64)
        z = self._memory.allocate(grouping, layer.outputs)
        self.space.pk.parallel_for(
            "multiply",
            self.space.row_teams(teams, 1, 1),
            spgemm.multiply,
            wstart=weights.start,
            windex=weights.index,
            wvalue=weights.value,
            order=weights.order,
            bias=bias_,
            batch_rows=y.batch_rows,
            first_item=share_work(y.work, teams),
            multiplications=multiplications,
            accumulator=work.accumulator,
            touched=work.touched,
            edge_place=work.edge_place,
            edge_count=work.edge_count,
            edge_weight=work.edge_weight,
            zero=self.dtype.type(0),
            inputs=layer.inputs,
            outputs=layer.outputs,
            blocks=grouping.blocks,
            width=-(-layer.outputs // grouping.blocks),
            sparse_limit=grouping.sparse_limit,
            ycapacity=y.batch_capacity,
            zcapacity=z.capacity,
            **{f"y{name}": array for name, array in y.storage().items()},
            **{f"z{name}": array for name, array in z.storage().items()},
            **limits,
        )
        return replace(z, work=multiplications), int(multiplications.sum())

    def _allocate_work_rows(self, size: int, edges: int) -> _WorkRows:
        """Return work rows, those of the last call if they fit."""
        work = self._work_rows
        if work is None or not work.fits(size, edges):
            work = self._work_rows = _WorkRows.allocate(self.space.threads, size, edges, self.dtype)
        return work

    def add_bias(self, z: Columns, layer: SpgemmLayer) -> None:
        storage = z.storage()
        storage.pop("index")
        self.space.pk.parallel_for(
            "add_bias",
            self.space.row_teams(z.grouping.batches, 1, 1),
            bias.add_bias,
            bias=layer.bias,
            batch_rows=z.batch_rows,
            columns=z.columns,
            capacity=z.batch_capacity,
            **storage,
        )

    def relu(self, z: Columns, layer: SpgemmLayer) -> Columns:
        y = self._memory.allocate(z.grouping, z.columns, z.work)
        self.space.pk.parallel_for(
            "relu",
            self.space.row_teams(z.grouping.batches, 1, 1),
            relu.relu,
            batch_rows=z.batch_rows,
            columns=z.columns,
            sparse_limit=z.grouping.sparse_limit,
            capacity=z.batch_capacity,
            **{f"y{name}": array for name, array in y.storage().items()},
            **{f"z{name}": array for name, array in z.storage().items()},
            **layer.scalars,
        )
        return y

    def row_ranges(self, y: Columns) -> tuple[Floats, Floats]:
        shape = (y.grouping.batches, y.grouping.size)
        smallest, largest = np.empty(shape, self.dtype), np.empty(shape, self.dtype)
        self.space.pk.parallel_for(
            "find_column_ranges",
            self.space.row_teams(y.grouping.batches, 1, 1),
            columns.find_column_ranges,
            batch_rows=y.batch_rows,
            smallest=smallest,
            largest=largest,
            listed=np.empty(shape, np.int32),
            zero=self.dtype.type(0),
            infinity=self.dtype.type(np.inf),
            columns=y.columns,
            capacity=y.batch_capacity,
            **y.storage(),
        )
        return smallest.reshape(-1)[: y.rows], largest.reshape(-1)[: y.rows]

    def finite(self, y: Columns) -> bool:
        storage = y.storage()
        storage.pop("index")
        found = self.space.pk.parallel_reduce(
            "count_not_finite",
            self.space.range(y.grouping.batches),
            columns.count_not_finite,
            batch_rows=y.batch_rows,
            columns=y.columns,
            capacity=y.batch_capacity,
            **storage,
        )
        return int(found) == 0

    def _grouping(self, rows: int, density: float, columns_: int) -> Grouping:
        widest = max(self.widest, columns_)
        return Grouping.choose(rows, density, widest, self.dtype, self.space.threads)


def _density(inputs: Inputs) -> float:
    return inputs.nonzeros / max(1, inputs.rows * inputs.neurons)


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


def _rows(y: Columns) -> dict[str, Any]:
    """Return the arguments of the conversions."""
    return {
        "rows": y.rows,
        "size": y.grouping.size,
        "columns": y.columns,
        "capacity": y.batch_capacity,
    }
