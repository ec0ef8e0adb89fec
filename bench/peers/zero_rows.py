"""Base class of peers that can retire zero rows between layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.peer import EdgeCounting

_MAX_ACTIVE_FRACTION = 0.9
"""The active rows are compacted if they are fewer than this fraction of the rows."""


class ZeroRowPeer:
    """A peer that can retire zero rows between layers, as a careful user of its library would.

    drop: retire rows whose activations are all zero
    """

    serial = False
    gpu = False
    env: Mapping[str, str] = {}
    name: str
    label: str

    def __init__(self, drop: bool) -> None:
        self.drop = drop
        self.edge_counting: EdgeCounting = "active" if drop else "all"
        if drop:
            self.name += "-drop"
            self.label += ", zero rows dropped"

    def should_compact(self, active: NDArray[np.bool_]) -> bool:
        """Whether few enough rows are active that compacting them saves time."""
        return int(active.sum()) < _MAX_ACTIVE_FRACTION * active.size
