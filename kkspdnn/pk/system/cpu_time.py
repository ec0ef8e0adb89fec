"""Processor time: of this process, and of everything on its cores."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection
from pathlib import Path

PROC = Path("/proc")


def busy_seconds(cores: Collection[int], *, steal: bool, proc: Path = PROC) -> float | None:
    """Seconds that these cores have spent in any process since the start of the machine.

    steal: also those that they were given to other virtual machines. None where /proc/stat does not
    tell. The kernel counts in ticks of 0.01 s.
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


def own_seconds() -> float:
    """Processor time of this process and of its children that have ended, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
