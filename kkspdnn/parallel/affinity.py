"""The CPU affinity, the number of threads and the GPU of a rank."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kkspdnn.parallel.gpus import GpuAssignment, select_gpu
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.pk.build.toolchain import omp_num_threads
from kkspdnn.pk.system.cpu_quota import cpu_quota

_THREADS = "OMP_NUM_THREADS"
_TOPOLOGY = Path("/sys/devices/system/cpu")


@contextmanager
def bind_rank(
    ranks: Ranks, space: str, threads: int | None, device: int | None
) -> Iterator[GpuAssignment]:
    """Bind this rank to its share of the node's cores within the block; yields its GPU.

    threads, device: set by the user, or None

    `threads`, OMP_NUM_THREADS, OMP_PLACES, `device` and KOKKOS_DEVICE_ID take precedence. Otherwise
    a rank runs one thread on each of its cores, and the ranks of a node use its GPUs in turn, see
    `select_gpu`. The affinity of the process and OMP_NUM_THREADS are restored after the block.
    """
    if ranks.size == 1:
        yield GpuAssignment(device)
        return
    gpu = select_gpu(ranks, space, device)
    if ranks.local_size == 1:
        yield gpu
        return
    allowed = os.sched_getaffinity(0)
    cores = cores_of_rank(
        ranks.all_gather_node(sorted(allowed, key=_topology_key)), ranks.local_rank
    )
    requested = threads if threads is not None else omp_num_threads()
    bind = "OMP_PLACES" not in os.environ and (requested is None or requested <= len(cores))
    variable = os.environ.get(_THREADS)
    try:
        if bind:
            os.sched_setaffinity(0, cores)
        if bind and requested is None:
            os.environ[_THREADS] = str(_thread_count(len(cores), ranks.local_size))
        yield gpu
    finally:
        os.sched_setaffinity(0, allowed)
        if variable is None:
            os.environ.pop(_THREADS, None)
        else:
            os.environ[_THREADS] = variable


def _thread_count(cores: int, ranks: int) -> int:
    """Return one thread for each core, or fewer if the CPU quota of all ranks is lower."""
    quota = cpu_quota()
    return cores if quota is None else min(cores, max(1, quota // ranks))


def cores_of_rank(allowed: Sequence[Sequence[int]], rank: int) -> list[int]:
    """Return the cores, at least one, that a rank of a node is bound to.

    allowed: for each rank the cores that it may run on, neighbours in the machine side by side

    Ranks with the same allowed cores divide them evenly. If there are more ranks than cores, each
    rank has one core, and ranks share cores.
    """
    own = allowed[rank]
    same = [number for number, cores in enumerate(allowed) if set(cores) == set(own)]
    index, count = same.index(rank), len(same)
    if count > len(own):
        return [own[index % len(own)]]
    return list(own[len(own) * index // count : len(own) * (index + 1) // count])


def _topology_key(cpu: int) -> tuple[int, int, int]:
    """A sort key: hardware threads of a core, and cores of a package, become neighbours."""
    topology = _TOPOLOGY / f"cpu{cpu}" / "topology"
    try:
        package = int((topology / "physical_package_id").read_text())
        return package, int((topology / "core_id").read_text()), cpu
    except (OSError, ValueError):
        return 0, 0, cpu
