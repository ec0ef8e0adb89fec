"""Memory budgets, errors for what exceeds them, and the peak memory of a process."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from kkspdnn.errors import InputError, short_repr
from kkspdnn.units import GB, MB

_GROUPS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)
"""For control groups of versions 2 and 1: the files with the limit and the use of memory, and the
line of memory.stat with the file cache, which is part of the use and can be reclaimed."""

_SHARE = 0.4
"""The fraction of the free memory that cached layers may use, and that activations may use."""


@dataclass(frozen=True)
class Budget:
    """The memory that this process may use, in bytes.

    total: for the whole process: Python and its libraries, the network, input rows, packed layers
    and activations; None: the free memory of the machine or container
    device_memory: returns a GPU's free memory and the memory that this process uses there; if set,
    the budget is for the GPU's memory instead of the machine's
    processes: the number of processes that share the machine's free memory
    device_processes: the number of processes that share the GPU's free memory
    """

    total: int | None = None
    device_memory: Callable[[], tuple[int, int]] | None = None
    processes: int = 1
    device_processes: int = 1

    @classmethod
    def from_gigabytes(cls, gigabytes: float | None) -> Budget:
        """Return a budget of this many gigabytes of 10^9 bytes; None sets no total.

        Raises InputError unless `gigabytes` is finite and above 0.
        """
        if gigabytes is None:
            return cls()
        try:
            valid = math.isfinite(gigabytes) and gigabytes > 0
        except (TypeError, ValueError):
            valid = False
        if not valid:
            raise InputError(f"memory {short_repr(gigabytes)}: give gigabytes, a number above 0")
        return cls(int(gigabytes * GB))

    def free(self) -> int:
        """Return the bytes left of the budget, at most the free memory."""
        limit = self.unused()
        return limit if self.total is None else max(0, min(limit, self.total - self._used()))

    def unused(self) -> int:
        """Return this process's fraction of the free memory of the machine or GPU, in bytes."""
        if self.device_memory is None:
            return free_memory() // self.processes
        return self.device_memory()[0] // self.device_processes

    def _used(self) -> int:
        return resident_memory() if self.device_memory is None else self.device_memory()[1]

    def share(self) -> int:
        """Return 40 % of the free bytes, for one purpose such as cached layers.

        Two purposes leave 20 % for memory that is not accounted for.
        """
        return int(_SHARE * self.free())

    def require(self, needed: int, what: str) -> None:
        """Raise InputError if fewer than `needed` bytes are free; `what` begins the message."""
        free = self.free()
        if needed <= free:
            return
        text = f"{what} need {_format_bytes(needed)} of memory, {_format_bytes(free, math.floor)}"
        if self.total is None or needed > self.unused():
            raise InputError(f"{text} are free; use a smaller network or a machine with more")
        least = math.ceil((self._used() + needed) / GB * 100) / 100
        raise InputError(
            f"{text} are left of a budget of {self.total / GB:g} GB; "
            f"at least memory={least:.2f} is needed"
        )

    def require_share(self, needed: int, what: str) -> None:
        """Raise InputError if `needed` bytes exceed `share`; `what` begins the message."""
        self.require(math.ceil(needed / _SHARE), what)


def _format_bytes(size: int, rounding: Callable[[float], int] = math.ceil) -> str:
    """Return bytes as gigabytes, or as megabytes below 0.1 GB, with unit.

    rounding: of hundredths; needed memory is rounded up and free memory down, so that a message
    never has the same number for both
    """
    unit, name = (GB, "GB") if size >= GB // 10 else (MB, "MB")
    return f"{rounding(size / unit * 100) / 100:.2f} {name}"


def free_memory(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the free bytes of this machine, or of the container of this process.

    groups: the folder of control groups
    """
    free = int(psutil.virtual_memory().available)
    for limit_file, use_file, cache_line in _GROUPS:
        try:
            limit = (groups / limit_file).read_text().strip()
            used = int((groups / use_file).read_text())
            stat = (groups / use_file).with_name("memory.stat").read_text()
            cache = dict(line.split() for line in stat.splitlines()).get(cache_line, "0")
            if limit != "max":
                free = min(free, max(0, int(limit) - used + int(cache)))
        except (OSError, ValueError):
            continue
    return free


def resident_memory() -> int:
    """Return the resident memory of this process, in bytes."""
    return int(psutil.Process().memory_info().rss)


def peak_memory(status: Path = Path("/proc/self/status")) -> int:
    """Return the peak resident memory of this process so far, in bytes."""
    try:
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        # A process may inherit this peak from its parent.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def can_overcommit(proc: Path = Path("/proc")) -> bool:
    """Return whether this process may reserve more memory than it uses.

    It may not if the kernel counts reserved memory (vm.overcommit_memory = 2), or if the address
    space of the process is limited (ulimit -v).
    """
    try:
        strict = (proc / "sys" / "vm" / "overcommit_memory").read_text().strip() == "2"
    except OSError:
        return False
    return not strict and resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
