"""Shards of the input rows, and the results of a shard numbered among all rows.

Shard i of n has every n-th row, beginning with row i, as in tf.data.Dataset.shard. Rows are
retired at very different layers and neighbours are often similar, so contiguous blocks of sorted
rows could differ in cost many times. Shards have nearly the same mixture of rows in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kkspdnn.engines import PartialResult, RowSelector
from kkspdnn.model.inputs import Inputs


@dataclass(frozen=True)
class RowShard:
    """The input rows `index`, `index + count`, `index + 2 count`, …, from 0.

    index: the number of the shard, from 0; count: the number of shards
    """

    index: int
    count: int

    def size(self, inputs: Inputs) -> int:
        """Return the number of rows."""
        return len(range(self.index, inputs.rows, self.count))

    def select(self, inputs: Inputs) -> Inputs:
        """Return the rows of this shard; a single shard is not copied."""
        if self.count == 1:
            return inputs
        return inputs.select_rows(np.arange(self.index, inputs.rows, self.count))

    def local_selector(self, selector: RowSelector | None) -> RowSelector | None:
        """Return a selector of rows numbered within the shard from one of all rows."""
        return None if selector is None else lambda rows: selector(self._global_rows(rows))

    def to_global(self, result: PartialResult) -> PartialResult:
        """Return a result of this shard with rows numbered among all rows."""
        return replace(
            result,
            rows=self._global_rows(result.rows),
            value_rows=None if result.value_rows is None else self._global_rows(result.value_rows),
            saturated=self._global_rows(result.saturated),
        )

    def _global_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows * self.count + self.index
