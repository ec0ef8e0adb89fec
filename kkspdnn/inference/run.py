"""The steps of a run, from opening the execution space to the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from time import perf_counter

import numpy as np

from kkspdnn.choices import Kernel
from kkspdnn.device.space import Space, open_space
from kkspdnn.engines import Engine, PartialResult, ProgressCallback, RowSelector, make_engine
from kkspdnn.engines.partial_result import concatenate
from kkspdnn.inference.kernel_choice import choose_kernel
from kkspdnn.inference.request import Request
from kkspdnn.inference.result import Result
from kkspdnn.inference.run_record import PhaseTimes, Setup, gather_usage, make_record
from kkspdnn.model.network import Network
from kkspdnn.model.neuron_merging import MergedNetwork, merge_neurons
from kkspdnn.parallel.partition import Partition, partition_rows, resume
from kkspdnn.parallel.strategy import Strategy, choose_strategy
from kkspdnn.progress import StepCallback
from kkspdnn.records.run import Launch, Verification
from kkspdnn.tuning.case import TuningCase
from kkspdnn.tuning.store import find_tuned
from kkspdnn.verify import rows_to_compare, verify


@dataclass(frozen=True, eq=False)
class _Work:
    """The input rows of a run.

    partition: the row shards
    selector: selects the rows whose values are kept; None: no row
    total: the number of rows times layers that this rank reports as progress
    """

    partition: Partition
    selector: RowSelector | None
    total: int


@dataclass(frozen=True, eq=False)
class _Inference:
    """The computation of all input rows, one or several times.

    result: on rank 0, the result of all rows
    seconds: of each repetition, from input rows in memory to the results of all ranks
    own_seconds: the time that this rank computed in the last one, without waiting for other ranks
    """

    result: PartialResult
    seconds: tuple[float, ...]
    own_seconds: float


def execute(request: Request) -> Result:
    """Run all steps of an inference. Collective.

    A run opens the execution space, merges equal neurons, chooses the kernel and the launch
    parameters, distributes the layers over the ranks and packs them for the kernel, compiles the
    workunits, and partitions the input rows. Each rank then computes its rows and layers, and rank
    0 collects the results, verifies them against the serial reference and makes the record.

    Every rank returns the categories and the record, rank 0 also the values if requested.
    """
    started = perf_counter()
    space = _open_space(request)
    opened = perf_counter()
    merged = _merge_neurons(request)
    network = request.network if merged is None else merged.network
    kernel = choose_kernel(request, space, network)
    launch = _choose_launch(request, space, network, kernel.name)
    if launch is not None:
        space = replace(space, launch=launch.parameters)
    engine = make_engine(
        kernel.name,
        space,
        request.dtype,
        request.network.ymax,
        request.exits,
        request.epilogue,
    )
    strategy = _distribute_layers(request, engine, network)
    setup = Setup(space, kernel, launch, engine, merged, network, strategy)
    packed = perf_counter()
    _compile_workunits(request, setup.strategy)
    compiled = perf_counter()
    work = _partition_rows(request, setup)
    ready = perf_counter()
    inference = _infer(request, setup, work)
    result = inference.result
    times = PhaseTimes(started, opened, packed, compiled, ready, inference.seconds)
    usage = gather_usage(request, setup, inference.own_seconds)
    if request.ranks.rank != 0:
        return request.ranks.broadcast(None)
    if merged is not None and result.values is not None:
        result = replace(result, values=merged.expand(result.values))
    saved_rows = work.partition.saved_rows
    verification = _verify(request, result, 0.0 if saved_rows else times.inference_seconds)
    categories = result.rows + 1
    record = make_record(request, setup, times, usage, categories, verification, saved_rows)
    request.ranks.broadcast(Result(categories, None, record))
    return Result(categories, result.select_rows(result.rows) if request.values else None, record)


def _open_space(request: Request) -> Space:
    """Open the execution space; the first rank of a node builds Kokkos if necessary."""
    request.on_progress("starting Kokkos", 0.0)
    return request.ranks.first_of_node_first(
        lambda: open_space(request.space, request.threads, request.device)
    )


def _merge_neurons(request: Request) -> MergedNetwork | None:
    """Merge equal neurons, once per node, if requested."""
    if not request.fold:
        return None
    return request.ranks.once_per_node(
        lambda: merge_neurons(
            request.network,
            lambda fraction: request.on_progress("merging equal neurons", fraction),
            request.budget,
        )
    )


def _choose_launch(
    request: Request, space: Space, network: Network, kernel: Kernel
) -> Launch | None:
    """Return the launch parameters, the same on all ranks; None: the kernel has none.

    network: after neuron merging
    """
    if kernel != "fused":
        return None
    tuned = None
    if request.tune and request.ranks.rank == 0:
        tuned = find_tuned(TuningCase.of(space, network, request.dtype, kernel, request.exits))
    default = Launch("default", space.launch)
    return request.ranks.broadcast(default if tuned is None else Launch("tuned", tuned))


def _distribute_layers(request: Request, engine: Engine, network: Network) -> Strategy:
    """Choose the parallel strategy and pack the layers of this rank."""
    request.on_progress("packing the layers", 0.0)
    return choose_strategy(
        request.parallel,
        engine,
        network,
        request.inputs,
        request.ranks,
        request.budget,
        request.needs_all_values,
    )


def _compile_workunits(request: Request, strategy: Strategy) -> None:
    """Compile the workunits on the first rank of each node; the others load them."""
    request.on_progress("compiling workunits", 0.0)
    request.ranks.first_of_node_first(strategy.warm_up)


def _partition_rows(request: Request, setup: Setup) -> _Work:
    """Partition the rows and load those of this rank, on all ranks."""
    selector = None
    if request.needs_values:
        mode = "full" if request.needs_all_values else request.verify
        selector = rows_to_compare(request.network, request.inputs, mode)
    partition = _partition(request, setup)
    total = setup.strategy.load_rows(partition, selector)
    request.ranks.barrier()
    return _Work(partition, selector, total)


def _partition(request: Request, setup: Setup) -> Partition:
    """Return the row shards of the strategy, or those of the checkpoint."""
    if request.checkpoint is None:
        return partition_rows(request.ranks, setup.strategy.shards)
    request.on_progress("reading the checkpoint", 0.0)
    arithmetic = "GPU" if setup.space.gpu else "CPU"
    configuration = {
        "type of numbers": str(request.dtype),
        "kernel": setup.kernel.name,
        "fold": str(request.fold),
        "verification": "full" if request.values else request.verify,
        "arithmetic": f"{arithmetic}, {setup.space.implementation}",
    }
    return resume(request.checkpoint, request.ranks, setup.network, request.inputs, configuration)


def _infer(request: Request, setup: Setup, work: _Work) -> _Inference:
    """Compute all input rows `repeat` times, and collect the results on rank 0.

    Raises RuntimeError if the categories differ, which is a bug.
    """
    first = _infer_once(request, setup, work, 1)
    categories, seconds, last = first.result.rows, list(first.seconds), first
    del first  # The values of two repetitions need not fit into memory.
    for number in range(2, request.repeat + 1):
        del last
        last = _infer_once(request, setup, work, number)
        seconds += last.seconds
        if not np.array_equal(last.result.rows, categories):
            raise RuntimeError(f"repetition {number} has other categories than the first one")
    return replace(last, seconds=tuple(seconds))


def _infer_once(request: Request, setup: Setup, work: _Work, number: int) -> _Inference:
    """Compute all input rows. number: of the repetition, from 1"""
    step = f"inference {number} of {request.repeat}" if request.repeat > 1 else "inference"
    request.ranks.barrier()
    started = perf_counter()
    own = _compute(request, setup.strategy, work, step)
    own_seconds = perf_counter() - started - setup.strategy.wait_seconds
    result = _collect(request, setup, work, own)
    return _Inference(result, (perf_counter() - started,), own_seconds)


def _compute(
    request: Request, strategy: Strategy, work: _Work, step: str
) -> Sequence[PartialResult]:
    """Compute the shards of this rank, and save each one to the checkpoint.

    step: the name of the step for the progress callback
    """
    checkpoint = work.partition.checkpoint
    results = []
    on_progress = _fraction_of(request.on_progress, step, max(1, work.total))
    for shard, result in strategy.compute(on_progress):
        if checkpoint is not None:
            checkpoint.save(shard.index, result)
        results.append(result)
    return results


def _collect(
    request: Request, setup: Setup, work: _Work, own: Sequence[PartialResult]
) -> PartialResult:
    """Return on rank 0 the result of all rows: those of all ranks and of the checkpoint."""
    if request.ranks.size > 1:
        request.on_progress("waiting for the other ranks", 0.0)
    results = chain(work.partition.saved, *request.ranks.gather(own))
    return concatenate(results, setup.network.outputs, request.dtype, work.selector is not None)


def _verify(request: Request, result: PartialResult, seconds: float) -> Verification:
    """Compare with the serial reference, if requested. seconds: of inference"""
    if request.verify != "none":
        request.on_progress("verifying", 0.0)
    return verify(request.network, request.inputs, result, request.verify, seconds)


def _fraction_of(on_step: StepCallback, step: str, total: int) -> ProgressCallback:
    """Return a callback that adds up finished rows times layers and reports the fraction."""
    finished = 0

    def on_progress(count: int) -> None:
        nonlocal finished
        finished += count
        on_step(step, finished / total)

    return on_progress
