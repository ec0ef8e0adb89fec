"""`pk.Timer`, `pk.fence` and `pk.printf`."""

from __future__ import annotations

import sys
import time

from kkspdnn.pk.system.device_fence import synchronize_device


class Timer:
    """Measures the seconds since it was made or reset."""

    def __init__(self) -> None:
        self.reset()

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self._start

    def reset(self) -> None:
        """Start again."""
        self._start = time.perf_counter()


def fence(label: str | None = None) -> None:
    """Wait until all launches are done.

    Launches on CPUs are done when they return. A launch on a GPU is asynchronous.

    label: for the reader; not used

    Raises SpaceError if an earlier launch on a GPU failed.
    """
    synchronize_device()


def printf(format: str, *values: object) -> None:
    """Print values in a format of C, such as "%d %f\\n", to the standard output."""
    sys.stdout.write(format % values)
