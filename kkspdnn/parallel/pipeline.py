"""Pipeline parallel: every rank takes all rows through some of the layers, part after part."""

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
from kkspdnn.parallel.balance import spans
from kkspdnn.parallel.partition import Partition
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.parallel.row_blocks import Part

_PARTS_A_RANK = 16
"""While the first part comes to the last rank and the last part leaves the first one, ranks are
idle: for one in about so many parts."""

_FEWEST_ROWS = 1024
"""Fewer rows in a part would not be worth going through the layers for."""

_SAMPLE = 1024
"""Rows whose way through the layers says what each layer costs."""


_CPU_VALUE, _GPU_VALUE = 512.0, 16384.0
"""See _value_cost; of one thread of a CPU, and of a GPU."""


@dataclass(frozen=True, eq=False)
class Flow:
    """Rows between two layers, of `total` rows; those that it does not have are zeros.

    numbers: int64, ascending, of the rows of `inputs`; saturated: int64, ascending, of rows whose
    every value is the upper limit, which `inputs` does not have
    """

    numbers: NDArray[np.int64]
    inputs: Inputs
    total: int
    saturated: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))


def passed(
    engine: Engine, layers: LayerStore, flow: Flow, keep: RowSelector, report: ProgressCallback
) -> tuple[PartialResult, Schedule]:
    """What comes out of layers, with the numbers of the flow, and how it was computed.

    Rows that are zeros, or saturated, stay so without a look where all layers keep them so.
    """
    ymax = engine.ymax
    saturated = flow.saturated
    if saturated.size and not (engine.ends and engine.ends[0].saturated <= ymax):
        flow = _with_rows(flow, saturated, ymax, layers.dtype)
        saturated = saturated[:0]
    if layers.zeros_stay_from > 0:
        there = np.union1d(flow.numbers, saturated)
        missing = np.setdiff1d(np.arange(flow.total), there, assume_unique=True)
        flow = _with_rows(flow, missing, 0.0, layers.dtype)
    numbers = flow.numbers
    run = engine.run(layers, flow.inputs, lambda rows: keep(numbers[rows]), report)
    found = concatenate(run, layers.outputs, layers.dtype, values=True)
    assert found.valued is not None
    outcome = PartialResult(
        rows=np.union1d(numbers[found.rows], saturated),
        values=found.values,
        computed_edges=found.computed_edges,
        valued=numbers[found.valued],
        saturated=np.union1d(numbers[found.saturated], saturated),
        ymax=ymax,
    )
    return outcome, run.schedule


def _with_rows(flow: Flow, rows: NDArray[np.int64], value: float, dtype: np.dtype[Any]) -> Flow:
    """The same with these rows too, each value of which is `value`; what is saturated is left."""
    if not rows.size:
        return flow
    shape = rows.size, flow.inputs.neurons
    more = sp.csr_array(shape, dtype=dtype)
    if value:
        more = sp.csr_array(np.full(shape, value, dtype))
    numbers = np.concatenate([flow.numbers, rows])
    order = np.argsort(numbers)
    stacked = sp.csr_array(sp.vstack([flow.inputs.to_csr(dtype), more], format="csr"))
    return Flow(numbers[order], _activations(sp.csr_array(stacked[order])), flow.total)


def _activations(values: sp.csr_array) -> Inputs:
    return Inputs(values.shape[0], values.shape[1], "activations", csr=values)


def _all(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.ones(rows.size, np.bool_)


def _onward(outcome: PartialResult, flow: Flow) -> Flow:
    """What came out of layers for a flow as what goes into the next ones."""
    assert outcome.values is not None
    assert outcome.valued is not None
    return Flow(outcome.valued, _activations(outcome.values), flow.total, outcome.saturated)


def balanced(
    engine: Engine,
    network: Network,
    inputs: Inputs,
    ranks: Ranks,
    budget: Budget,
) -> list[range]:
    """For each rank its layers, of equal cost as measured with a sample of the rows.

    The sample goes through layer after layer, each prepared by one of the ranks: rows leave early,
    so that equal numbers of layers would be far from equal work.
    """
    depth = len(network.layers)
    own = range(depth * ranks.rank // ranks.size, depth * (ranks.rank + 1) // ranks.size)
    dtype = network.dtype
    singles: list[LayerStore] = []
    edges: dict[int, int] = {}
    edge_bytes = _edge_bytes(engine, network)
    for position in own:
        with renumber_layer_errors(position):
            one = slice_network(network, range(position, position + 1))
            edges[position] = one.edges
            singles.append(LayerStore(one, engine, dtype, budget, True))
    if ranks.rank == 0:
        chosen = np.unique(np.linspace(0, inputs.rows - 1, min(inputs.rows, _SAMPLE)).astype(int))
        flow = Flow(np.arange(chosen.size), inputs.select_rows(chosen), chosen.size)
    else:
        flow = ranks.receive(ranks.rank - 1)
    measured: list[tuple[float, float, float]] = []
    for position, layers in zip(own, singles, strict=True):
        values = (flow.numbers.size + flow.saturated.size) * flow.inputs.neurons
        with renumber_layer_errors(position):
            engine.compute_exit_bounds(layers, flow.inputs)
            outcome, _ = passed(engine, layers, flow, _all, no_progress)
        flow = _onward(outcome, flow)
        handing_over = _value_cost(engine) * values
        measured.append((float(outcome.computed_edges), handing_over, edges[position] * edge_bytes))
    if ranks.rank + 1 < ranks.size:
        ranks.send(flow, ranks.rank + 1)
    singles.clear()
    every = [each for own in ranks.all_gather(measured) for each in own]
    costs, cuts, sizes = ([each[i] for each in every] for i in range(3))
    return spans(costs, cuts, [int(each) for each in sizes], ranks.all_gather(room(engine, budget)))


def _value_cost(engine: Engine) -> float:
    """In multiplications, what it costs to take an activation from the engine to another rank, or
    from there: as measured, about 20 ns, in which all threads could multiply."""
    if engine.in_csr:
        return 4.0
    return _GPU_VALUE if engine.space.gpu else _CPU_VALUE * engine.space.threads


def room(engine: Engine, budget: Budget) -> int:
    """Bytes that the layers of this rank may take."""
    if engine.space.gpu:
        budget = replace(budget, device_memory=engine.space.device_memory)
    return budget.share()


def pipeline_is_better(engine: Engine, network: Network, ranks: Ranks, budget: Budget) -> bool:
    """Whether the layers are too large for one node, or one GPU, but not for all ranks together."""
    if ranks.size == 1:
        return False
    own, size = room(engine, budget), _edge_bytes(engine, network) * network.edges
    whole = own if engine.space.gpu else room(engine, replace(budget, processes=1))
    everywhere = ranks.all_gather((whole, own))
    return min(each for each, _ in everywhere) < size <= sum(each for _, each in everywhere)


def _edge_bytes(engine: Engine, network: Network) -> float:
    """Bytes of the prepared layers for each edge, as of the second layer: the first has a form of
    its own."""
    some = [network.layers[position] for position in range(min(2, len(network.layers)))]
    prepared, edges = None, 0
    for layer in some:
        prepared, edges = engine.prepare(layer, prepared), layer.edges
    return engine.size(prepared) / edges if edges else 0.0


class PipelineParallel:
    """This rank's layers; parts of the rows come from the rank before it and go to the next one.

    All attributes are as in DataParallel; `waited` is the time for the ranks before and after this
    one.
    """

    parallel = "pipeline"

    def __init__(
        self, engine: Engine, network: Network, inputs: Inputs, ranks: Ranks, budget: Budget
    ) -> None:
        span = balanced(engine, network, inputs, ranks, budget)[ranks.rank]
        self._engine = engine
        self._ranks = ranks
        self._first, self._last = ranks.rank == 0, ranks.rank == ranks.size - 1
        self._begin = span.start
        self._given = inputs
        self._keep: RowSelector | None = None
        self._parts: Sequence[Part] = ()
        self._inputs: Sequence[Inputs] = ()
        own = slice_network(network, span)
        with renumber_layer_errors(span.start):
            self.layers = LayerStore(own, engine, network.dtype, budget, True)
        # As what goes through the layers here.
        arriving = _activations(sp.csr_array((1, own.inputs), dtype=network.dtype))
        self._kind = self._given if self._first else arriving
        self.parts = max(1, min(_PARTS_A_RANK * ranks.size, inputs.rows // _FEWEST_ROWS))
        self.rows = self.computed_edges = 0
        self.waited = 0.0
        self.schedule = Schedule()

    def warm_up(self) -> None:
        """Compile what will be launched."""
        self._engine.warm_up(self.layers, self._kind)

    def take(self, partition: Partition, keep: RowSelector | None) -> int:
        """Make all ready for all parts; gives how many rows times layers they are here, 0 where the
        rows come from another rank. keep: as in DataParallel."""
        self._keep, self._parts = keep, partition.todo
        self._inputs = [part.take(self._given) for part in partition.todo] if self._first else []
        self._engine.compute_exit_bounds(self.layers, self._kind)
        if self._inputs:
            self._engine.allocate(self.layers, self._inputs[0])
        return sum(each.rows for each in self._inputs) * len(self.layers)

    def outcomes(self, report: ProgressCallback) -> Iterator[tuple[Part, PartialResult]]:
        """On the last rank what comes out of one part after the other, with rows numbered among
        all; elsewhere nothing, the rows go to the next rank."""
        for place, part in enumerate(self._parts):
            flow = self._flow(place)
            self.rows += flow.inputs.rows
            wanted = part.wanted(self._keep) or _none
            with renumber_layer_errors(self._begin):
                outcome, self.schedule = passed(
                    self._engine, self.layers, flow, wanted if self._last else _all, report
                )
            self.computed_edges += outcome.computed_edges
            if self._last:
                yield part, part.outcome(outcome if self._keep else _without_values(outcome))
            else:
                begun = perf_counter()
                self._ranks.send(_onward(outcome, flow), self._ranks.rank + 1)
                self.waited += perf_counter() - begun

    def _flow(self, place: int) -> Flow:
        if self._first:
            rows = self._inputs[place]
            return Flow(np.arange(rows.rows, dtype=np.int64), rows, rows.rows)
        begun = perf_counter()
        flow: Flow = self._ranks.receive(self._ranks.rank - 1)
        self.waited += perf_counter() - begun
        return flow


def _none(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.zeros(rows.size, np.bool_)


def _without_values(outcome: PartialResult) -> PartialResult:
    return PartialResult(outcome.rows, None, outcome.computed_edges)
