"""The two ways to divide a run among ranks: by input rows, or by layers."""

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
from kkspdnn.parallel.partition import Partition
from kkspdnn.parallel.pipeline import PipelineParallel, pipeline_is_better
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.parallel.row_blocks import Part


class Strategy(Protocol):
    """The layers and rows of this rank.

    parallel: data or pipeline
    parts: into how many parts the rows are best dealt out; layers: as the engine takes them
    rows, computed_edges: of the outcomes so far; waited: seconds of them that others took
    schedule: of the last run of the engine
    """

    parallel: str
    parts: int
    layers: LayerStore
    rows: int
    computed_edges: int
    waited: float
    schedule: Schedule

    def warm_up(self) -> None:
        """Compile what will be launched."""

    def take(self, deal: Partition, keep: RowSelector | None) -> int:
        """Make all ready for this rank's parts; gives how many rows times layers they are.

        keep: of which rows, numbered among all, the values are kept; None: of none. Rows are taken
        now, so that they lie in memory as the engine takes them before it is timed.
        """

    def outcomes(self, report: ProgressCallback) -> Iterator[tuple[Part, PartialResult]]:
        """What comes out of one part after the other, with rows numbered among all."""


def choose_strategy(
    parallel: Parallel,
    engine: Engine,
    network: Network,
    inputs: Inputs,
    ranks: Ranks,
    budget: Budget,
    values: bool,
) -> Strategy:
    """The strategy asked for, with the layers packed; collective.

    parallel: auto takes a pipeline where it alone holds all layers
    values: whether the values of all active rows are kept
    """
    if parallel == "auto" and pipeline_is_better(engine, network, ranks, budget):
        parallel = "pipeline"
    if parallel == "pipeline" and ranks.size > 1:
        return PipelineParallel(engine, network, inputs, ranks, budget)
    return DataParallel(engine, network, inputs, ranks, budget, values)
