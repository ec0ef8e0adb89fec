"""The record of a run: its times, the work of its ranks, and the hardware."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.memory import peak_memory
from kkspdnn.device.space import Space
from kkspdnn.engines import Engine
from kkspdnn.inference.kernel_choice import KernelChoice
from kkspdnn.inference.request import Request
from kkspdnn.model.network import Network
from kkspdnn.model.neuron_merging import MergedNetwork
from kkspdnn.parallel.strategy import Strategy
from kkspdnn.pk.system.cuda_driver import Device
from kkspdnn.pk.system.debug_mode import debug_mode
from kkspdnn.records.host_load import HostLoad
from kkspdnn.records.provenance import collect_provenance
from kkspdnn.records.run import Gpu, Launch, RankLoad, Record, Verification, categories_sha256
from kkspdnn.version import own_version


@dataclass(frozen=True, eq=False)
class Setup:
    """The objects that a run computes with.

    launch: the launch parameters; None: the kernel has none
    merged: the result of neuron merging, or None
    network: the network that is computed, after merging
    strategy: the layers and rows of this rank
    """

    space: Space
    kernel: KernelChoice
    launch: Launch | None
    engine: Engine
    merged: MergedNetwork | None
    network: Network
    strategy: Strategy


@dataclass(frozen=True)
class PhaseTimes:
    """The end of each phase of a run, in seconds of `perf_counter`, and the times of inference.

    started: the run begins
    opened: the execution space is open
    packed: neurons are merged, and layers distributed and packed
    compiled: the workunits are compiled
    ready: the rows are partitioned and in memory, and activations are allocated
    inference: the time of each inference, from input rows in memory to categories on rank 0
    """

    started: float
    opened: float
    packed: float
    compiled: float
    ready: float
    inference: tuple[float, ...]

    @property
    def compile_seconds(self) -> float:
        """Opening the execution space and compiling workunits."""
        return self.opened - self.started + self.compiled - self.packed

    @property
    def prepare_seconds(self) -> float:
        """Choosing the kernel, packing layers, partitioning rows and allocating activations."""
        return self.packed - self.opened + self.ready - self.compiled

    @property
    def inference_seconds(self) -> float:
        """The median of the times of inference."""
        return median(self.inference)

    def of_record(self) -> dict[str, Any]:
        """Return the fields of a Record."""
        return {
            "compile_seconds": self.compile_seconds,
            "prepare_seconds": self.prepare_seconds,
            "inference_seconds": self.inference_seconds,
            "repeat_seconds": self.inference,
        }


@dataclass(frozen=True)
class Usage:
    """The resources that a run used.

    loads, gpus: the work and the GPUs of all ranks
    host: the load of this rank's node
    """

    loads: Sequence[RankLoad]
    gpus: tuple[Gpu, ...]
    host: HostLoad


def gather_usage(request: Request, setup: Setup, seconds: float) -> Usage:
    """Return the usage of all ranks. Collective.

    seconds: the time that this rank computed, without waiting
    """
    ranks, space, strategy = request.ranks, setup.space, setup.strategy
    loads = ranks.all_gather(
        RankLoad(
            rank=ranks.rank,
            host=ranks.host,
            threads=_host_threads(space),
            device=space.device_name,
            rows=strategy.rows,
            layers=len(strategy.layers),
            layers_held=strategy.layers.resident,
            seconds=seconds,
            edges_multiplied=strategy.computed_edges,
            peak_memory_bytes=peak_memory(),
        )
    )
    own = sum(ranks.all_gather_node(request.load_meter.own_seconds()))
    host = request.load_meter.measure(own, ranks.local_size * _host_threads(space))
    gpus = used_gpus(ranks.all_gather((ranks.host, space.device)))
    return Usage(loads, gpus, host)


def make_record(
    request: Request,
    setup: Setup,
    times: PhaseTimes,
    usage: Usage,
    categories: NDArray[np.int64],
    verification: Verification,
    saved_rows: int,
) -> Record:
    """Return the record, on rank 0.

    saved_rows: the number of input rows whose result came from a checkpoint
    """
    network, inputs, space, strategy = request.network, request.inputs, setup.space, setup.strategy
    merged, loads, several = setup.merged, usage.loads, request.ranks.size > 1
    return Record(
        space=space.name,
        neurons=network.inputs,
        layers=len(network.layers),
        inputs=inputs.rows,
        edges=network.edges,
        kernel=setup.kernel.name,
        exits=setup.engine.exits,
        dtype=str(request.dtype),
        threads=space.threads if space.gpu else sum(load.threads for load in loads),
        load_seconds=0.0,
        **times.of_record(),
        edges_per_second=(inputs.rows - saved_rows) * network.edges / times.inference_seconds,
        edges_multiplied=sum(load.edges_multiplied for load in loads),
        categories=int(categories.size),
        categories_sha256=categories_sha256(categories),
        truth="absent",
        verified=verification,
        network=network.name,
        network_source=network.source,
        inputs_source=inputs.source,
        machine=_machine(request.machine, space, loads),
        compiler=space.compiler,
        kokkos_version=space.kokkos_version,
        pk=space.implementation,
        version=own_version(),
        fold=request.fold,
        neurons_before_fold=None if merged is None else merged.neurons,
        neurons_after_fold=None if merged is None else merged.neurons_after,
        edges_after_fold=None if merged is None else merged.network.edges,
        memory_budget_bytes=request.budget.total,
        peak_memory_bytes=max([peak_memory(), *(load.peak_memory_bytes for load in loads)]),
        layers_held=_layers_held(strategy, loads),
        order=strategy.schedule,
        launch=setup.launch,
        parallel=strategy.parallel if several else None,
        loads=tuple(loads) if several else (),
        imbalance=imbalance(loads) if several else None,
        gpus=usage.gpus,
        saved_rows=saved_rows,
        host=usage.host,
        epilogue=setup.engine.epilogue,
        kernel_auto=setup.kernel.automatic,
        activation_density=setup.kernel.density,
        debug=debug_mode() and space.implementation == "builtin",
        **vars(collect_provenance()),
    )


def _layers_held(strategy: Strategy, loads: Sequence[RankLoad]) -> int:
    """Return the number of resident layers: of this rank, or of all ranks in a pipeline."""
    if strategy.parallel == "pipeline":
        return sum(load.layers_held for load in loads)
    return strategy.layers.resident


def _host_threads(space: Space) -> int:
    """Return the number of CPU threads that a rank computes with."""
    return 1 if space.gpu else space.threads


def _machine(machine: str, space: Space, loads: Sequence[RankLoad]) -> str:
    """Return the description of the hardware: of this node, and the number of nodes."""
    node = f"{space.device_name}; {machine}" if space.gpu else machine
    nodes = len({load.host for load in loads})
    return node if nodes == 1 else f"{nodes} nodes like {node}"


def used_gpus(devices: Sequence[tuple[str, Device | None]]) -> tuple[Gpu, ...]:
    """Return the GPUs that ranks ran on, without duplicates.

    devices: for each rank its node and its device; None: a CPU
    """
    gpus = dict[tuple[str, str], Gpu]()
    for rank, (host, device) in enumerate(devices):
        if device is None:
            continue
        identity = host, device.uuid or str(device.number)
        new = Gpu(host, device.number, device.name, device.arch, device.uuid, ())
        gpu = gpus.get(identity, new)
        gpus[identity] = replace(gpu, ranks=(*gpu.ranks, rank))
    return tuple(gpus.values())


def imbalance(loads: Sequence[RankLoad]) -> float:
    """Return the longest time of any rank over the mean, at least 1."""
    seconds = [load.seconds for load in loads]
    mean = sum(seconds) / len(seconds)
    return max(seconds) / mean if mean > 0 else 1.0
