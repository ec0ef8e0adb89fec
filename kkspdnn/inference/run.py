"""The steps of a run, from opening the execution space to the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from time import perf_counter

from kkspdnn.device.space import Space, open_space
from kkspdnn.engines import Engine, PartialResult, ProgressCallback, RowSelector, make_engine
from kkspdnn.engines.partial_result import concatenate
from kkspdnn.inference.request import Progress, Request
from kkspdnn.inference.result import Result
from kkspdnn.inference.run_record import PhaseTimes, Setup, gather_usage, make_record
from kkspdnn.model.neuron_merging import MergedNetwork, merge_neurons
from kkspdnn.parallel.partition import Partition, partition_rows, resume
from kkspdnn.parallel.strategy import Strategy, choose_strategy
from kkspdnn.records.run import Verification
from kkspdnn.verify import verify, wanted


@dataclass(frozen=True, eq=False)
class _Work:
    """The rows of a run.

    keep: of which of them the values are kept; None: of none
    total: input rows times layers that this rank computes
    """

    partition: Partition
    keep: RowSelector | None
    total: int


@dataclass(frozen=True, eq=False)
class _Computed:
    """What this rank computed, and for how many seconds, without waiting for others."""

    outcomes: Sequence[PartialResult]
    seconds: float


def execute(request: Request) -> Result:
    """Run all steps, on all ranks. The values are on rank 0 only.

    The execution space is opened, equal neurons are merged, the layers are distributed over the
    ranks and packed for the kernels, the workunits are compiled and the rows are partitioned. Then
    each rank computes its rows through its layers, and rank 0 collects what came out. It verifies
    a sample or all of it against the serial reference, and makes the record.
    """
    started = perf_counter()
    space = _open_space(request)
    opened = perf_counter()
    engine = make_engine(request.kernel, space, request.dtype, request.network.ymax, request.exits)
    merged = _merge_neurons(request)
    setup = _distribute_layers(request, space, engine, merged)
    packed = perf_counter()
    _compile_workunits(request, setup.strategy)
    compiled = perf_counter()
    work = _partition_rows(request, setup)
    ready = perf_counter()
    computed = _compute(request, setup.strategy, work)
    outcome = _collect(request, setup, work, computed.outcomes)
    times = PhaseTimes(started, opened, packed, compiled, ready, perf_counter())
    usage = gather_usage(request, setup, computed.seconds)
    if request.ranks.rank != 0:
        return request.ranks.broadcast(None)
    if merged is not None and outcome.values is not None:
        outcome = replace(outcome, values=merged.expand(outcome.values))
    saved_rows = work.partition.saved_rows
    verified = _verify(request, outcome, 0.0 if saved_rows else times.inference_seconds)
    categories = outcome.rows + 1
    record = make_record(request, setup, times, usage, categories, verified, saved_rows)
    request.ranks.broadcast(Result(categories, None, record))
    return Result(categories, outcome.take(outcome.rows) if request.values else None, record)


def _open_space(request: Request) -> Space:
    """The execution space; Kokkos is built for the first rank of a node, others find it."""
    request.tell("starting Kokkos", 0.0)
    return request.ranks.first_of_node_first(
        lambda: open_space(request.space, request.threads, request.device)
    )


def _merge_neurons(request: Request) -> MergedNetwork | None:
    """The network with equal neurons merged, once for each node; None where that is not wanted."""
    if not request.fold:
        return None
    return request.ranks.once_per_node(
        lambda: merge_neurons(
            request.network,
            lambda done: request.tell("folding equal neurons", done),
            request.budget,
        )
    )


def _distribute_layers(
    request: Request, space: Space, engine: Engine, merged: MergedNetwork | None
) -> Setup:
    """The layers that this rank computes, packed for the kernels."""
    request.tell("preparing the network", 0.0)
    network = request.network if merged is None else merged.network
    strategy = choose_strategy(
        request.parallel,
        engine,
        network,
        request.inputs,
        request.ranks,
        request.budget,
        request.every_value,
    )
    return Setup(space, engine, merged, network, strategy)


def _compile_workunits(request: Request, strategy: Strategy) -> None:
    """Compile what will be launched: the first rank of a node, before the others load it."""
    request.tell("compiling workunits", 0.0)
    request.ranks.first_of_node_first(strategy.warm_up)


def _partition_rows(request: Request, setup: Setup) -> _Work:
    """The rows that this rank computes, and those that a checkpoint has; all ranks are ready."""
    keep = None
    if request.any_value:
        mode = "full" if request.every_value else request.verification
        keep = wanted(request.network, request.inputs, mode)
    partition = _partition(request, setup)
    total = setup.strategy.load_rows(partition, keep)
    request.ranks.barrier()
    return _Work(partition, keep, total)


def _partition(request: Request, setup: Setup) -> Partition:
    parts = setup.strategy.shards
    if request.checkpoint is None:
        return partition_rows(request.ranks, parts)
    request.tell("looking at the checkpoint", 0.0)
    arithmetic = "GPU" if setup.space.gpu else "CPU"
    facts = {
        "type of numbers": str(request.dtype),
        "kernel": request.kernel,
        "fold": str(request.fold),
        "verification": "full" if request.values else request.verification,
        "arithmetic": f"{arithmetic}, {setup.space.front}",
    }
    return resume(request.checkpoint, request.ranks, setup.network, request.inputs, facts, parts)


def _compute(request: Request, strategy: Strategy, work: _Work) -> _Computed:
    """This rank's rows through its layers; finished parts are saved to the checkpoint."""
    started = perf_counter()
    checkpoint = work.partition.checkpoint
    outcomes = []
    for part, outcome in strategy.compute(_report(request.tell, max(1, work.total))):
        if checkpoint is not None:
            checkpoint.save(part.index, outcome)
        outcomes.append(outcome)
    return _Computed(outcomes, perf_counter() - started - strategy.wait_seconds)


def _collect(
    request: Request, setup: Setup, work: _Work, own: Sequence[PartialResult]
) -> PartialResult:
    """On rank 0 the outcome of all rows, of all ranks and of the checkpoint."""
    if request.ranks.size > 1:
        request.tell("waiting for the other ranks", 0.0)
    every_part = chain(work.partition.saved, *request.ranks.gather(own))
    return concatenate(every_part, setup.network.outputs, request.dtype, work.keep is not None)


def _verify(request: Request, outcome: PartialResult, seconds: float) -> Verification:
    """Compare with the serial reference, as far as that is wanted."""
    if request.verification != "none":
        request.tell("verifying", 0.0)
    return verify(request.network, request.inputs, outcome, request.verification, seconds)


def _report(progress: Progress, total: int) -> ProgressCallback:
    """Tells how much is done when called with the input rows times layers that are settled."""
    done = 0

    def report(settled: int) -> None:
        nonlocal done
        done += settled
        progress("inference", done / total)

    return report
