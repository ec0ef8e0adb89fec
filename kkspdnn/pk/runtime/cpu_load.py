"""The CPU load of other processes, which decides whether a launch uses a single thread."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from kkspdnn.pk.system.cpu_time import PROC, busy_seconds, process_seconds

_INTERVAL = 0.2
"""Seconds between two readings of the kernel's counters, which count in ticks of 0.01 s."""

_PAUSE = 0.4
"""Seconds without a reading that may be a pause of this process, if it used little CPU time."""

_WORKING = 0.5
"""The cores that this process uses at least while it computes, also on a busy machine."""


class CpuLoadMonitor:
    """Decides before each launch whether a single thread is faster than all threads.

    A launch ends when its slowest thread ends. If other processes leave about one core, a second
    thread waits for its time slices and the first thread waits for the second; a single thread is
    then up to twice as fast.

    single: the last decision, which holds until the clock of `perf_counter` reaches `due`
    """

    def __init__(
        self,
        proc: Path = PROC,
        clock: Callable[[], float] = perf_counter,
        own: Callable[[], float] = process_seconds,
    ) -> None:
        """Start measuring; proc, clock and own (CPU seconds of this process) are for tests."""
        self._cores = frozenset(os.sched_getaffinity(0))
        self._proc, self._clock, self._own = proc, clock, own
        self.single = False
        self._read_counters(self._clock())

    def prefers_single_thread(self) -> bool:
        """Return whether other processes left one core or less in the last interval.

        The boundary is 1.5 cores, and an interval lasts 0.2 s or more. An interval in which this
        process paused says what other processes used then, not what they use now: the launches
        after it use all threads until the next reading.
        """
        now = self._clock()
        if now >= self.due:
            elapsed = now - self._time
            last_busy, last_own = self._busy, self._own_seconds
            self._read_counters(now)
            if last_busy is not None and self._busy is not None:
                own = (self._own_seconds - last_own) / elapsed
                others = (self._busy - last_busy) / elapsed - own
                paused = elapsed > _PAUSE and own < _WORKING
                self.single = not paused and len(self._cores) - others < 1.5
        return self.single

    def _read_counters(self, now: float) -> None:
        self._time = now
        self.due = now + _INTERVAL
        # Time that a virtual machine does not get from its host does not count as load: it slows
        # any number of threads.
        self._busy = busy_seconds(self._cores, steal=False, proc=self._proc)
        self._own_seconds = self._own()
