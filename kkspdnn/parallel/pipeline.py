"""Pipeline parallelism: each rank computes some of the layers for all row shards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.device.memory import Budget
from kkspdnn.engines import Engine, PartialResult, ProgressCallback, RowSelector, Schedule
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layer_slice import renumber_layer_errors, slice_network
from kkspdnn.model.network import Network
from kkspdnn.parallel.activation_batch import (
    ActivationBatch,
    as_inputs,
    next_batch,
    run_layers,
    select_all,
)
from kkspdnn.parallel.layer_distribution import distribute_layers
from kkspdnn.parallel.partition import Partition
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.parallel.row_shards import RowShard

_SHARDS_PER_RANK = 16
"""Ranks are idle while the pipeline fills and drains: with n shards per rank, for about 1/n of the
time."""

_MIN_SHARD_ROWS = 1024
"""With fewer rows in a shard, the fixed cost of a pass through the layers would dominate."""


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
        received = as_inputs(sp.csr_array((1, own.inputs), dtype=network.dtype))
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
        self.rows = self.computed_edges = 0
        self.wait_seconds = 0.0
        for number, shard in enumerate(self._shards):
            batch = self._next_input(number)
            self.rows += batch.values.rows
            selector = shard.local_selector(self._selector) or _select_none
            with renumber_layer_errors(self._first_layer):
                result, self.schedule = run_layers(
                    self._engine,
                    self.layers,
                    batch,
                    selector if self._is_last else select_all,
                    on_progress,
                )
            self.computed_edges += result.computed_edges
            if self._is_last:
                yield shard, shard.to_global(result if self._selector else _without_values(result))
            else:
                start = perf_counter()
                self._ranks.send(next_batch(result, batch), self._ranks.rank + 1)
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


def _select_none(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.zeros(rows.size, np.bool_)
