"""The output of the last layer for a block of input rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

RowSelector = Callable[[NDArray[np.int64]], NDArray[np.bool_]]
"""Returns a mask of the rows whose values are kept, from the numbers of active rows, ascending."""


def _no_rows() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Schedule:
    """The order in which a run computed blocks of input rows and layers.

    The names of the fields are keys of the records.

    chunk_rows: the first `chunk_layers` layers were computed for this number of input rows together
    again_layers: the next `again_layers` layers were computed for this number of active rows at a
    time, the others for all active rows. All three are 0 if all layers were computed for all rows.
    layers_a_launch: maximum number of consecutive layers that one launch computed; 1: one after
    the other
    bits_counted: whether the first layer counted bits instead of adding floats
    """

    chunk_rows: int = 0
    chunk_layers: int = 0
    again_layers: int = 0
    layers_a_launch: int = 1
    bits_counted: bool = False


@dataclass(frozen=True, eq=False)
class PartialResult:
    """The output of the last layer for a block of input rows.

    rows: int64, from 0, ascending: the input rows with any nonzero value
    values: CSR (len(value_rows), outputs), or None
    computed_edges: number of multiplications of a weight with an activation
    value_rows: int64, ascending, the rows of `values`; None: all of `rows`
    saturated: int64, ascending, rows of which each value is `ymax`; they need not be in `values`
    """

    rows: NDArray[np.int64]
    values: sp.csr_array | None
    computed_edges: int
    value_rows: NDArray[np.int64] | None = None
    saturated: NDArray[np.int64] = field(default_factory=_no_rows)
    ymax: Any = 0.0

    @property
    def known_rows(self) -> NDArray[np.int64]:
        """The rows with any nonzero value whose values are in this result, ascending."""
        value_rows = self.rows if self.value_rows is None else self.value_rows
        return np.union1d(value_rows, self.saturated)

    def select_rows(self, rows: NDArray[np.int64]) -> sp.csr_array:
        """Return the values of these input rows, in this order, as CSR (len(rows), outputs).

        Rows without values are zeros. `values` must not be None.
        """
        assert self.values is not None
        value_rows = self.rows if self.value_rows is None else self.value_rows
        if np.array_equal(rows, value_rows):
            return self.values
        stored = np.isin(rows, value_rows)
        saturated = np.isin(rows, self.saturated) & ~stored
        zero = ~stored & ~saturated
        outputs, dtype = self.values.shape[1], self.values.dtype
        blocks = [
            self.values[np.searchsorted(value_rows, rows[stored])],
            sp.csr_array(np.full((int(saturated.sum()), outputs), self.ymax, dtype)),
            sp.csr_array((int(zero.sum()), outputs), dtype=dtype),
        ]
        positions = np.concatenate([np.flatnonzero(mask) for mask in (stored, saturated, zero)])
        stacked = sp.csr_array(sp.vstack(blocks, format="csr"))
        return sp.csr_array(stacked[np.argsort(positions)])


def concatenate(
    results: Iterable[PartialResult], outputs: int, dtype: DTypeLike, values: bool
) -> PartialResult:
    """Concatenate the results of disjoint blocks of input rows, in any order.

    values: whether the result has values
    """
    rows, value_rows, saturated = [_no_rows()], [_no_rows()], [_no_rows()]
    matrices: list[sp.csr_array] = []
    computed_edges, ymax = 0, 0.0
    for result in results:
        rows.append(result.rows)
        computed_edges += result.computed_edges
        if result.saturated.size:
            saturated.append(result.saturated)
            ymax = result.ymax
        if result.values is not None and result.values.shape[0]:
            value_rows.append(result.rows if result.value_rows is None else result.value_rows)
            matrices.append(result.values)
    concatenated = PartialResult(np.sort(np.concatenate(rows)), None, computed_edges)
    if not values:
        return concatenated
    if len(matrices) == 1:
        matrix = matrices[0]
    else:
        empty = sp.csr_array((0, outputs), dtype=dtype)
        matrix = sp.csr_array(sp.vstack([empty, *matrices], format="csr"))
    numbers = np.concatenate(value_rows)
    if (np.diff(numbers) < 0).any():
        order = np.argsort(numbers)
        matrix, numbers = sp.csr_array(matrix[order]), numbers[order]
    return replace(
        concatenated,
        values=matrix,
        value_rows=numbers,
        saturated=np.sort(np.concatenate(saturated)),
        ymax=ymax,
    )
