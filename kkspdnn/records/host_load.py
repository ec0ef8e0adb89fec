"""The load that other processes put on the machine during a run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from kkspdnn.pk.system.cpu_time import PROC, busy_seconds, process_seconds
from kkspdnn.records.provenance import load_average

_MIN_SECONDS = 0.2
"""The shortest run that is measured: the kernel's counters have a resolution of 0.01 s."""

_TOLERANCE = 0.25
"""Cores that other processes may use, beyond those without a thread of the run, before the machine
counts as busy. System services use less, and delay a run by less than a quarter."""


@dataclass(frozen=True)
class HostLoad:
    """The load of the machine during a run.

    load_average: the mean of the minute before the run; None if unknown
    cores: the number of cores that this process may use
    other_cores: the number of them that other processes and virtual machines used, averaged over
    the run; None if unknown
    busy: whether other processes used more cores than the threads of the run left idle
    """

    load_average: float | None
    cores: int
    other_cores: float | None
    busy: bool

    @property
    def summary(self) -> str:
        """A one-line description."""
        if self.other_cores is None:
            return f"{self.cores} cores, short run: use by other processes not measured"
        return f"other processes used {self.other_cores:.1f} of {self.cores} cores"


class LoadMeter:
    """Measures the load of the machine from its creation on."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._cores = frozenset(os.sched_getaffinity(0))
        self._load_average = load_average()
        self._start = perf_counter()
        self._used = busy_seconds(self._cores, steal=True, proc=proc)
        self._own = process_seconds()

    def own_seconds(self) -> float:
        """Return the processor time, in seconds, of this process and of its child processes."""
        return process_seconds() - self._own

    def measure(self, own_seconds: float, threads: int) -> HostLoad:
        """Return the load so far.

        own_seconds: the processor time of all processes of the run on this machine
        threads: the number of their threads
        """
        cores, elapsed = len(self._cores), perf_counter() - self._start
        others = None
        used = busy_seconds(self._cores, steal=True, proc=self._proc)
        if elapsed >= _MIN_SECONDS and self._used is not None and used is not None:
            others = min(cores, max(0.0, (used - self._used - own_seconds) / elapsed))
        idle = max(0, cores - threads)
        busy = others is not None and others > idle + _TOLERANCE
        return HostLoad(self._load_average, cores, others, busy)
