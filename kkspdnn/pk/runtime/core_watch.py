"""Whether other processes leave this one more than one core."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from kkspdnn.pk.system.cpu_time import PROC, busy_seconds, process_seconds

_INTERVAL = 0.2
"""Seconds between two readings of the kernel's counts, which have ticks of 0.01 s."""


class CoreWatch:
    """Tells, before each launch, whether the launch is better off with a single thread.

    A launch ends when its slowest thread ends. With about one core left by other processes, a
    second thread waits for its time slices, and the first one waits for it: a single thread is then
    up to twice as fast.
    """

    def __init__(
        self,
        proc: Path = PROC,
        clock: Callable[[], float] = perf_counter,
        own: Callable[[], float] = process_seconds,
    ) -> None:
        self._cores = frozenset(os.sched_getaffinity(0))
        self._proc, self._clock, self._own = proc, clock, own
        self._single = False
        self._read(self._clock())

    def single(self) -> bool:
        """Did other processes leave about one core, or less, in the last 0.2 s or more?"""
        now = self._clock()
        passed = now - self._time
        if passed >= _INTERVAL:
            busy, own = self._busy, self._own_before
            self._read(now)
            if busy is not None and self._busy is not None:
                others = (self._busy - busy - (self._own_before - own)) / passed
                self._single = len(self._cores) - others < 1.5
        return self._single

    def _read(self, now: float) -> None:
        self._time = now
        # A virtual machine that gets less of its host gets less for every number of threads.
        self._busy = busy_seconds(self._cores, steal=False, proc=self._proc)
        self._own_before = self._own()
