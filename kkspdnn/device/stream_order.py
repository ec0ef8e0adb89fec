"""The order of launches and of the caller's own work on an NVIDIA GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kkspdnn.device.space import Space


@contextmanager
def in_stream_order(space: Space) -> Iterator[None]:
    """Prepare this thread for launches, which start after earlier work in CuPy's current stream.
    Later work in that stream starts after the launches. The host does not wait.

    Launches are ordered with the legacy default stream, see CupyTransfer, and `prepare_thread`
    makes it CuPy's current stream. The stream of the caller is made current again.
    """
    assert space.device is not None
    caller = space.xp.cuda.get_current_stream(space.device.number)
    space.prepare_thread()
    launches = space.xp.cuda.Stream.null
    launches.wait_event(caller.record())
    try:
        yield
    finally:
        caller.wait_event(launches.record())
        caller.use()
