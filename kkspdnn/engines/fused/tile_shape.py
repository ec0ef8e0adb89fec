"""The common properties of the tiles of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kkspdnn.device.space import Space


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
