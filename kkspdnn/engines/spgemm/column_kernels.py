"""The launches of the SpGEMM engine on a CPU, where activations are stored by columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.space import Space
from kkspdnn.engines.spgemm.column_product import ColumnProduct, ColumnWeights, WeightsByInput
from kkspdnn.engines.spgemm.columns import ColumnMemory, Columns
from kkspdnn.engines.spgemm.csr import Csr, allocate_csr
from kkspdnn.engines.spgemm.grouping import Grouping, GroupingRule, density_of
from kkspdnn.engines.spgemm.layer import SpgemmLayer
from kkspdnn.engines.spgemm.row_product import RowProduct
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import Floats
from kkspdnn.workunits import bias, columns, relu


@dataclass(eq=False)
class ColumnKernels:
    """Products column by column, for a CPU.

    The fields count the layers packed so far:

    widest: the largest number of columns
    longest: the largest number of edges of an output neuron
    edges, outputs: the total numbers of edges and output neurons
    """

    space: Space
    dtype: np.dtype[Any]
    zero_rows_cost: bool = True
    widest: int = 1
    longest: int = 0
    edges: int = 0
    outputs: int = 0
    _memory: ColumnMemory = field(init=False)
    _product: ColumnProduct = field(init=False)
    _row_product: RowProduct = field(init=False)
    _by_input: dict[ColumnWeights, WeightsByInput] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._memory = ColumnMemory(self.dtype)
        self._product = ColumnProduct(self.space, self.dtype, self._memory)
        self._row_product = RowProduct(self.space, self.dtype)

    def pack(self, layer: Layer) -> ColumnWeights:
        weights = ColumnWeights.of(layer)
        self.widest = max(self.widest, layer.inputs, layer.outputs)
        self.longest = max(self.longest, weights.longest)
        self.edges += layer.edges
        self.outputs += layer.outputs
        return weights

    def max_rows(self, inputs: Inputs, dense_rows: int) -> int:
        return self._rule(inputs.neurons).max_rows(_density(inputs), dense_rows)

    def fits(self, y: Csr | Columns, layer: SpgemmLayer, dense_rows: int) -> bool:
        if y.rows <= dense_rows:
            return True
        entries = y.column_entries()
        # A multiplication makes at most one nonzero.
        after = entries @ layer.weights.out_degree
        return all(
            self._rule(columns_).fits(y.rows, columns_, int(nonzeros), dense_rows)
            for columns_, nonzeros in ((y.columns, entries.sum()), (layer.outputs, after))
        )

    def chunk_rows(self, inputs: Inputs) -> int:
        return self._rule(inputs.neurons).chunk_rows(_density(inputs))

    def copy_weights(
        self, inputs: Inputs, rows: int, layers: Sequence[SpgemmLayer], spare: int
    ) -> None:
        grouping = self._rule(inputs.neurons).choose(rows, _density(inputs))
        if grouping.by_rows and sum(layer.weights.nbytes for layer in layers) <= spare:
            for layer in layers:
                if layer.weights not in self._by_input:
                    self._by_input[layer.weights] = layer.weights.copy_by_input()

    def allocate(self, inputs: Inputs, rows: int) -> None:
        density, rule = _density(inputs), self._rule(inputs.neurons)
        grouping, widest = rule.choose(rows, density), rule.widest
        policy = self.space.range(grouping.batches)
        self._product.allocate_work_rows(grouping.size, self.longest)
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
            step = 1 if grouping.all_dense else -(-widest // grouping.blocks)
            self.space.pk.parallel_for(
                "clear_dense",
                policy,
                columns.clear_dense,
                dense=y.dense,
                size=grouping.size,
                columns=widest,
                step=step,
            )

    def load(self, y: Csr) -> Columns:
        return self._load(y, np.arange(y.rows, dtype=np.int64))

    def forms(self, y: Csr) -> Iterator[Columns]:
        all_rows = np.arange(y.rows, dtype=np.int64)
        yield self._load(y, all_rows, 0.0)
        lists = self._load(y, all_rows, 0.0)
        yield replace(lists, grouping=replace(lists.grouping, by_rows=True))
        dense = self._load(y, all_rows, 1.0)
        yield self._select_dense(dense, all_rows, dense.grouping)

    def _load(self, y: Csr, selected: NDArray[Any], density: float | None = None) -> Columns:
        """Return rows of a CSR matrix.

        density: determines the grouping; None: that of the rows
        """
        entries = y.start[selected + 1] - y.start[selected]
        nonzeros = int(entries.sum())
        if density is None:
            density = density_of(nonzeros, selected.size, y.columns)
        grouping = self._rule(y.columns).choose(selected.size, density)
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
        work = np.repeat(batch_entries / grouping.blocks, grouping.blocks)
        return replace(loaded, work=work, known_nonzeros=nonzeros)

    def select(self, y: Columns, selected: NDArray[Any]) -> Columns:
        density = density_of(y.nonzeros, selected.size, y.columns)
        grouping = self._rule(y.columns).choose(selected.size, density)
        if y.grouping.all_dense and grouping.all_dense:
            return self._select_dense(y, selected, grouping)
        return self._load(self.to_csr(y), selected)

    def _select_dense(self, y: Columns, selected: NDArray[Any], grouping: Grouping) -> Columns:
        row_batch, row_lane = np.divmod(selected, y.grouping.size)
        chosen = self._memory.allocate(grouping, y.columns)
        self.space.pk.parallel_for(
            "select_dense_rows",
            self.space.range(grouping.batches),
            columns.select_dense_rows,
            ydense=y.dense,
            row_batch=row_batch.astype(np.int32),
            row_lane=row_lane.astype(np.int32),
            count=chosen.count,
            place=chosen.place,
            dense=chosen.dense,
            batch_rows=chosen.batch_rows,
            rows=chosen.rows,
            size=grouping.size,
            columns=chosen.columns,
        )
        return chosen

    def regrouped(self, y: Columns) -> bool:
        """Return whether another grouping is much faster for the density of Y."""
        return self._rule(y.columns).is_slow(y.grouping, y.density)

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
        return self._compute(y, layer, layer.bias, layer.scalars)

    def _compute(
        self, y: Columns, layer: SpgemmLayer, bias_: Any, limits: dict[str, Any]
    ) -> tuple[Columns, int]:
        by_input = self._by_input.get(layer.weights)
        if y.grouping.by_rows and by_input is not None:
            z, rows, multiplications = self._row_product.compute(
                self.to_csr(y), layer, by_input, bias_, limits
            )
            return self._load(z, rows), multiplications
        return self._product.compute(y, layer, bias_, limits)

    def multiply(self, y: Columns, layer: SpgemmLayer) -> tuple[Columns, int]:
        infinity = self.dtype.type(np.inf)
        no_bias = np.zeros(layer.outputs, self.dtype)
        return self._compute(y, layer, no_bias, {"low": -infinity, "ymax": infinity})

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

    def _rule(self, columns_: int) -> GroupingRule:
        """Return the rule for activations of so many columns."""
        fan_in = self.edges / max(1, self.outputs)
        return GroupingRule(max(self.widest, columns_), fan_in, self.dtype, self.space.threads)


def _density(inputs: Inputs) -> float:
    return density_of(inputs.nonzeros, inputs.rows, inputs.neurons)


def _rows(y: Columns) -> dict[str, Any]:
    """Return the arguments of the conversions."""
    return {
        "rows": y.rows,
        "size": y.grouping.size,
        "columns": y.columns,
        "capacity": y.batch_capacity,
    }
