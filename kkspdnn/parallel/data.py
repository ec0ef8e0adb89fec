"""Data parallelism: each rank computes some of the input rows through all layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kkspdnn.device.memory import Budget
from kkspdnn.engines import Engine, PartialResult, ProgressCallback, RowSelector, Schedule
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.partial_result import concatenate
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.parallel.partition import Partition
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.parallel.row_shards import RowShard


class DataParallel:
    """A Strategy: all layers, of which each node has one copy, and this rank's row shards.

    values: whether the values of all active rows are kept
    """

    parallel = "data"

    def __init__(
        self,
        engine: Engine,
        network: Network,
        inputs: Inputs,
        ranks: Ranks,
        budget: Budget,
        values: bool,
    ) -> None:
        self._engine = engine
        self._inputs = inputs
        self._selector: RowSelector | None = None
        self._shards: Sequence[tuple[RowShard, Inputs]] = ()
        self.layers = LayerStore(
            network, engine, network.dtype, budget, values, ranks.once_per_node
        )
        self.shards = ranks.size
        self.rows = self.computed_edges = 0
        self.wait_seconds = 0.0
        self.schedule = Schedule()

    def warm_up(self) -> None:
        """See Strategy."""
        self._engine.warm_up(self.layers, self._inputs)

    def load_rows(self, partition: Partition, selector: RowSelector | None) -> int:
        """See Strategy."""
        self._selector = selector
        self._shards = [(shard, shard.select(self._inputs)) for shard in partition.local]
        self._engine.compute_exit_bounds(self.layers, self._inputs)
        if self._shards:
            self._engine.allocate(self.layers, self._shards[0][1])
        return sum(rows.rows for _, rows in self._shards) * len(self.layers)

    def compute(self, on_progress: ProgressCallback) -> Iterator[tuple[RowShard, PartialResult]]:
        """See Strategy."""
        layers = self.layers
        self.rows = self.computed_edges = 0
        for shard, rows in self._shards:
            selector = shard.local_selector(self._selector)
            run = self._engine.run(layers, rows, selector, on_progress)
            result = concatenate(run, layers.outputs, layers.dtype, selector is not None)
            self.schedule = run.schedule
            self.rows += rows.rows
            self.computed_edges += result.computed_edges
            yield shard, shard.to_global(result)
