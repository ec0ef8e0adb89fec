"""Bounds on a row's values before a layer that compute_exit_bounds its final output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ExitBounds:
    """Before a layer: rows of values from 0 to `dead` end as zeros, and rows of values from
    `saturated` to ymax end at ymax. Both in the dtype of the run, and infinite where none does."""

    dead: Any
    saturated: Any

    @classmethod
    def unknown(cls, dtype: np.dtype[Any]) -> ExitBounds:
        """No row's end is known."""
        return cls(dtype.type(-np.inf), dtype.type(np.inf))

    def dies(self, least: NDArray[Any], most: NDArray[Any]) -> NDArray[np.bool_]:
        """Which rows end as zeros, by the least and the largest value of each."""
        found: NDArray[np.bool_] = (least >= 0) & (most <= self.dead)
        return found

    def grows(self, least: NDArray[Any], most: NDArray[Any], ymax: Any) -> NDArray[np.bool_]:
        """Which rows end at ymax, likewise."""
        found: NDArray[np.bool_] = (least >= self.saturated) & (most <= ymax)
        return found

    @property
    def any(self) -> bool:
        """Whether any row may leave."""
        return bool(self.dead >= 0 or self.saturated < np.inf)
