"""The input rows that were retired because they saturate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.device.space import Space


class SaturatedRows:
    """Collects the ids of rows that saturate, until `take_ids` returns them.

    On a GPU they stay in its memory as a mask of the input rows: the host would have to wait for
    the number of ids at each compaction.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._ids: list[NDArray[np.int64]] = []
        self._mask: Any = None
        self._first = 0
        self._rows = 0

    def start(self, first: int, rows: int) -> None:
        """Expect ids from `first` to `first + rows - 1`."""
        self._first, self._rows, self._mask = first, rows, None

    def add(self, ids: Any, saturated: Any) -> None:
        """Add those of `ids` for which the mask `saturated` is true.

        Both are in the memory of the space. Rows that do not saturate now may be added later, those
        that saturate are retired.
        """
        if not self._space.gpu:
            self._ids.append(ids[saturated])
            return
        if self._mask is None:
            self._mask = self._space.zeros(self._rows, np.bool_)
        self._mask[ids - self._first if self._first else ids] = saturated

    def take_ids(self) -> NDArray[np.int64]:
        """Return the ids added so far, ascending, as a NumPy array, and forget them."""
        if self._mask is not None:
            mask, self._mask = self._space.to_host(self._mask), None
            return np.flatnonzero(mask) + self._first
        ids, self._ids = self._ids, []
        return np.sort(np.concatenate([np.empty(0, np.int64), *ids]))
