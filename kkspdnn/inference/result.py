"""What `infer` returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.records.run import Record


@dataclass(frozen=True, eq=False)
class Result:
    """What inference found.

    categories: int64, the 1-based numbers of the input rows with any nonzero value, ascending
    values: CSR (len(categories), outputs), their activations after the last layer, or None
    """

    categories: NDArray[np.int64]
    values: sp.csr_array | None
    record: Record

    @property
    def every_row(self) -> sp.csr_array:
        """The activations after the last layer of all input rows, CSR (inputs, outputs).

        InputError where `values` were not kept.
        """
        if self.values is None:
            raise InputError("the values were not kept; ask for them with values=True")
        values, rows = self.values, self.record.inputs
        counts = np.zeros(rows, np.int64)
        counts[self.categories - 1] = np.diff(values.indptr)
        starts = np.concatenate([[0], np.cumsum(counts)])
        shape = rows, values.shape[1]
        return sp.csr_array((values.data, values.indices, starts), shape=shape)

    @property
    def outputs(self) -> NDArray[np.floating]:
        """As `every_row`, dense."""
        dense: NDArray[np.floating] = self.every_row.toarray()
        return dense
