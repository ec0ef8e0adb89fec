"""Data parallel: every rank takes parts of the input rows through the whole network."""

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
from kkspdnn.parallel.row_blocks import Part


class DataParallel:
    """All layers, which the ranks of a node hold together, and this rank's parts of the rows.

    values: whether the values of all living rows are kept
    parts: into how many parts the rows are best distributed; layers: as the engine takes them
    rows, computed_edges: of the outcomes so far; waited: seconds of them that others took
    schedule: of the last run of the engine
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
        self._keep: RowSelector | None = None
        self._parts: Sequence[tuple[Part, Inputs]] = ()
        self.layers = LayerStore(
            network, engine, network.dtype, budget, values, ranks.once_per_node
        )
        self.parts = ranks.size
        self.rows = self.computed_edges = 0
        self.waited = 0.0
        self.schedule = Schedule()

    def warm_up(self) -> None:
        """Compile what will be launched."""
        self._engine.warm_up(self.layers, self._inputs)

    def take(self, partition: Partition, keep: RowSelector | None) -> int:
        """Make all ready for this rank's parts; gives how many rows times layers they are.

        keep: of which rows, numbered among all, the values are kept; None: of none. Rows are taken
        now, so that they lie in memory as the engine takes them before it is timed.
        """
        self._keep = keep
        self._parts = [(part, part.take(self._inputs)) for part in partition.mine]
        self._engine.compute_exit_bounds(self.layers, self._inputs)
        if self._parts:
            self._engine.allocate(self.layers, self._parts[0][1])
        return sum(rows.rows for _, rows in self._parts) * len(self.layers)

    def outcomes(self, report: ProgressCallback) -> Iterator[tuple[Part, PartialResult]]:
        """What comes out of one part after the other, with rows numbered among all."""
        layers = self.layers
        for part, rows in self._parts:
            run = self._engine.run(layers, rows, part.wanted(self._keep), report)
            whole = concatenate(run, layers.outputs, layers.dtype, self._keep is not None)
            self.schedule = run.schedule
            self.rows += rows.rows
            self.computed_edges += whole.computed_edges
            yield part, part.outcome(whole)
