"""The common properties of the tiles of a run, and memory for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kkspdnn.device.space import Space

_ALIGNMENT = 4096
"""Tiles start at a page, so that no SIMD load crosses a cache line. NumPy arrays start 16 bytes
after a cache line, and a layer then takes 1.4 times as long. CuPy arrays are aligned to 512 bytes.
"""


@dataclass(frozen=True)
class TileShape:
    """The common properties of the tiles of a run.

    dtype: float32 or float64; uint8 for the bits of input rows and their counts
    widest: neurons of a buffer, the maximum of all layers; lanes: rows of a tile
    """

    space: Space
    dtype: np.dtype[Any]
    widest: int
    lanes: int

    @classmethod
    def of(cls, space: Space, dtype: np.dtype[Any], widest: int) -> TileShape:
        """Return the shape of tiles of activations, with the number of lanes of the space."""
        return cls(space, dtype, widest, space.launch.lanes(dtype))

    def for_counts(self, inputs: int, outputs: int) -> TileShape:
        """Return the shape of tiles for the bits and the counts of a first layer."""
        return replace(self, dtype=np.dtype(np.uint8), widest=max(inputs, outputs))

    def tile_count(self, rows: int) -> int:
        """Return the number of tiles for this number of rows."""
        return -(-rows // self.lanes)


def aligned_empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an uninitialised array that starts at a page."""
    element = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * element.itemsize
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    begin = -raw.ctypes.data % _ALIGNMENT
    return raw[begin : begin + size].view(element).reshape(shape)


def allocate(space: Space, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
    """Return an uninitialised array in the memory of the space; on a CPU it starts at a page."""
    return space.empty(shape, dtype) if space.gpu else aligned_empty(shape, dtype)
