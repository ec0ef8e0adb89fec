"""Times of launches, while a program asks for them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from time import perf_counter
from typing import Any


@dataclass(frozen=True)
class LaunchTimes:
    """The times of all launches with one label, in seconds.

    count: the number of launches
    total, shortest, longest: from the call of the compiled function until the device is done
    """

    label: str
    count: int
    total: float
    shortest: float
    longest: float

    @property
    def mean(self) -> float:
        """The mean time of a launch."""
        return self.total / self.count

    def with_launch(self, seconds: float) -> LaunchTimes:
        """Return the times with those of one more launch."""
        return replace(
            self,
            count=self.count + 1,
            total=self.total + seconds,
            shortest=min(self.shortest, seconds),
            longest=max(self.longest, seconds),
        )


class LaunchRecorder:
    """Adds up the times of launches by label."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, LaunchTimes] = {}

    def add(self, label: str, seconds: float) -> None:
        """Add the time of one launch."""
        with self._lock:
            known = self._times.get(label)
            if known is None:
                self._times[label] = LaunchTimes(label, 1, seconds, seconds, seconds)
            else:
                self._times[label] = known.with_launch(seconds)

    @property
    def times(self) -> tuple[LaunchTimes, ...]:
        """The times of all launches so far, one for each label, with the largest total first."""
        with self._lock:
            return tuple(sorted(self._times.values(), key=lambda each: -each.total))


@contextmanager
def time_launches() -> Iterator[LaunchRecorder]:
    """Record the time of each launch inside the block, from all threads of this process.

    Launches wait for the device, also on a GPU, where they return at once otherwise. Those of
    `pykokkos.parallel_for` of the real PyKokkos are not recorded.
    """
    recorder = LaunchRecorder()
    active_recorders().add(recorder)
    try:
        yield recorder
    finally:
        active_recorders().remove(recorder)


Recorders = tuple[LaunchRecorder, ...]
_Update = Callable[[Recorders], None]


class _ActiveRecorders:
    """The recorders of this process, and what launches workunits."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recorders: Recorders = ()
        self._launchers: list[weakref.WeakMethod[_Update]] = []

    def follow(self, update: _Update) -> None:
        """Call a method with all recorders, now and whenever they change."""
        with self._lock:
            self._launchers.append(weakref.WeakMethod(update))
            update(self._recorders)

    def add(self, recorder: LaunchRecorder) -> None:
        self._set(lambda known: (*known, recorder))

    def remove(self, recorder: LaunchRecorder) -> None:
        self._set(lambda known: tuple(each for each in known if each is not recorder))

    def _set(self, change: Callable[[Recorders], Recorders]) -> None:
        with self._lock:
            self._recorders = change(self._recorders)
            for reference in self._launchers:
                update = reference()
                if update is not None:
                    update(self._recorders)


@cache
def active_recorders() -> _ActiveRecorders:
    """Return the recorders of this process."""
    return _ActiveRecorders()


def timed(
    launch: Callable[..., Any],
    label_of: Callable[..., str],
    recorders: Sequence[LaunchRecorder],
    wait: Callable[[], object] | None,
) -> Callable[..., Any]:
    """Return a function that launches and reports the time; without recorders `launch` itself.

    label_of: returns the label from the arguments of `launch`
    wait: waits for the device; None if `launch` does
    """
    if not recorders:
        return launch

    def timed_launch(*positional: Any, **named: Any) -> Any:
        if wait is not None:
            wait()
        start = perf_counter()
        result = launch(*positional, **named)
        if wait is not None:
            wait()
        seconds = perf_counter() - start
        label = label_of(*positional, **named)
        for recorder in recorders:
            recorder.add(label, seconds)
        return result

    return timed_launch
