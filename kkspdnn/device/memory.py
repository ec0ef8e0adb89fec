"""How much memory a run may take, a clear refusal of what cannot fit into it, and its peak."""

from __future__ import annotations

import math
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from kkspdnn.errors import InputError, shown
from kkspdnn.units import GB

_GROUPS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)
"""The files of a control group, versions 2 and 1: its limit, its use, and what of that is cache."""

_SHARE = 0.4
"""The part of the free memory that one use of it may take: layers, activations."""


@dataclass(frozen=True)
class Budget:
    """What this process may take of the machine's memory.

    total: bytes, of the whole process: Python and its libraries, the network, input rows, layers as
    the kernels take them, activations; None: what is free on the machine or in the container
    device: asks a GPU for the bytes that are free there and those that this process has taken,
    which then count instead of the machine's
    processes, on_device: how many like this one take of the machine's free memory, and of the GPU's
    """

    total: int | None = None
    device: Callable[[], tuple[int, int]] | None = None
    processes: int = 1
    on_device: int = 1

    @classmethod
    def of(cls, gigabytes: float | None) -> Budget:
        """From gigabytes of 10^9 bytes; InputError unless above 0 and finite."""
        if gigabytes is None:
            return cls()
        try:
            usable = math.isfinite(gigabytes) and gigabytes > 0
        except (TypeError, ValueError):
            usable = False
        if not usable:
            raise InputError(f"memory {shown(gigabytes)}: give gigabytes, a number above 0")
        return cls(int(gigabytes * GB))

    def free(self) -> int:
        """Bytes that this process may still take, none of them more than the machine has free."""
        most = self.most()
        return most if self.total is None else max(0, min(most, self.total - self._taken()))

    def most(self) -> int:
        """Bytes that are free on the machine, or on the GPU: this process's part of them."""
        if self.device is None:
            return free_memory() // self.processes
        return self.device()[0] // self.on_device

    def _taken(self) -> int:
        return resident_memory() if self.device is None else self.device()[1]

    def share(self) -> int:
        """Bytes that one use may take of what is free; the rest is for all that is not counted."""
        return int(_SHARE * self.free())

    def require(self, needed: int, what: str) -> None:
        """Raise InputError, beginning with `what`, where `needed` bytes are more than are free."""
        free = self.free()
        if needed <= free:
            return
        text = f"{what} need {in_gigabytes(needed)} of memory"
        if self.total is None or needed > self.most():
            raise InputError(
                f"{text}, {free / GB:.2f} GB are free; use a smaller network or a machine with more"
            )
        least = in_gigabytes(self._taken() + needed)
        raise InputError(
            f"{text}, {free / GB:.2f} GB are left of a budget of {self.total / GB:g} GB; "
            f"at least --memory {least.split()[0]} is needed"
        )

    def require_share(self, needed: int, what: str) -> None:
        """As `require`, where `needed` bytes are to be one use of what is free."""
        self.require(math.ceil(needed / _SHARE), what)


def in_gigabytes(size: int) -> str:
    """Bytes as text, rounded up."""
    return f"{math.ceil(size / GB * 100) / 100:.2f} GB"


def free_memory(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that are free on this machine, or in the container that this process runs in."""
    free = int(psutil.virtual_memory().available)
    for limit, used, cached in _GROUPS:
        try:
            most = (groups / limit).read_text().strip()
            current = int((groups / used).read_text())
            stat = (groups / used).with_name("memory.stat").read_text()
            cache = dict(line.split() for line in stat.splitlines()).get(cached, "0")
            if most != "max":
                free = min(free, max(0, int(most) - current + int(cache)))
        except (OSError, ValueError):
            continue
    return free


def resident_memory() -> int:
    """Bytes of memory that this process has now."""
    return int(psutil.Process().memory_info().rss)


def peak_memory(status: Path = Path("/proc/self/status")) -> int:
    """The most bytes of memory that this process has had so far, at any time since it began."""
    try:
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        # In a process that another one started, this may be the other's.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
