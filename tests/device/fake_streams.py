"""Streams of a GPU and copies to it, whose tasks run as late or as early as events allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class FakeEvent:
    """An event after the first `count` tasks of a stream."""

    stream: FakeStream
    count: int

    def synchronize(self) -> None:
        self.stream.run_until(self.count)


@dataclass
class FakeStream:
    """A stream whose tasks run when an event is waited for, or when `schedule` says so.

    schedule: the number of pending tasks to run after a task was added
    """

    schedule: Callable[[int], int]
    tasks: list[Callable[[], object]] = field(default_factory=list)
    done: int = 0

    def add(self, task: Callable[[], object]) -> None:
        self.tasks.append(task)
        self.run_until(self.done + self.schedule(len(self.tasks) - self.done))

    def run_until(self, count: int) -> None:
        while self.done < count:
            self.done += 1
            self.tasks[self.done - 1]()

    def record(self) -> FakeEvent:
        return FakeEvent(self, len(self.tasks))

    def wait_event(self, event: FakeEvent) -> None:
        self.add(event.synchronize)

    def synchronize(self) -> None:
        self.run_until(len(self.tasks))


class FakeTransfer:
    """A transfer whose device memory changes only when a task of a stream runs."""

    def __init__(self, launches: FakeStream, copies: FakeStream) -> None:
        self.launches = launches
        self.copies = copies

    def allocate_pinned(self, size: int) -> NDArray[np.uint8]:
        return np.full(size, 0xAA, np.uint8)

    def allocate(self, size: int) -> NDArray[np.uint8]:
        return np.full(size, 0xBB, np.uint8)

    def copy(self, host: NDArray[np.uint8], device: Any) -> None:
        self.copies.add(lambda: device.__setitem__(slice(None), host))


late = partial(min, 0)
early = partial(max, 0)


def at_random(seed: int) -> Callable[[int], int]:
    rng = np.random.default_rng(seed)
    return lambda pending: int(rng.integers(0, pending + 1))
