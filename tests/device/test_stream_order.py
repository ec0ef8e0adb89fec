"""Launches come between the caller's earlier and later work on a GPU."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from kkspdnn.device.space import Space
from kkspdnn.device.stream_order import in_stream_order
from tests.cupy_on_host import fake_gpu


class Stream:
    """A stream that writes to a log; its events are its name."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def record(self) -> str:
        self.log.append(f"{self.name} records")
        return self.name

    def wait_event(self, event: str) -> None:
        self.log.append(f"{self.name} waits for {event}")

    def use(self) -> None:
        self.log.append(f"{self.name} is current")


def space_with(log: list[str]) -> Space:
    def current(number: int) -> Any:
        log.append(f"asks for the stream of GPU {number}")
        return Stream("caller", log)

    cuda = SimpleNamespace(
        get_current_stream=current, Stream=SimpleNamespace(null=Stream("launches", log))
    )
    return replace(
        fake_gpu(), xp=SimpleNamespace(cuda=cuda), prepare_thread=lambda: log.append("prepares")
    )


BEFORE = ["asks for the stream of GPU 0", "prepares", "caller records", "launches waits for caller"]
AFTER = ["launches records", "caller waits for launches", "caller is current"]


def test_the_order() -> None:
    log: list[str] = []
    with in_stream_order(space_with(log)):
        log.append("launch")
    assert log == [*BEFORE, "launch", *AFTER]


def test_an_error_restores_the_stream() -> None:
    log: list[str] = []
    with pytest.raises(KeyError), in_stream_order(space_with(log)):
        raise KeyError
    assert log == [*BEFORE, *AFTER]
