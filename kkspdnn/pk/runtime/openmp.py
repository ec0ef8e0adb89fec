"""OpenMP settings while Kokkos starts: thread binding, and how long waiting threads spin."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kkspdnn.pk.build.toolchain import usable_cores

_PROC, _NODES = Path("/proc"), Path("/sys/devices/system/node")
_PF_FORKNOEXEC = 0x40
"""The kernel's process flag: forked, and no exec since."""

_SPINS, _SPINS_WITHOUT_PAUSE = "10000", "200000"
"""Iterations of libgomp's waiting loop in about 0.3 ms.

The first is for x86-64, whose pause instruction takes 40 to 140 cycles; the second is for other
processors. Launches follow each other faster, so that threads seldom sleep on an idle machine. The
default, 300,000 iterations, is longer than the scheduler's time slices: on a busy machine, a
spinning thread then uses up the time of the thread that it waits for."""

_BLOCKTIME = "1"
"""Milliseconds that libomp spins: the minimum of all its versions. The default is 200."""

_BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
_SPINNING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


@contextmanager
def openmp_start_settings(threads: int | None) -> Iterator[bool]:
    """Set OpenMP's environment variables while its library is loaded and its threads are created.

    Yields whether kkspdnn set how threads wait. Variables that the user has set are not replaced.

    threads: their number, if it is known

    Waiting threads spin for about 0.3 ms, then sleep. On a machine with several NUMA nodes, each
    thread is bound to a node, unless there are more threads than cores. Within a node the operating
    system schedules the threads: a thread bound to a core would wait for that core whenever another
    process runs there.

    OpenMP reads its variables when its library is loaded, so that they are set for that time only.
    If another package, such as PyTorch or scikit-learn, has loaded the same library before, they
    have no effect.
    """
    added: dict[str, str] = {}
    affinity = os.sched_getaffinity(0)
    if not _is_set(_BINDING) and (threads or 0) <= usable_cores():
        nodes = numa_nodes(affinity)
        if len(nodes) > 1:
            omp_places = ",".join(f"{{{','.join(map(str, cores))}}}" for cores in nodes)
            added |= {"OMP_PROC_BIND": "spread", "OMP_PLACES": omp_places}
    default_waiting = not _is_set(_SPINNING)
    if default_waiting:
        has_pause = platform.machine() in ("x86_64", "AMD64")
        spins = _SPINS if has_pause else _SPINS_WITHOUT_PAUSE
        added |= {"GOMP_SPINCOUNT": spins, "KMP_BLOCKTIME": _BLOCKTIME}
    os.environ.update(added)
    try:
        yield default_waiting
    finally:
        for name in added:
            del os.environ[name]
        if "OMP_PROC_BIND" in added:
            # OpenMP has bound this thread too. Otherwise the rest of the Python program, and every
            # tool that it starts, would stay on one node.
            os.sched_setaffinity(0, affinity)


def _is_set(names: tuple[str, ...]) -> bool:
    """Return whether one of these variables is set, also with a suffix as in OMP_PROC_BIND_DEV."""
    return any(name.startswith(names) for name in os.environ)


def numa_nodes(usable: set[int], folder: Path = _NODES) -> list[list[int]]:
    """Return the usable cores of each NUMA node, without nodes that have none."""
    nodes = []
    for file in sorted(folder.glob("node[0-9]*/cpulist")):
        try:
            cores = sorted(usable & set(_parse_cpu_list(file.read_text())))
        except (OSError, ValueError):
            return []
        if cores:
            nodes.append(cores)
    return nodes


def _parse_cpu_list(text: str) -> Iterator[int]:
    """Yield the numbers in a list such as `0-3,8`."""
    for item in text.split(","):
        if item.strip():
            first, _, last = item.partition("-")
            yield from range(int(first), int(last or first) + 1)


def was_forked(proc: Path = _PROC) -> bool:
    """Return whether this process was forked and has not called exec since."""
    try:
        fields = (proc / "self" / "stat").read_text().rpartition(")")[2].split()
        return bool(int(fields[6]) & _PF_FORKNOEXEC)
    except (OSError, ValueError, IndexError):
        return False


def openmp_is_loaded(proc: Path = _PROC) -> bool:
    """Return whether this process has loaded an OpenMP library."""
    try:
        maps = (proc / "self" / "maps").read_text()
    except OSError:
        return False
    return any(f"/{name}" in maps for name in ("libgomp", "libomp", "libiomp"))
