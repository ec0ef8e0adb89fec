"""Bounds on the activations of a row that prove its final output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ExitBounds:
    """Bounds before a layer, in the dtype of the run.

    max_zero: a row goes to zero if all its values are in [0, max_zero]; -inf: no row does
    min_saturated: a row saturates, all its final values are ymax, if all its values are in
    [min_saturated, ymax]; inf: no row does
    """

    max_zero: Any
    min_saturated: Any

    @classmethod
    def none(cls, dtype: np.dtype[Any]) -> ExitBounds:
        """Return bounds that no row meets."""
        return cls(dtype.type(-np.inf), dtype.type(np.inf))

    def go_to_zero(self, smallest: NDArray[Any], largest: NDArray[Any]) -> NDArray[np.bool_]:
        """Return a mask of the rows that go to zero, from the smallest and largest value of each
        row."""
        mask: NDArray[np.bool_] = (smallest >= 0) & (largest <= self.max_zero)
        return mask

    def saturate(
        self, smallest: NDArray[Any], largest: NDArray[Any], ymax: Any
    ) -> NDArray[np.bool_]:
        """Return a mask of the rows that saturate, from the smallest and largest value of each
        row."""
        mask: NDArray[np.bool_] = (smallest >= self.min_saturated) & (largest <= ymax)
        return mask

    @property
    def can_retire(self) -> bool:
        """Whether any row can meet the bounds."""
        return bool(self.max_zero >= 0 or self.min_saturated < np.inf)
