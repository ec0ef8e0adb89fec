"""CPU time of this process, and of all processes on a set of cores."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection
from pathlib import Path

PROC = Path("/proc")


def busy_seconds(cores: Collection[int], *, steal: bool, proc: Path = PROC) -> float | None:
    """Return the CPU time of all processes on these cores since the machine started, in seconds.

    None if /proc/stat has no such counts. The kernel counts in ticks of 0.01 s.

    steal: add the time in which the host ran other virtual machines on these cores
    """
    try:
        lines = (proc / "stat").read_text().splitlines()
        ticks = 0
        for line in lines:
            name, *counts = line.split()
            if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in cores:
                user, nice, system, _idle, _wait, irq, softirq, stolen = map(int, counts[:8])
                ticks += user + nice + system + irq + softirq + (stolen if steal else 0)
    except (OSError, ValueError):
        return None
    return ticks / os.sysconf("SC_CLK_TCK")


def process_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
