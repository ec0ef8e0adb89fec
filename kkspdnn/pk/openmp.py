"""How OpenMP is started: where its threads run, and how long they spin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

from kkspdnn.pk.toolchain import usable_cores

_PROC = Path("/proc")
_FORKED = 0x40
"""PF_FORKNOEXEC of the kernel: forked, and no exec since."""

_SAMPLES, _PAUSE = 4, 0.001
"""How often, and how many seconds apart, other processes are looked for."""

_SPINS = "10000"
"""Iterations of libgomp's waiting loop: 0.03 to 0.6 ms, as a processor takes 10 to 140 cycles for
its pause instruction. Launches follow each other faster. By default it is 300,000, which is longer
than the scheduler's time slices: a spinning thread then uses up the time of the one that it waits
for."""

_BLOCKTIME = "1"
"""Milliseconds, the same for libomp, whose default is 200."""

_BINDING = {"OMP_PROC_BIND": "spread", "OMP_PLACES": "cores"}
_SPINNING = {"GOMP_SPINCOUNT": _SPINS, "KMP_BLOCKTIME": _BLOCKTIME}
_CHOICES = {
    "binding": ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY"),
    "spinning": ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY"),
}
"""The user's own variables, any of which wins over ours."""


@contextmanager
def starting_openmp(threads: int | None) -> Iterator[None]:
    """Choose how OpenMP behaves while its library is loaded and its threads are created.

    threads: how many there will be, if that is known.

    Threads that wait for others spin for less than a millisecond, then sleep. They are bound to
    cores of their own, unless there are more threads than cores, or other processes run now: then
    the system places them. A user's choice wins over either.

    OpenMP reads its variables when its library is loaded, so they are set for that time only. If
    another package, such as PyTorch or scikit-learn, has loaded the same library before, they have
    no effect.
    """
    added: dict[str, str] = {}
    if not _chosen("binding") and (threads or 0) <= usable_cores() and not others_run():
        added |= _BINDING
    if not _chosen("spinning"):
        added |= _SPINNING
    before = os.sched_getaffinity(0)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
        if "OMP_PROC_BIND" in added:
            # OpenMP has bound this thread as well. All that Python does later, and every tool that
            # it starts, would share one core.
            os.sched_setaffinity(0, before)


def _chosen(what: str) -> bool:
    """Variables may have a suffix, as OMP_PROC_BIND_DEV."""
    return any(name.startswith(_CHOICES[what]) for name in os.environ)


def others_run(proc: Path = _PROC) -> bool:
    """Do other threads than this one run, or wait for a core, all the time?"""
    for sample in range(_SAMPLES):
        if sample:
            sleep(_PAUSE)
        running = running_threads(proc)
        if running is None or running <= 1:
            return False
    return True


def running_threads(proc: Path = _PROC) -> int | None:
    """The threads of the machine that run or wait for a core, this one included; None if the
    system does not tell."""
    try:
        return int((proc / "loadavg").read_text().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return None


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
