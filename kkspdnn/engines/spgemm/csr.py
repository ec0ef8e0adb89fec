"""CSR matrices in the memory of an execution space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space
from kkspdnn.model.inputs import Inputs
from kkspdnn.workunits import csr


@dataclass(frozen=True, eq=False)
class Csr:
    """A CSR matrix in the memory of the execution space.

    start: int64, rows + 1 offsets; index: uint32, columns; value: float32 or float64
    """

    columns: int
    start: Any
    index: Any
    value: Any

    @property
    def rows(self) -> int:
        return int(self.start.size) - 1

    @property
    def dense_share(self) -> float:
        """The share of activations that take part in products even if they are zero: none."""
        return 0.0

    @classmethod
    def from_inputs(cls, inputs: Inputs, dtype: np.dtype[Any], space: Space) -> Csr:
        """Return input rows, in the memory of the space."""
        if inputs.bits is None:
            return cls.from_scipy(inputs.to_csr(dtype)).to_device(space.to_device)
        bits, row_bytes = space.to_device(inputs.bits), inputs.bits.shape[1]
        policy, size = space.range(inputs.rows), space.empty(inputs.rows, np.int64)
        space.pk.parallel_for(
            "count_bits", policy, csr.count_bits, bits=bits, size=size, row_bytes=row_bytes
        )
        matrix = allocate_csr(space, inputs.neurons, size, dtype)
        space.pk.parallel_for(
            "bits_to_csr",
            policy,
            csr.bits_to_csr,
            bits=bits,
            start=matrix.start,
            index=matrix.index,
            value=matrix.value,
            one=dtype.type(1),
            row_bytes=row_bytes,
        )
        return matrix

    @classmethod
    def from_scipy(cls, matrix: sp.csr_array) -> Csr:
        """Return a matrix with NumPy arrays."""
        index = matrix.indices
        index = index.view(np.uint32) if index.dtype == np.int32 else index.astype(np.uint32)
        start = matrix.indptr.astype(np.int64, copy=False)
        return cls(matrix.shape[1], start, index, matrix.data)

    @property
    def nonzeros(self) -> int:
        """The number of entries."""
        return int(self.value.size)

    def column_entries(self) -> NDArray[np.int64]:
        """Return the number of entries of each column. The matrix must be in host memory."""
        return np.bincount(self.index, minlength=self.columns)

    def slice(self, begin: int, end: int) -> Csr:
        """Return consecutive rows, without copies of their entries."""
        first, last = int(self.start[begin]), int(self.start[end])
        start = self.start[begin : end + 1] - first
        return Csr(self.columns, start, self.index[first:last], self.value[first:last])

    def zeros(self, columns: int) -> Csr:
        """Return a matrix of zeros with the rows of this one."""
        return Csr(columns, self.start * 0, self.index[:0], self.value[:0])

    def to_device(self, copy: ToDevice) -> Csr:
        """Return this matrix with its arrays copied by `copy`."""
        return Csr(self.columns, copy(self.start), copy(self.index), copy(self.value))

    def to_scipy(self, space: Space) -> sp.csr_array:
        """Return this matrix as a SciPy array on the host."""
        value, index, start = (space.to_host(each) for each in (self.value, self.index, self.start))
        return sp.csr_array((value, index.astype(np.int64), start), shape=(self.rows, self.columns))


def allocate_csr(space: Space, columns: int, size: Any, dtype: np.dtype[Any]) -> Csr:
    """Return a matrix with rows of these numbers of entries, and uninitialised entries.

    size: int64, in the memory of the space
    """
    start = space.zeros(size.size + 1, np.int64)
    total = space.pk.parallel_scan(
        "offsets", space.range(size.size), csr.offsets, size=size, start=start
    )
    entries = int(total)
    return Csr(columns, start, space.empty(entries, np.uint32), space.empty(entries, dtype))
