"""Which cores a rank takes of its node, where the user does not say, and which GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kkspdnn.parallel.gpus import Placement, select_gpu
from kkspdnn.parallel.ranks import Ranks
from kkspdnn.pk.build.toolchain import omp_num_threads
from kkspdnn.pk.system.cpu_quota import cpu_quota

_THREADS = "OMP_NUM_THREADS"
_TOPOLOGY = Path("/sys/devices/system/cpu")


@contextmanager
def placed(
    ranks: Ranks, space: str, threads: int | None, device: int | None
) -> Iterator[Placement]:
    """Keep this rank to its part of the node's cores while in the block; gives its GPU.

    threads, device: what the user wants, which wins, as OMP_NUM_THREADS, OMP_PLACES and
    KOKKOS_DEVICE_ID do. Else a rank has a thread for each of its cores, and the ranks of a node
    use its GPUs in turn, see `select_gpu`.
    """
    if ranks.size == 1:
        yield Placement(device)
        return
    placement = select_gpu(ranks, space, device)
    if ranks.local_size == 1:
        yield placement
        return
    before = os.sched_getaffinity(0)
    cores = own_cores(ranks.all_gather_node(sorted(before, key=_core)), ranks.local_rank)
    wanted = threads if threads is not None else omp_num_threads()
    restrict = "OMP_PLACES" not in os.environ and (wanted is None or wanted <= len(cores))
    earlier = os.environ.get(_THREADS)
    try:
        if restrict:
            os.sched_setaffinity(0, cores)
        if restrict and wanted is None:
            os.environ[_THREADS] = str(_threads(len(cores), ranks.local_size))
        yield placement
    finally:
        os.sched_setaffinity(0, before)
        if earlier is None:
            os.environ.pop(_THREADS, None)
        else:
            os.environ[_THREADS] = earlier


def _threads(cores: int, ranks: int) -> int:
    """A thread for each of a rank's cores, as far as the quota of the node's ranks allows."""
    quota = cpu_quota()
    return cores if quota is None else min(cores, max(1, quota // ranks))


def own_cores(allowed: Sequence[Sequence[int]], rank: int) -> list[int]:
    """The cores that one of a node's ranks takes of those that it may run on, at least one.

    allowed: for each rank its cores, neighbours in the machine next to each other. Ranks that may
    run on the same cores part them evenly; where there are fewer cores than ranks they take turns.
    """
    mine = allowed[rank]
    alike = [number for number, cores in enumerate(allowed) if set(cores) == set(mine)]
    place, count = alike.index(rank), len(alike)
    if count > len(mine):
        return [mine[place % len(mine)]]
    return list(mine[len(mine) * place // count : len(mine) * (place + 1) // count])


def _core(cpu: int) -> tuple[int, int, int]:
    """Sorts hardware threads of one core, and cores of one package, next to each other."""
    topology = _TOPOLOGY / f"cpu{cpu}" / "topology"
    try:
        package = int((topology / "physical_package_id").read_text())
        return package, int((topology / "core_id").read_text()), cpu
    except (OSError, ValueError):
        return 0, 0, cpu
