"""Copies to an NVIDIA GPU that overlap with launches, by CuPy."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray


class CupyTransfer:
    """Pinned host memory, GPU memory, and a non-blocking stream that copies between them.

    Workunits run in the stream of Kokkos's default instance. Up to Kokkos 3 that is CUDA's legacy
    default stream, which is also CuPy's. Since Kokkos 4 it is a separate blocking stream: work in
    the legacy stream waits for all earlier work in blocking streams, and they wait for it. So in
    both cases an event recorded in the legacy stream comes after all earlier launches, and an event
    that the legacy stream waits for comes before all later launches.
    """

    def __init__(self, cupy: ModuleType) -> None:
        self._cupy = cupy
        self.launches = cupy.cuda.Stream.null
        self.copies = cupy.cuda.Stream(non_blocking=True)

    def allocate_pinned(self, size: int) -> NDArray[np.uint8]:
        """Return page-locked host memory of `size` bytes; the array owns it."""
        return np.frombuffer(self._cupy.cuda.alloc_pinned_memory(size), np.uint8, size)

    def allocate(self, size: int) -> Any:
        """Return GPU memory of `size` bytes, as a CuPy array of uint8."""
        return self._cupy.empty(size, np.uint8)

    def copy(self, host: NDArray[np.uint8], device: Any) -> None:
        """Copy `host` to `device`, in the stream `copies`."""
        device.set(host, stream=self.copies)
