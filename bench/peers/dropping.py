"""Rows of zeros that may leave between layers: what dense and tiled peers have in common."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.peer import Work

_WORTH_MOVING = 0.9
"""Living rows move together where less than this part of the rows is alive."""


class DroppingPeer:
    """
    drop: rows of zeros leave between layers, as any careful user of a library would have it
    """

    serial = False
    gpu = False
    environment: Mapping[str, str] = {}
    name: str
    label: str

    def __init__(self, drop: bool) -> None:
        self.drop = drop
        self.work: Work = "living" if drop else "all"
        if drop:
            self.name += "-drop"
            self.label += ", zero rows leave"

    def leave(self, living: NDArray[np.bool_]) -> bool:
        """Are the living rows worth moving together?"""
        return int(living.sum()) < _WORTH_MOVING * living.size
