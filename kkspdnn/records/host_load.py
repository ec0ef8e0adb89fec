"""How much of the machine other processes use while a run is measured."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from kkspdnn.pk.system.cpu_time import PROC, busy_seconds, own_seconds

_SHORTEST = 0.2
"""Seconds. The kernel counts in ticks of 0.01 s, too coarse for less."""

_TOLERANCE = 0.25
"""Cores that other processes may take beyond those that the run leaves free. What always runs takes
less, and delays the threads of a run by less than a quarter."""


@dataclass(frozen=True)
class HostLoad:
    """How busy the machine was.

    load_average: of the last minute, when the run began; cores: that this process may run on;
    other_cores: how many of them other processes and virtual machines took, mean over the run
    busy: whether that was more than the threads of the run left free. None: unknown
    """

    load_average: float | None
    cores: int
    other_cores: float | None
    busy: bool

    @property
    def text(self) -> str:
        """For people."""
        if self.other_cores is None:
            return f"{self.cores} cores, short run: use by other processes not measured"
        return f"other processes used {self.other_cores:.1f} of {self.cores} cores"


class LoadMeter:
    """Measures from its creation on."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._cores = frozenset(os.sched_getaffinity(0))
        self._load_average = _load_average()
        self._begun = perf_counter()
        self._used = busy_seconds(self._cores, steal=True, proc=proc)
        self._own = own_seconds()

    def own_seconds(self) -> float:
        """Processor time of this process since then, and of the tools that it has run."""
        return own_seconds() - self._own

    def measured(self, own_seconds: float, threads: int) -> HostLoad:
        """The load until now.

        own_seconds: of all processes of the run on this machine; threads: that these have
        """
        cores, passed = len(self._cores), perf_counter() - self._begun
        others = None
        used = busy_seconds(self._cores, steal=True, proc=self._proc)
        if passed >= _SHORTEST and self._used is not None and used is not None:
            others = min(cores, max(0.0, (used - self._used - own_seconds) / passed))
        free = max(0, cores - threads)
        busy = others is not None and others > free + _TOLERANCE
        return HostLoad(self._load_average, cores, others, busy)


def _load_average() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
