"""Times of launches, while a program asks for them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from time import perf_counter
from typing import Any

_layers_now: ContextVar[range | None] = ContextVar("layers_now", default=None)
"""The layers that the launches of this thread compute, see `computing_layers`."""


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


@dataclass(frozen=True)
class LayerTimes:
    """The times of all launches that compute the same layers of a network.

    layers: their indices, from 0
    count: the number of launches
    rows: the number of rows that were computed, summed over all batches
    total: seconds, as in LaunchTimes
    """

    layers: range
    count: int = 0
    rows: int = 0
    total: float = 0.0


@dataclass(frozen=True)
class TimedLaunch:
    """One launch.

    layers: the indices of the layers that it computes, from 0; None if it computes none
    """

    label: str
    layers: range | None
    seconds: float


class LaunchRecorder:
    """Adds up the times of launches, by label and by layers."""

    def __init__(self, keep_launches: bool = False) -> None:
        """keep_launches: whether to keep each launch in `launches`, for about 100 bytes each"""
        self._lock = threading.Lock()
        self._times: dict[str, LaunchTimes] = {}
        self._layer_times: dict[range, LayerTimes] = {}
        self._launches: list[TimedLaunch] | None = [] if keep_launches else None

    def add(self, label: str, seconds: float, layers: range | None = None) -> None:
        """Add the time of one launch; layers: see `TimedLaunch`."""
        with self._lock:
            known = self._times.get(label)
            if known is None:
                self._times[label] = LaunchTimes(label, 1, seconds, seconds, seconds)
            else:
                self._times[label] = known.with_launch(seconds)
            if layers is not None:
                self._add_to_layers(layers, count=1, seconds=seconds)
            if self._launches is not None:
                self._launches.append(TimedLaunch(label, layers, seconds))

    def add_rows(self, layers: range, rows: int) -> None:
        """Add rows that the next launches compute in these layers."""
        with self._lock:
            self._add_to_layers(layers, rows=rows)

    def _add_to_layers(
        self, layers: range, count: int = 0, rows: int = 0, seconds: float = 0.0
    ) -> None:
        known = self._layer_times.get(layers, LayerTimes(layers))
        self._layer_times[layers] = LayerTimes(
            layers, known.count + count, known.rows + rows, known.total + seconds
        )

    @property
    def times(self) -> tuple[LaunchTimes, ...]:
        """The times of all launches so far, one for each label, with the largest total first."""
        with self._lock:
            return tuple(sorted(self._times.values(), key=lambda each: -each.total))

    @property
    def layer_times(self) -> tuple[LayerTimes, ...]:
        """The times of the launches of engines, one for each range of layers that launches compute
        together, in the order of the layers."""
        with self._lock:
            ranges = sorted(self._layer_times, key=lambda each: (each.start, each.stop))
            return tuple(self._layer_times[each] for each in ranges)

    @property
    def launches(self) -> tuple[TimedLaunch, ...]:
        """All launches so far, in order, if they are kept; else none."""
        with self._lock:
            return tuple(self._launches or ())


@contextmanager
def time_launches(keep_launches: bool = False) -> Iterator[LaunchRecorder]:
    """Record the time of each launch inside the block, from all threads of this process.

    keep_launches: whether the recorder also keeps each launch, for about 100 bytes each

    Launches wait for the device, also on a GPU, where they return at once otherwise. Those of
    `pykokkos.parallel_for` of the real PyKokkos are not recorded.
    """
    recorder = LaunchRecorder(keep_launches)
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

    @property
    def recorders(self) -> Recorders:
        """The recorders now."""
        return self._recorders

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


def is_recording() -> bool:
    """Return whether launches are recorded now."""
    return bool(active_recorders().recorders)


@contextmanager
def computing_layers(layers: range, rows: int) -> Iterator[None]:
    """Record the launches of this thread inside the block as those that compute these layers.

    layers: their indices, from 0
    rows: the number of rows to add to those that were computed in these layers
    """
    for recorder in active_recorders().recorders:
        recorder.add_rows(layers, rows)
    token = _layers_now.set(layers)
    try:
        yield
    finally:
        _layers_now.reset(token)


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
        label, layers = label_of(*positional, **named), _layers_now.get()
        for recorder in recorders:
            recorder.add(label, seconds, layers)
        return result

    return timed_launch
