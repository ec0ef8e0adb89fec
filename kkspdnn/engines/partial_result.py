"""What is left of input rows after the last layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

RowSelector = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
"""Of which of these living rows, ascending, the values are kept."""


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Schedule:
    """In which order a run went through input rows and layers.

    chunk_rows: the first `chunk_layers` layers were computed for so many rows at a time, the next
    `again_layers` for so many of those that were left, the others for what was left of all; all
    three are 0 where all layers were computed for all rows
    layers_a_launch: through how many layers a tile of rows went at most while it was in cache; 1:
    layer after layer
    bits_counted: whether the first layer counted bits instead of adding up floats
    """

    chunk_rows: int = 0
    chunk_layers: int = 0
    again_layers: int = 0
    layers_a_launch: int = 1
    bits_counted: bool = False


@dataclass(frozen=True, eq=False)
class PartialResult:
    """What is left of some input rows after the last layer.

    rows: int64, 0-based, ascending: the input rows with any nonzero value
    values: CSR (len(valued), outputs), or None where none were asked for
    computed_edges: multiplications of a weight with an activation that were really done
    valued: int64, ascending, the rows that `values` is of; None: all of `rows`
    saturated: int64, ascending, rows whose every value is `ymax`, which `values` need not have
    """

    rows: NDArray[np.int64]
    values: sp.csr_array | None
    computed_edges: int
    valued: NDArray[np.int64] | None = None
    saturated: NDArray[np.int64] = field(default_factory=_none)
    ymax: Any = 0.0

    @property
    def known(self) -> NDArray[np.int64]:
        """The living rows whose values are known."""
        valued = self.rows if self.valued is None else self.valued
        return np.union1d(valued, self.saturated)

    def take(self, rows: NDArray[np.int64]) -> sp.csr_array:
        """The values of these input rows in this order, CSR (len(rows), outputs); rows whose values
        are not known are zeros."""
        assert self.values is not None
        valued = self.rows if self.valued is None else self.valued
        if np.array_equal(rows, valued):
            return self.values
        found = np.isin(rows, valued)
        full = np.isin(rows, self.saturated) & ~found
        outputs, dtype = self.values.shape[1], self.values.dtype
        parts = [
            self.values[np.searchsorted(valued, rows[found])],
            sp.csr_array(np.full((int(full.sum()), outputs), self.ymax, dtype)),
            sp.csr_array((int((~found & ~full).sum()), outputs), dtype=dtype),
        ]
        places = [np.flatnonzero(each) for each in (found, full, ~found & ~full)]
        stacked = sp.csr_array(sp.vstack(parts, format="csr"))
        return sp.csr_array(stacked[np.argsort(np.concatenate(places))])


def concatenate(
    parts: Iterable[PartialResult], outputs: int, dtype: DTypeLike, values: bool
) -> PartialResult:
    """The outcomes of parts of the input rows, in any order, as one."""
    rows, valued, saturated = [_none()], [_none()], [_none()]
    matrices: list[sp.csr_array] = []
    computed_edges, ymax = 0, 0.0
    for part in parts:
        rows.append(part.rows)
        computed_edges += part.computed_edges
        if part.saturated.size:
            saturated.append(part.saturated)
            ymax = part.ymax
        if part.values is not None and part.values.shape[0]:
            valued.append(part.rows if part.valued is None else part.valued)
            matrices.append(part.values)
    whole = PartialResult(np.sort(np.concatenate(rows)), None, computed_edges)
    if not values:
        return whole
    if len(matrices) == 1:
        matrix = matrices[0]
    else:
        empty = sp.csr_array((0, outputs), dtype=dtype)
        matrix = sp.csr_array(sp.vstack([empty, *matrices], format="csr"))
    numbers = np.concatenate(valued)
    if (np.diff(numbers) < 0).any():
        order = np.argsort(numbers)
        matrix, numbers = sp.csr_array(matrix[order]), numbers[order]
    return replace(
        whole,
        values=matrix,
        valued=numbers,
        saturated=np.sort(np.concatenate(saturated)),
        ymax=ymax,
    )
