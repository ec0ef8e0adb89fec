"""Input rows distributed in turn, as cards are, and what comes back of them.

Rows leave a network at very different layers, and neighbours are often alike: where rows come
sorted, runs of neighbours differ in cost many times. Each part takes every n-th row, so that all
parts have nearly the same mixture, whatever the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kkspdnn.engines import PartialResult, RowSelector
from kkspdnn.model.inputs import Inputs


@dataclass(frozen=True)
class Part:
    """Input rows `number`, `number + of`, `number + 2 of`, … from 0."""

    number: int
    of: int

    def rows(self, inputs: Inputs) -> int:
        """How many rows they are."""
        return len(range(self.number, inputs.rows, self.of))

    def take(self, inputs: Inputs) -> Inputs:
        """These rows; all of them where there is one part only."""
        if self.of == 1:
            return inputs
        return inputs.select_rows(np.arange(self.number, inputs.rows, self.of))

    def wanted(self, whole: RowSelector | None) -> RowSelector | None:
        """Of which of this part's rows the values are kept, where `whole` says it of all rows."""
        return None if whole is None else lambda rows: whole(self._numbers(rows))

    def outcome(self, own: PartialResult) -> PartialResult:
        """An outcome of this part's rows with their numbers among all rows."""
        return replace(
            own,
            rows=self._numbers(own.rows),
            valued=None if own.valued is None else self._numbers(own.valued),
            saturated=self._numbers(own.saturated),
        )

    def _numbers(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows * self.of + self.number
