"""A double buffer for layers on a GPU: while one layer is computed, the next one is copied."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 256
"""Bytes. The offset of every array in a buffer is a multiple, as for a separate allocation."""

ToDevice = Callable[[NDArray[Any]], Any]
"""Copies an array of a layer to the memory that the workunits access."""


class Event(Protocol):
    """A position in a stream, like CUDA's events."""

    def synchronize(self) -> None:
        """Block the host until the stream has reached this position."""


class Stream(Protocol):
    """A queue of GPU work: in order within a stream, unordered between streams."""

    def record(self) -> Event:
        """Return an event after all work submitted so far."""

    def wait_event(self, event: Any) -> None:
        """Delay all work submitted from now on until `event` has been reached."""

    def synchronize(self) -> None:
        """Block the host until all submitted work is done."""


class Transfer(Protocol):
    """Copies to a GPU that overlap with launches; see `kkspdnn.device.transfer.CupyTransfer`.

    launches: the stream of the workunits
    copies: the stream of `copy`
    """

    launches: Stream
    copies: Stream

    def allocate_pinned(self, size: int) -> NDArray[np.uint8]:
        """Return page-locked host memory of `size` bytes, from which copies are asynchronous."""

    def allocate(self, size: int) -> Any:
        """Return GPU memory of `size` bytes, as an array of uint8.

        Earlier launches may still access it.
        """

    def copy(self, host: NDArray[np.uint8], device: Any) -> None:
        """Copy `host` to `device`, in the stream `copies`."""


class _Buffer:
    """The memory of one layer on the host and on the GPU.

    number: the layer in the buffer, or None
    layer: with its arrays on the GPU
    copied: the event after the copy to the GPU
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.layer: Any = None
        self.host: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.device: Any = None
        self.copied: Event | None = None


class DoubleBuffer:
    """Streams the layers of a network through two buffers on a GPU too small for all of them.

    One buffer has the layer that is computed, the other one receives the next layer. Three rules
    keep the data intact. A launch starts after its layer has arrived. A copy starts after the
    launches that read the layer it overwrites. The host writes into pinned memory after the
    previous copy from it.
    """

    def __init__(self, transfer: Transfer, to_device: Callable[[Any, ToDevice], Any]) -> None:
        """to_device: returns a layer with each of its arrays copied by a function."""
        self._transfer = transfer
        self._to_device = to_device
        self._buffers = _Buffer(), _Buffer()
        self._current = self._buffers[1]
        self._released: Event | None = None  # after the launches that read the other buffer
        # The memory must not be freed during a copy into it.
        weakref.finalize(self, finish_copies, transfer.copies)

    def get(self, number: int, make: Callable[[], Any]) -> Any:
        """Return layer `number` on the GPU, for launches until `get` is called for another layer.

        make: returns the layer with its arrays on the host; called unless a buffer has the layer
        """
        buffer = self._find(number) or self._copy(number, make)
        if buffer is not self._current:
            # No launch from now on reads the other buffer.
            self._released = self._transfer.launches.record()
            self._transfer.launches.wait_event(buffer.copied)
            self._current = buffer
        return buffer.layer

    def prefetch(self, number: int, make: Callable[[], Any]) -> None:
        """Start to copy the layer that `get` will be called for next."""
        if self._find(number) is None:
            self._copy(number, make)

    def _find(self, number: int) -> _Buffer | None:
        return next((buffer for buffer in self._buffers if buffer.number == number), None)

    def _copy(self, number: int, make: Callable[[], Any]) -> _Buffer:
        """Copy a layer into the buffer that is not current."""
        one, other = self._buffers
        buffer = other if self._current is one else one
        layer = make()
        buffer.number = None
        if buffer.copied is not None:
            buffer.copied.synchronize()
        arrays: list[tuple[int, NDArray[Any]]] = []
        size = 0

        def add(array: NDArray[Any]) -> NDArray[Any]:
            nonlocal size
            arrays.append((size, array))
            size += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
            return array

        self._to_device(layer, add)
        transfer, released = self._transfer, self._released
        if size > buffer.host.size:
            buffer.host = transfer.allocate_pinned(size)
            buffer.device = transfer.allocate(size)
            released = transfer.launches.record()
        for offset, array in arrays:
            target = buffer.host[offset : offset + array.nbytes]
            target[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        if released is not None:
            transfer.copies.wait_event(released)
        if size:
            transfer.copy(buffer.host[:size], buffer.device[:size])
        buffer.copied = transfer.copies.record()
        offsets = iter([offset for offset, _ in arrays])

        def on_device(array: NDArray[Any]) -> Any:
            offset = next(offsets)
            source = buffer.device[offset : offset + array.nbytes]
            return source.view(array.dtype).reshape(array.shape)

        buffer.layer = self._to_device(layer, on_device)
        buffer.number = number
        return buffer


def finish_copies(copies: Stream) -> None:
    """Block the host until all copies are done."""
    # After a failure, which was reported before, the GPU copies nothing any more.
    with suppress(Exception):
        copies.synchronize()
