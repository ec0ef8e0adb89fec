"""The orchestrator: a network and input rows in, categories and a record out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.choices import EXITS, KERNELS, PARALLEL, VERIFY, Exits, Kernel, Parallel, Verify
from kkspdnn.device.errors import translate_cupy_errors
from kkspdnn.device.memory import Budget, peak_memory
from kkspdnn.device.space import Space, check_device, check_space_name, open_space
from kkspdnn.engines import Engine, ProgressCallback, make_engine
from kkspdnn.engines.partial_result import concatenate
from kkspdnn.errors import InputError, check_choice
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.matrices import float_dtype
from kkspdnn.model.network import Network, check_network
from kkspdnn.model.neuron_merging import MergedNetwork, merge_neurons
from kkspdnn.parallel.affinity import placed
from kkspdnn.parallel.data import DataParallel
from kkspdnn.parallel.partition import Partition, partition_rows, resume
from kkspdnn.parallel.pipeline import PipelineParallel, pipeline_is_better
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.pk.build.toolchain import machine
from kkspdnn.pk.system.cuda_driver import Device
from kkspdnn.records.host_load import HostLoad, LoadMeter
from kkspdnn.records.run import Gpu, RankLoad, Record, categories_sha256
from kkspdnn.verify import verify, wanted
from kkspdnn.version import own_version

Progress = Callable[[str, float], None]
"""Called with what is being done and how much of it is done, 0 to 1."""


@dataclass(frozen=True, eq=False)
class Result:
    """What inference found.

    categories: int64, the 1-based numbers of the input rows with any nonzero value, ascending
    values: CSR (len(categories), outputs), their activations after the last layer, or None
    """

    categories: NDArray[np.int64]
    values: sp.csr_array | None
    record: Record

    @property
    def every_row(self) -> sp.csr_array:
        """The activations after the last layer of all input rows, CSR (inputs, outputs).

        InputError where `values` were not kept.
        """
        if self.values is None:
            raise InputError("the values were not kept; ask for them with values=True")
        values, rows = self.values, self.record.inputs
        counts = np.zeros(rows, np.int64)
        counts[self.categories - 1] = np.diff(values.indptr)
        starts = np.concatenate([[0], np.cumsum(counts)])
        shape = rows, values.shape[1]
        return sp.csr_array((values.data, values.indices, starts), shape=shape)

    @property
    def outputs(self) -> NDArray[np.floating]:
        """As `every_row`, dense."""
        dense: NDArray[np.floating] = self.every_row.toarray()
        return dense


@translate_cupy_errors
@ieee_arithmetic()
def infer(
    network: Network,
    inputs: Any,
    *,
    space: str = "openmp",
    kernel: Kernel = "fused",
    exits: Exits = "all",
    dtype: DTypeLike | None = None,
    threads: int | None = None,
    device: int | None = None,
    fold: bool = False,
    verification: Verify = "none",
    values: bool = False,
    memory: float | None = None,
    progress: Progress | None = None,
    comm: Any = None,
    parallel: Parallel = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
) -> Result:
    """Run input rows through a network: Y' = min(max(Y W + b, 0), ymax), layer after layer.

    inputs: Inputs, or a SciPy sparse matrix or 2-D NumPy array of shape (rows, neurons)
    space: serial, openmp or cuda; kernel: fused (tiles) or spgemm (CSR times CSR)
    exits: which rows leave early in the fused kernel: none, dead (rows of zeros) or all (also rows
    of ymax that provably stay so)
    dtype: float32 or float64; None: the network's
    threads: OpenMP threads; None: OMP_NUM_THREADS, else all cores
    device: which GPU, within CUDA_VISIBLE_DEVICES; None: KOKKOS_DEVICE_ID, else the first, or with
    ranks a GPU for each, as far as the node has them
    fold: merge equal neurons, see kkspdnn.model.neuron_merging; `values` has all outputs
    verification: none, sample or full, against the serial reference; the verdict is in the
    record; values: keep the activations of the living rows
    memory: gigabytes (10^9 bytes) that this process may take in all, now and while it runs: Python
    with its libraries, the network and the input rows that it holds already, layers as the kernels
    take them, and activations. Layers that do not fit are made again on each use, and input rows go
    through in parts. Only `values` and a full verification may come on top, where many rows live.
    None: layers, and then activations, take at most 40 % of the free memory each

    comm: an mpi4py communicator, or Ranks: its ranks share the work. Every rank calls this with the
    same network, inputs and options, and gets the categories and the record; values on rank 0 only.
    Where one rank may fail alone, start the script with `python -m mpi4py`: it ends the others
    parallel: data (each rank takes some of the rows; the ranks of a node hold the layers once),
    pipeline (each takes some of the layers) or auto: pipeline only where the layers are too large
    for a node or GPU, but not for all ranks together
    checkpoint: a folder for finished parts of the rows, which all nodes share; where it has some of
    the same network, rows and options, these are not computed again

    Raises InputError for a network or inputs that cannot be used, SpaceError, ToolchainError and
    CacheError for what this machine lacks.
    """
    check_device(device, check_space_name(space))
    check_choice("kernel", kernel, KERNELS)
    check_choice("exits", exits, EXITS)
    check_choice("verification", verification, VERIFY)
    check_choice("parallel", parallel, PARALLEL)
    check_network(network)
    ranks = Ranks.of(comm)
    given = Inputs.from_any(inputs)
    given.check_neurons(network.inputs)
    kind = network.dtype if dtype is None else float_dtype(dtype)
    meter = LoadMeter()
    here = machine()  # before OpenMP may bind this thread to a core, as the user may ask it to
    with placed(ranks, space, threads, device) as placement:
        run = _Run(
            ranks=ranks,
            network=network.astype(kind),
            inputs=given,
            dtype=kind,
            kernel=kernel,
            exits=exits,
            fold=fold,
            verification=verification,
            values=values,
            budget=replace(
                Budget.from_gigabytes(memory),
                processes=ranks.local_size,
                device_processes=placement.sharing,
            ),
            parallel=parallel,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            tell=progress if progress is not None else _silent,
            meter=meter,
        )
        run.check_alike(space)
        result = run.result(space, threads, placement.device, here)
    if ranks is not comm:
        ranks.close()
    return result


@dataclass(frozen=True, eq=False)
class _Run:
    """One call of `infer`, with its arguments looked at."""

    ranks: Ranks
    network: Network
    inputs: Inputs
    dtype: np.dtype[Any]
    kernel: Kernel
    exits: Exits
    fold: bool
    verification: Verify
    values: bool
    budget: Budget
    parallel: Parallel
    checkpoint: Path | None
    tell: Progress
    meter: LoadMeter

    def check_alike(self, space: str) -> None:
        """Raise InputError, on all ranks, where they do not all run the same."""
        mine = {
            "network": (len(self.network.layers), self.network.edges, self.network.ymax),
            "input rows": (self.inputs.rows, self.inputs.neurons),
            "dtype": str(self.dtype),
            "space": space,
            "kernel": self.kernel,
            "exits": self.exits,
            "fold": self.fold,
            "verification": self.verification,
            "values": self.values,
            "parallel": self.parallel,
            "checkpoint": self.checkpoint,
        }
        everywhere = self.ranks.all_gather(mine)
        different = [
            name for name in mine if any(e[name] != everywhere[0][name] for e in everywhere)
        ]
        if different:
            raise InputError(
                f"the ranks have not the same {', '.join(different)}; give all of them the same"
            )

    def result(self, space: str, threads: int | None, device: int | None, here: str) -> Result:
        """here: the machine"""
        ranks, network, given, tell = self.ranks, self.network, self.inputs, self.tell
        tell("starting Kokkos", 0.0)
        started = perf_counter()
        where = ranks.first_of_node_first(lambda: open_space(space, threads, device))
        opened = perf_counter()
        engine = make_engine(self.kernel, where, self.dtype, network.ymax, self.exits)
        folded = ranks.once_per_node(self._folded) if self.fold else None
        computed = network if folded is None else folded.network
        tell("preparing the network", 0.0)
        every = self.values or self.verification == "full"
        way = self._way(engine, computed, every)
        prepared = perf_counter()
        tell("compiling workunits", 0.0)
        ranks.first_of_node_first(way.warm_up)
        warm = perf_counter()
        keep = None
        if every or self.verification != "none":
            keep = wanted(network, given, "full" if every else self.verification)
        partition = self._deal(where, computed, way.parts)
        work = way.take(partition, keep)
        ranks.barrier()
        ready = perf_counter()
        own = []
        for part, found in way.outcomes(_report(tell, max(1, work))):
            if partition.checkpoint is not None:
                partition.checkpoint.save(part.number, found)
            own.append(found)
        computing = perf_counter() - ready - way.waited
        if ranks.size > 1:
            tell("waiting for the other ranks", 0.0)
        every_part = chain(partition.saved, *ranks.gather(own))
        outcome = concatenate(every_part, computed.outputs, self.dtype, keep is not None)
        done = perf_counter()
        loads = ranks.all_gather(
            RankLoad(
                rank=ranks.rank,
                host=ranks.host,
                threads=1 if where.gpu else where.threads,
                device=where.device_name,
                rows=way.rows,
                layers=len(way.layers),
                layers_held=way.layers.held,
                seconds=computing,
                edges_multiplied=way.computed_edges,
                peak_memory_bytes=peak_memory(),
            )
        )
        host = self._host_load(where)
        gpus = used_gpus(ranks.all_gather((ranks.host, where.device)))
        if ranks.rank != 0:
            return ranks.broadcast(None)
        if folded is not None and outcome.values is not None:
            outcome = replace(outcome, values=folded.expand(outcome.values))
        if self.verification != "none":
            tell("verifying", 0.0)
        timed = 0.0 if partition.saved_rows else done - ready
        verified = verify(network, given, outcome, self.verification, timed)
        categories = outcome.rows + 1
        record = Record(
            space=where.name,
            neurons=network.inputs,
            layers=len(network.layers),
            inputs=given.rows,
            edges=network.edges,
            kernel=self.kernel,
            exits=engine.exits,
            dtype=str(self.dtype),
            threads=where.threads if where.gpu else sum(load.threads for load in loads),
            compile_seconds=opened - started + warm - prepared,
            load_seconds=0.0,
            prepare_seconds=prepared - opened + ready - warm,
            inference_seconds=done - ready,
            edges_per_second=(given.rows - partition.saved_rows) * network.edges / (done - ready),
            edges_multiplied=sum(load.edges_multiplied for load in loads),
            categories=int(categories.size),
            categories_sha256=categories_sha256(categories),
            truth="absent",
            verified=verified,
            network=network.name,
            network_source=network.source,
            inputs_source=given.source,
            machine=_machines(f"{where.device_name}; {here}" if where.gpu else here, loads),
            compiler=where.compiler,
            kokkos_version=where.kokkos_version,
            pk=where.front,
            version=own_version(),
            fold=self.fold,
            neurons_before_fold=None if folded is None else folded.neurons,
            neurons_after_fold=None if folded is None else folded.neurons_after,
            edges_after_fold=None if folded is None else folded.network.edges,
            memory_budget_bytes=self.budget.total,
            peak_memory_bytes=max([peak_memory(), *(load.peak_memory_bytes for load in loads)]),
            layers_held=sum(load.layers_held for load in loads)
            if way.parallel == "pipeline"
            else way.layers.held,
            order=engine.order,
            parallel=way.parallel if ranks.size > 1 else None,
            loads=tuple(loads) if ranks.size > 1 else (),
            imbalance=imbalance(loads) if ranks.size > 1 else None,
            gpus=gpus,
            saved_rows=partition.saved_rows,
            host=host,
        )
        ranks.broadcast(Result(categories, None, record))
        return Result(categories, outcome.take(outcome.rows) if self.values else None, record)

    def _host_load(self, where: Space) -> HostLoad:
        """How busy this node was, beside all of its ranks."""
        own = sum(self.ranks.all_gather_node(self.meter.own_seconds()))
        threads = self.ranks.local_size * (1 if where.gpu else where.threads)
        return self.meter.measure(own, threads)

    def _way(
        self, engine: Engine, computed: Network, every: bool
    ) -> DataParallel | PipelineParallel:
        ranks, budget = self.ranks, self.budget
        wanted = self.parallel
        if wanted == "auto" and pipeline_is_better(engine, computed, ranks, budget):
            wanted = "pipeline"
        if wanted == "pipeline" and ranks.size > 1:
            return PipelineParallel(engine, computed, self.inputs, ranks, budget)
        return DataParallel(engine, computed, self.inputs, ranks, budget, every)

    def _deal(self, where: Space, computed: Network, parts: int) -> Partition:
        if self.checkpoint is None:
            return partition_rows(self.ranks, parts)
        self.tell("looking at the checkpoint", 0.0)
        kept = "full" if self.values else self.verification
        arithmetic = "GPU" if where.gpu else "CPU"
        facts = {
            "type of numbers": str(self.dtype),
            "kernel": self.kernel,
            "fold": str(self.fold),
            "verification": kept,
            "arithmetic": f"{arithmetic}, {where.front}",
        }
        return resume(self.checkpoint, self.ranks, computed, self.inputs, facts, parts)

    def _folded(self) -> MergedNetwork:
        return merge_neurons(
            self.network, lambda done: self.tell("folding equal neurons", done), self.budget
        )


def _machines(here: str, loads: Sequence[RankLoad]) -> str:
    nodes = len({load.host for load in loads})
    return here if nodes == 1 else f"{nodes} nodes like {here}"


def used_gpus(devices: Sequence[tuple[str, Device | None]]) -> tuple[Gpu, ...]:
    """The GPUs that ranks ran on, each once; devices: of each rank its node and its device."""
    found = dict[tuple[str, str], Gpu]()
    for rank, (host, device) in enumerate(devices):
        if device is None:
            continue
        which = host, device.uuid or str(device.number)
        first = Gpu(host, device.number, device.name, device.arch, device.uuid, ())
        gpu = found.get(which, first)
        found[which] = replace(gpu, ranks=(*gpu.ranks, rank))
    return tuple(found.values())


def imbalance(loads: Sequence[RankLoad]) -> float:
    """The longest time of any rank over the mean, at least 1."""
    seconds = [load.seconds for load in loads]
    mean = sum(seconds) / len(seconds)
    return max(seconds) / mean if mean > 0 else 1.0


def _report(progress: Progress, total: int) -> ProgressCallback:
    """Tells how much is done when called with the input rows times layers that are settled."""
    done = 0

    def report(settled: int) -> None:
        nonlocal done
        done += settled
        progress("inference", done / total)

    return report


def _silent(_doing: str, _done: float) -> None:
    pass
