"""How OpenMP is started: where its threads run, and how long they spin."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kkspdnn.pk.build.toolchain import usable_cores

_PROC, _NODES = Path("/proc"), Path("/sys/devices/system/node")
_FORKED = 0x40
"""PF_FORKNOEXEC of the kernel: forked, and no exec since."""

_SPINS, _SPINS_WITHOUT_PAUSE = "3000", "60000"
"""Iterations of libgomp's waiting loop, some 0.1 ms: with the pause instruction of x86-64, of 40 to
140 cycles, and on other processors.

Launches follow each other faster, so on an idle machine threads seldom sleep. The default is
300,000 iterations, longer than the scheduler's time slices: on a busy machine, a thread that spins
then uses up the time of the thread that it waits for."""

_BLOCKTIME = "1"
"""Milliseconds that libomp spins, the least that all of its versions take. The default is 200."""

_BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
_SPINNING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")


@contextmanager
def starting_openmp(threads: int | None) -> Iterator[bool]:
    """Choose how OpenMP behaves while its library is loaded and its threads are created.

    threads: how many there will be, if that is known. Gives whether the user has left it to kkspdnn
    how threads wait.

    Threads that wait for others spin for about 0.1 ms, then sleep. On a machine with several NUMA
    nodes, threads are bound to a node each, unless there are more threads than cores. Within a
    node the system places them: a thread that was bound to a core would wait for that core when
    another process runs there. Variables that the user has set for either win.

    OpenMP reads its variables when its library is loaded, so ours are set for that time only. If
    another package, such as PyTorch or scikit-learn, has loaded the same library before, they have
    no effect.
    """
    added: dict[str, str] = {}
    before = os.sched_getaffinity(0)
    if not _chosen(_BINDING) and (threads or 0) <= usable_cores():
        nodes = numa_nodes(before)
        if len(nodes) > 1:
            places = ",".join(f"{{{','.join(map(str, cores))}}}" for cores in nodes)
            added |= {"OMP_PROC_BIND": "spread", "OMP_PLACES": places}
    default_waiting = not _chosen(_SPINNING)
    if default_waiting:
        pauses = platform.machine() in ("x86_64", "AMD64")
        spins = _SPINS if pauses else _SPINS_WITHOUT_PAUSE
        added |= {"GOMP_SPINCOUNT": spins, "KMP_BLOCKTIME": _BLOCKTIME}
    os.environ.update(added)
    try:
        yield default_waiting
    finally:
        for name in added:
            del os.environ[name]
        if "OMP_PROC_BIND" in added:
            # OpenMP has bound this thread as well. All that Python does later, and every tool that
            # it starts, would stay on one node.
            os.sched_setaffinity(0, before)


def _chosen(names: tuple[str, ...]) -> bool:
    """Has the user set one of these variables, or one with a suffix, as OMP_PROC_BIND_DEV?"""
    return any(name.startswith(names) for name in os.environ)


def numa_nodes(usable: set[int], folder: Path = _NODES) -> list[list[int]]:
    """The cores of each NUMA node that are in `usable`, without nodes that have none of them."""
    found = []
    for file in sorted(folder.glob("node[0-9]*/cpulist")):
        try:
            cores = sorted(usable & set(_numbers(file.read_text())))
        except (OSError, ValueError):
            return []
        if cores:
            found.append(cores)
    return found


def _numbers(text: str) -> Iterator[int]:
    """`0-3,8` as numbers."""
    for part in text.split(","):
        if part.strip():
            first, _, last = part.partition("-")
            yield from range(int(first), int(last or first) + 1)


def was_forked(proc: Path = _PROC) -> bool:
    """Was this process made by a fork, without a new program since?"""
    try:
        fields = (proc / "self" / "stat").read_text().rpartition(")")[2].split()
        return bool(int(fields[6]) & _FORKED)
    except (OSError, ValueError, IndexError):
        return False


def openmp_is_loaded(proc: Path = _PROC) -> bool:
    """Is any OpenMP library in this process?"""
    try:
        maps = (proc / "self" / "maps").read_text()
    except OSError:
        return False
    return any(f"/{name}" in maps for name in ("libgomp", "libomp", "libiomp"))
