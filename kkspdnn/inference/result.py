"""The result of inference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.errors import InputError
from kkspdnn.notebook_html import html_table
from kkspdnn.records.result_table import result_table, table_rows
from kkspdnn.records.run import Record


@dataclass(frozen=True, eq=False)
class Result:
    """The result of `infer`.

    categories: int64, ascending: the 1-based numbers of the input rows with any nonzero value
    values: the activations of the categories after the last layer, CSR of shape (len(categories),
    outputs); None unless requested
    record: options, sizes, times and verdicts of the run
    """

    categories: NDArray[np.int64]
    values: sp.csr_array | None
    record: Record

    def __repr__(self) -> str:
        record = self.record
        checked = {None: "not verified", True: "verified", False: "verification FAILED"}
        return (
            f"<Result {self.categories.size:,} categories of {record.inputs:,} rows: "
            f"{record.inference_seconds:.3g} s, {record.edges_per_second:.3g} edges/s, "
            f"{checked[record.verified.passed]}>"
        )

    def _repr_html_(self) -> str:
        return html_table("Result", table_rows(self.record))

    def summary(self) -> str:
        """Return the options, sizes, times and verdicts of the run as lines of text.

        These are the lines that `python -m kkspdnn` prints.
        """
        return result_table(self.record)

    @property
    def sparse_outputs(self) -> sp.csr_array:
        """The activations of all input rows after the last layer, CSR of shape (rows, outputs).

        Raises InputError if the values were not requested.
        """
        if self.values is None:
            raise InputError("the result has no values; call infer with values=True")
        values, rows = self.values, self.record.inputs
        counts = np.zeros(rows, np.int64)
        counts[self.categories - 1] = np.diff(values.indptr)
        starts = np.concatenate([[0], np.cumsum(counts)])
        shape = rows, values.shape[1]
        return sp.csr_array((values.data, values.indices, starts), shape=shape)

    @property
    def outputs(self) -> NDArray[np.floating]:
        """The same as `sparse_outputs`, as a dense array."""
        dense: NDArray[np.floating] = self.sparse_outputs.toarray()
        return dense
