"""Layers copied to a GPU while it computes: into two buffers in turn, on a stream of their own."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 256
"""Every array of a layer begins at a multiple of this, as an allocation of its own would."""

Put = Callable[[NDArray[Any]], Any]
"""Moves one array of a layer to where the workunits run."""


class Event(Protocol):
    """A place in a stream."""

    def synchronize(self) -> None:
        """Let the host wait until the stream has come here."""


class Stream(Protocol):
    """Work for a GPU, done in its order, but in no order with that of another stream."""

    def record(self) -> Event:
        """The place after all that the stream was given so far."""

    def wait_event(self, event: Any) -> None:
        """Do nothing that is given from now on before the other stream has come to `event`."""

    def synchronize(self) -> None:
        """Let the host wait until all is done."""


class Transfer(Protocol):
    """Copying to a GPU beside its launches: `kkspdnn.device.space.CupyTransfer`.

    launches: the stream of the workunits; copies: that of `send`
    """

    launches: Stream
    copies: Stream

    def pinned(self, size: int) -> NDArray[np.uint8]:
        """Bytes of the host that the GPU reads by itself: of others a copy waits for the host."""

    def room(self, size: int) -> Any:
        """Bytes of the GPU, an array of uint8. Earlier launches may still use them."""

    def send(self, host: NDArray[np.uint8], device: Any) -> None:
        """Copy one to the other, on `copies`."""


class _Buffer:
    """One layer, number `key`, on the host and on the GPU; `sent`: when the second is complete."""

    def __init__(self) -> None:
        self.key: int | None = None
        self.layer: Any = None
        self.host: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.device: Any = None
        self.sent: Event | None = None


class TwoBuffers:
    """Layers on a GPU that has no room for all: the one that is computed, and the next.

    Three rules keep their bytes right. A launch begins after its layer has arrived. A layer is sent
    after the launches are done that read the one it replaces. The host writes the next layer into
    pinned memory after the last one has left it.
    """

    def __init__(self, transfer: Transfer, placed: Callable[[Any, Put], Any]) -> None:
        """placed: a layer with each of its arrays where a function puts it."""
        self._transfer = transfer
        self._placed = placed
        self._buffers = _Buffer(), _Buffer()
        self._current = self._buffers[1]
        self._before: Event | None = None
        # Nobody else may be given this memory while a copy is on its way there.
        weakref.finalize(self, _drain, transfer.copies)

    def get(self, key: int, make: Callable[[], Any]) -> Any:
        """Layer number `key`, for the launches that are made until the next call with another
        number; make: gives it with its arrays on the host, where it is not here yet."""
        buffer = self._holding(key) or self._send(key, make)
        if buffer is not self._current:
            # The other buffer is read by launches made so far, and by none from now on.
            self._before = self._transfer.launches.record()
            self._transfer.launches.wait_event(buffer.sent)
            self._current = buffer
        return buffer.layer

    def ahead(self, key: int, make: Callable[[], Any]) -> None:
        """Begin to copy the layer that `get` will be asked for next."""
        if self._holding(key) is None:
            self._send(key, make)

    def _holding(self, key: int) -> _Buffer | None:
        return next((each for each in self._buffers if each.key == key), None)

    def _send(self, key: int, make: Callable[[], Any]) -> _Buffer:
        """Copy a layer into the buffer that is not current."""
        one, other = self._buffers
        buffer = other if self._current is one else one
        layer = make()
        buffer.key = None
        if buffer.sent is not None:
            buffer.sent.synchronize()
        parts: list[tuple[int, NDArray[Any]]] = []
        end = 0

        def measure(array: NDArray[Any]) -> NDArray[Any]:
            nonlocal end
            parts.append((end, array))
            end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
            return array

        self._placed(layer, measure)
        transfer, before = self._transfer, self._before
        if end > buffer.host.size:
            buffer.host = transfer.pinned(end)
            buffer.device = transfer.room(end)
            before = transfer.launches.record()
        for begin, array in parts:
            there = buffer.host[begin : begin + array.nbytes]
            there[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        if before is not None:
            transfer.copies.wait_event(before)
        if end:
            transfer.send(buffer.host[:end], buffer.device[:end])
        buffer.sent = transfer.copies.record()
        begins = iter([begin for begin, _ in parts])

        def put(array: NDArray[Any]) -> Any:
            begin = next(begins)
            there = buffer.device[begin : begin + array.nbytes]
            return there.view(array.dtype).reshape(array.shape)

        buffer.layer = self._placed(layer, put)
        buffer.key = key
        return buffer


def _drain(copies: Stream) -> None:
    # A GPU that failed has told so before, and copies nothing any more.
    with suppress(Exception):
        copies.synchronize()
