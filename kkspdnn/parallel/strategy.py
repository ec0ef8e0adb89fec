"""The parallel strategies, which divide a run among ranks by input rows or by layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from kkspdnn.choices import Parallel
from kkspdnn.device.memory import Budget
from kkspdnn.engines import Engine, PartialResult, ProgressCallback, RowSelector, Schedule
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.parallel.data import DataParallel
from kkspdnn.parallel.layer_distribution import is_pipeline_needed
from kkspdnn.parallel.partition import Partition
from kkspdnn.parallel.pipeline import PipelineParallel
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.parallel.row_shards import RowShard


class Strategy(Protocol):
    """The layers and row shards that this rank computes.

    parallel: the name of the strategy, data or pipeline
    shards: the number of row shards that suits it
    layers: the packed layers of this rank
    rows, computed_edges: the number of rows and of edges that the last call of `compute` computed
    wait_seconds: the time that it waited for other ranks
    schedule: the schedule of the last shard
    """

    parallel: str
    shards: int
    layers: LayerStore
    rows: int
    computed_edges: int
    wait_seconds: float
    schedule: Schedule

    def warm_up(self) -> None:
        """Compile the workunits that `compute` launches."""

    def load_rows(self, partition: Partition, selector: RowSelector | None) -> int:
        """Copy this rank's rows, compute the exit bounds and allocate the activations.

        selector: selects the rows, numbered among all rows, whose values are kept; None: no row

        Returns the number of rows times layers that `compute` will report as progress. Rows are
        copied here because inference is timed from input rows in memory.
        """

    def compute(self, on_progress: ProgressCallback) -> Iterator[tuple[RowShard, PartialResult]]:
        """Compute shard after shard and yield its result, with rows numbered among all rows.

        It may be called several times, and computes all shards of `load_rows` each time.
        In a pipeline, only the last rank yields results.
        """


def choose_strategy(
    parallel: Parallel,
    engine: Engine,
    network: Network,
    inputs: Inputs,
    ranks: Ranks,
    budget: Budget,
    values: bool,
) -> Strategy:
    """Return the requested strategy, with the layers of this rank packed. Collective.

    parallel: auto chooses a pipeline only if no other way fits all layers into memory
    values: whether the values of all active rows are kept
    """
    if parallel == "auto" and is_pipeline_needed(engine, network, ranks, budget):
        parallel = "pipeline"
    if parallel == "pipeline" and ranks.size > 1:
        return PipelineParallel(engine, network, inputs, ranks, budget)
    return DataParallel(engine, network, inputs, ranks, budget, values)
