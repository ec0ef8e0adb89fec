"""Pipeline parallelism: each rank computes some of the layers for all row shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.engines import (
    Engine,
    PartialResult,
    ProgressCallback,
    RowSelector,
    Schedule,
    no_progress,
)
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.partial_result import concatenate
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layer_slice import renumber_layer_errors, slice_network
from kkspdnn.model.network import Network
from kkspdnn.parallel.balance import balance_layers
from kkspdnn.parallel.partition import Partition
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.parallel.row_shards import RowShard

_SHARDS_PER_RANK = 16
"""Ranks are idle while the pipeline fills and drains: with n shards per rank, for about 1/n of the
time."""

_MIN_SHARD_ROWS = 1024
"""With fewer rows in a shard, the fixed cost of a pass through the layers would dominate."""

_SAMPLE_ROWS = 1024
"""Rows that measure the cost of each layer."""

_CPU_TRANSFER, _GPU_TRANSFER = 512.0, 16384.0
"""The cost of `_transfer_cost_per_value` for one CPU thread, and for a GPU."""


@dataclass(frozen=True, eq=False)
class ActivationBatch:
    """The activations of a batch of rows between two layers.

    rows: int64, ascending, the numbers of the rows in `values`
    values: their activations
    size: the number of rows of the batch; rows that are in neither list are zeros
    saturated: int64, ascending, rows that are not in `values`, whose every value is the upper limit
    """

    rows: NDArray[np.int64]
    values: Inputs
    size: int
    saturated: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


def run_layers(
    engine: Engine,
    layers: LayerStore,
    batch: ActivationBatch,
    selector: RowSelector,
    on_progress: ProgressCallback,
) -> tuple[PartialResult, Schedule]:
    """Compute a batch through layers; the result has the row numbers of the batch.

    Rows of zeros, or saturated rows, are skipped if all layers keep them so.
    """
    ymax = engine.ymax
    saturated = batch.saturated
    if saturated.size and not (engine.ends and engine.ends[0].saturated <= ymax):
        batch = _add_rows(batch, saturated, ymax, layers.dtype)
        saturated = saturated[:0]
    if layers.zeros_stay_from > 0:
        nonzero = np.union1d(batch.rows, saturated)
        zeros = np.setdiff1d(np.arange(batch.size), nonzero, assume_unique=True)
        batch = _add_rows(batch, zeros, 0.0, layers.dtype)
    numbers = batch.rows
    run = engine.run(layers, batch.values, lambda rows: selector(numbers[rows]), on_progress)
    result = concatenate(run, layers.outputs, layers.dtype, values=True)
    assert result.valued is not None
    renumbered = PartialResult(
        rows=np.union1d(numbers[result.rows], saturated),
        values=result.values,
        computed_edges=result.computed_edges,
        valued=numbers[result.valued],
        saturated=np.union1d(numbers[result.saturated], saturated),
        ymax=ymax,
    )
    return renumbered, run.schedule


def _add_rows(
    batch: ActivationBatch, rows: NDArray[np.int64], value: float, dtype: np.dtype[Any]
) -> ActivationBatch:
    """Return the batch with more rows, whose every value is `value`, and no saturated rows."""
    if not rows.size:
        return batch
    shape = rows.size, batch.values.neurons
    added = sp.csr_array(shape, dtype=dtype)
    if value:
        added = sp.csr_array(np.full(shape, value, dtype))
    numbers = np.concatenate([batch.rows, rows])
    order = np.argsort(numbers)
    stacked = sp.csr_array(sp.vstack([batch.values.to_csr(dtype), added], format="csr"))
    return ActivationBatch(numbers[order], _as_inputs(sp.csr_array(stacked[order])), batch.size)


def _as_inputs(values: sp.csr_array) -> Inputs:
    return Inputs(values.shape[0], values.shape[1], "activations", csr=values)


def _select_all(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.ones(rows.size, np.bool_)


def _select_none(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.zeros(rows.size, np.bool_)


def _next_batch(result: PartialResult, batch: ActivationBatch) -> ActivationBatch:
    """Return the result of layers for a batch as the batch for the next layers."""
    assert result.values is not None
    assert result.valued is not None
    return ActivationBatch(result.valued, _as_inputs(result.values), batch.size, result.saturated)


def distribute_layers(
    engine: Engine,
    network: Network,
    inputs: Inputs,
    ranks: Ranks,
    budget: Budget,
) -> list[range]:
    """Return for each rank its range of layers, of equal cost as measured on sample rows.

    The sample passes through the ranks, each of which computes an equal number of layers. Rows are
    retired early, so equal numbers of layers have very different costs.
    """
    depth = len(network.layers)
    own = range(depth * ranks.rank // ranks.size, depth * (ranks.rank + 1) // ranks.size)
    dtype = network.dtype
    singles: list[LayerStore] = []
    edges: dict[int, int] = {}
    edge_bytes = _packed_bytes_per_edge(engine, network)
    for position in own:
        with renumber_layer_errors(position):
            one = slice_network(network, range(position, position + 1))
            edges[position] = one.edges
            singles.append(LayerStore(one, engine, dtype, budget, True))
    if ranks.rank == 0:
        count = min(inputs.rows, _SAMPLE_ROWS)
        sample = np.unique(np.linspace(0, inputs.rows - 1, count).astype(int))
        batch = ActivationBatch(np.arange(sample.size), inputs.select_rows(sample), sample.size)
    else:
        batch = ranks.receive(ranks.rank - 1)
    measured: list[tuple[float, float, float]] = []
    for position, layers in zip(own, singles, strict=True):
        values = (batch.rows.size + batch.saturated.size) * batch.values.neurons
        with renumber_layer_errors(position):
            engine.compute_exit_bounds(layers, batch.values)
            result, _ = run_layers(engine, layers, batch, _select_all, no_progress)
        batch = _next_batch(result, batch)
        transfer_cost = _transfer_cost_per_value(engine) * values
        measured.append((float(result.computed_edges), transfer_cost, edges[position] * edge_bytes))
    if ranks.rank + 1 < ranks.size:
        ranks.send(batch, ranks.rank + 1)
    singles.clear()
    all_layers = [layer for own in ranks.all_gather(measured) for layer in own]
    costs, transfer_costs, sizes = ([layer[i] for layer in all_layers] for i in range(3))
    capacities = ranks.all_gather(layer_capacity(engine, budget))
    return balance_layers(costs, transfer_costs, [int(size) for size in sizes], capacities)


def _transfer_cost_per_value(engine: Engine) -> float:
    """The cost of transferring an activation between ranks, in multiplications.

    A transfer takes about 20 ns, as measured, in which all threads of the engine could multiply.
    """
    if engine.in_csr:
        return 4.0
    return _GPU_TRANSFER if engine.space.gpu else _CPU_TRANSFER * engine.space.threads


def layer_capacity(engine: Engine, budget: Budget) -> int:
    """Return the bytes that the packed layers of this rank may use."""
    if engine.space.gpu:
        budget = replace(budget, device_memory=engine.space.device_memory)
    return budget.share()


def is_pipeline_needed(engine: Engine, network: Network, ranks: Ranks, budget: Budget) -> bool:
    """Whether layers are too large for one node or GPU, but not for all of them. Collective."""
    if ranks.size == 1:
        return False
    own = layer_capacity(engine, budget)
    size = _packed_bytes_per_edge(engine, network) * network.edges
    of_node = own if engine.space.gpu else layer_capacity(engine, replace(budget, processes=1))
    capacities = ranks.all_gather((of_node, own))
    return min(each for each, _ in capacities) < size <= sum(each for _, each in capacities)


def _packed_bytes_per_edge(engine: Engine, network: Network) -> float:
    """Return the bytes per edge of the second packed layer; the first one has another format."""
    first_layers = [network.layers[position] for position in range(min(2, len(network.layers)))]
    packed, edges = None, 0
    for layer in first_layers:
        packed, edges = engine.prepare(layer, packed), layer.edges
    return engine.size(packed) / edges if edges else 0.0


class PipelineParallel:
    """A Strategy: this rank's range of layers, and all row shards.

    A shard is received from the rank before this one and sent to the next one; both count as
    waiting.
    """

    parallel = "pipeline"

    def __init__(
        self, engine: Engine, network: Network, inputs: Inputs, ranks: Ranks, budget: Budget
    ) -> None:
        positions = distribute_layers(engine, network, inputs, ranks, budget)[ranks.rank]
        self._engine = engine
        self._ranks = ranks
        self._is_first, self._is_last = ranks.rank == 0, ranks.rank == ranks.size - 1
        self._first_layer = positions.start
        self._inputs = inputs
        self._selector: RowSelector | None = None
        self._shards: Sequence[RowShard] = ()
        self._shard_inputs: Sequence[Inputs] = ()
        own = slice_network(network, positions)
        with renumber_layer_errors(positions.start):
            self.layers = LayerStore(own, engine, network.dtype, budget, True)
        # An example in the format of the rows that arrive here.
        received = _as_inputs(sp.csr_array((1, own.inputs), dtype=network.dtype))
        self._example = inputs if self._is_first else received
        self.shards = max(1, min(_SHARDS_PER_RANK * ranks.size, inputs.rows // _MIN_SHARD_ROWS))
        self.rows = self.computed_edges = 0
        self.wait_seconds = 0.0
        self.schedule = Schedule()

    def warm_up(self) -> None:
        """See Strategy."""
        self._engine.warm_up(self.layers, self._example)

    def load_rows(self, partition: Partition, selector: RowSelector | None) -> int:
        """See Strategy. Only the first rank has input rows; the others return 0."""
        self._selector, self._shards = selector, partition.remaining
        if self._is_first:
            self._shard_inputs = [shard.select(self._inputs) for shard in self._shards]
        self._engine.compute_exit_bounds(self.layers, self._example)
        if self._shard_inputs:
            self._engine.allocate(self.layers, self._shard_inputs[0])
        return sum(rows.rows for rows in self._shard_inputs) * len(self.layers)

    def compute(self, on_progress: ProgressCallback) -> Iterator[tuple[RowShard, PartialResult]]:
        """See Strategy. All ranks but the last one send their results to the next rank."""
        for number, shard in enumerate(self._shards):
            batch = self._next_input(number)
            self.rows += batch.values.rows
            selector = shard.local_selector(self._selector) or _select_none
            with renumber_layer_errors(self._first_layer):
                result, self.schedule = run_layers(
                    self._engine,
                    self.layers,
                    batch,
                    selector if self._is_last else _select_all,
                    on_progress,
                )
            self.computed_edges += result.computed_edges
            if self._is_last:
                yield shard, shard.to_global(result if self._selector else _without_values(result))
            else:
                start = perf_counter()
                self._ranks.send(_next_batch(result, batch), self._ranks.rank + 1)
                self.wait_seconds += perf_counter() - start

    def _next_input(self, number: int) -> ActivationBatch:
        if self._is_first:
            rows = self._shard_inputs[number]
            return ActivationBatch(np.arange(rows.rows, dtype=np.int64), rows, rows.rows)
        start = perf_counter()
        batch: ActivationBatch = self._ranks.receive(self._ranks.rank - 1)
        self.wait_seconds += perf_counter() - start
        return batch


def _without_values(result: PartialResult) -> PartialResult:
    return PartialResult(result.rows, None, result.computed_edges)
