"""Copying to an NVIDIA GPU beside its launches, with CuPy."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray


class CupyTransfer:
    """Pinned memory, and a stream that waits for no other by itself.

    Workunits run on the stream of Kokkos's default instance. Up to Kokkos 3 that is CUDA's legacy
    default stream, which is also CuPy's. Since Kokkos 4 it is a blocking stream of its own: work in
    the legacy stream waits for all that blocking streams were given before, and they wait for it.
    So an event recorded in the legacy stream comes after all launches so far, and launches come
    after what the legacy stream waits for, in either case.
    """

    def __init__(self, cupy: ModuleType) -> None:
        self._cupy = cupy
        self.launches = cupy.cuda.Stream.null
        self.copies = cupy.cuda.Stream(non_blocking=True)

    def pinned(self, size: int) -> NDArray[np.uint8]:
        """Bytes of pinned memory; the array keeps it."""
        return np.frombuffer(self._cupy.cuda.alloc_pinned_memory(size), np.uint8, size)

    def room(self, size: int) -> Any:
        """Bytes of the GPU, as a CuPy array."""
        return self._cupy.empty(size, np.uint8)

    def send(self, host: NDArray[np.uint8], device: Any) -> None:
        """Copy one to the other, on `copies`."""
        device.set(host, stream=self.copies)
