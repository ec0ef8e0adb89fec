"""CSR matrices in the memory of an execution space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from kkspdnn.device.double_buffer import ToDevice
from kkspdnn.device.space import Space


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
    def nbytes(self) -> int:
        return int(self.start.nbytes + self.index.nbytes + self.value.nbytes)

    @classmethod
    def from_scipy(cls, matrix: sp.csr_array) -> Csr:
        """Return a matrix with NumPy arrays."""
        index = matrix.indices.astype(np.uint32)
        return cls(matrix.shape[1], matrix.indptr.astype(np.int64), index, matrix.data)

    def to_device(self, copy: ToDevice) -> Csr:
        """Return this matrix with its arrays copied by `copy`."""
        return Csr(self.columns, copy(self.start), copy(self.index), copy(self.value))

    def to_scipy(self, space: Space) -> sp.csr_array:
        """Return this matrix as a SciPy array on the host."""
        value, index, start = (space.to_host(each) for each in (self.value, self.index, self.start))
        return sp.csr_array((value, index.astype(np.int64), start), shape=(self.rows, self.columns))
