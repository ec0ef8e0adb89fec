"""Copies of input rows to a GPU in blocks, which overlap with the launches on earlier blocks."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.double_buffer import Event, Transfer, finish_copies


class _Buffer:
    """The memory of one block on the host and on the GPU.

    copied: the event after the last copy to the GPU
    released: the event after the last launches on the block
    """

    def __init__(self) -> None:
        self.host: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.device: Any = None
        self.copied: Event | None = None
        self.released: Event | None = None


class BlockTransfer:
    """Copies arrays to a GPU through two buffers of the size of a block.

    While the GPU receives a block and computes on the one before it, the host writes the next one
    into pinned memory. Three rules keep the data intact. A launch starts after its block has
    arrived. A copy starts after the launches that read the block it overwrites. The host writes
    into pinned memory after the previous copy from it.
    """

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._buffers = _Buffer(), _Buffer()
        # The memory must not be freed during a copy.
        weakref.finalize(self, finish_copies, transfer.copies)

    def allocate(self, size: int) -> None:
        """Allocate both buffers for blocks of `size` bytes, unless they are at least as large."""
        for buffer in self._buffers:
            if size <= buffer.host.size:
                continue
            if buffer.copied is not None:
                buffer.copied.synchronize()
            buffer.host = self._transfer.allocate_pinned(size)
            buffer.device = self._transfer.allocate(size)
            # Earlier launches may access the memory.
            buffer.released = self._transfer.launches.record()

    def send(self, array: NDArray[Any], block_rows: int) -> Iterator[tuple[int, Any]]:
        """Yield the rows of a 2-D array in blocks: the number of the first row of a block, and the
        block on the GPU, of at most `block_rows` rows.

        The block is valid for launches until the next one is asked for.
        """
        self.allocate(min(block_rows, array.shape[0]) * array.shape[1] * array.itemsize)
        transfer = self._transfer
        for first in range(0, array.shape[0], block_rows):
            # The other one than for the last block, of this or an earlier array.
            buffer, other = self._buffers
            self._buffers = other, buffer
            block = np.ascontiguousarray(array[first : first + block_rows])
            size = block.nbytes
            if buffer.copied is not None:
                buffer.copied.synchronize()
            buffer.host[:size] = block.reshape(-1).view(np.uint8)
            if buffer.released is not None:
                transfer.copies.wait_event(buffer.released)
            transfer.copy(buffer.host[:size], buffer.device[:size])
            buffer.copied = transfer.copies.record()
            transfer.launches.wait_event(buffer.copied)
            try:
                yield first, buffer.device[:size].view(block.dtype).reshape(block.shape)
            finally:
                buffer.released = transfer.launches.record()
