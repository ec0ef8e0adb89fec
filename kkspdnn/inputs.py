"""Input rows: packed bits for 0/1 images, CSR for everything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError
from kkspdnn.matrices import Floats, canonical_csr, float_dtype, to_float

_BLOCK_BYTES = 1 << 26  # unpacked at a time: all the memory needed beside the result


@dataclass(frozen=True, eq=False)
class Inputs:
    """
    Input rows Y0 of shape (rows, neurons), as exactly one of `bits` and `csr`.

    `bits` uint8[rows, ceil(neurons/8)]: 0/1 rows in numpy.packbits order (first neuron = highest
    bit); padding bits are 0. `csr`: float32 or float64, sorted, finite, no stored zeros. `source`
    is a short text for the record. Zero rows are legal, negative values too. The constructor checks
    types, shapes and padding; `from_any` checks the numbers.
    """

    rows: int
    neurons: int
    source: str
    bits: NDArray[np.uint8] | None = None
    csr: sp.csr_array | None = None

    def __post_init__(self) -> None:
        if self.rows < 0 or self.neurons < 1:
            raise InputError(
                f"inputs of {self.rows} x {self.neurons}: at least 0 rows and 1 neuron are needed"
            )
        if (self.bits is None) == (self.csr is None):
            raise InputError("inputs need exactly one of bits and csr")
        if self.bits is not None:
            shape = (self.rows, -(-self.neurons // 8))
            if self.bits.dtype != np.uint8 or self.bits.shape != shape:
                raise InputError(
                    f"bits of {self.bits.dtype}{list(self.bits.shape)}; "
                    f"{self.rows} x {self.neurons} needs uint8{list(shape)}"
                )
            used = self.neurons % 8
            beyond = self.bits[:, -1] & (0xFF >> used) if used else np.zeros(0, np.uint8)
            bad = np.flatnonzero(beyond)
            if bad.size:
                raise InputError(f"bits: row {bad[0]} has a bit beyond neuron {self.neurons - 1}")
        if self.csr is not None:
            float_dtype(self.csr.dtype)
            if self.csr.shape != (self.rows, self.neurons):
                raise InputError(
                    f"csr of shape {self.csr.shape}, not ({self.rows}, {self.neurons})"
                )

    @property
    def largest(self) -> float:
        """The largest magnitude that a value may have: 1 for bits."""
        return 1.0 if self.csr is None else float(np.abs(self.csr.data).max(initial=0))

    @property
    def nonzeros(self) -> int:
        """The number of nonzero values."""
        if self.csr is not None:
            return int(self.csr.nnz)
        assert self.bits is not None
        step = max(1, _BLOCK_BYTES // self.bits.shape[1])
        return sum(
            int(np.bitwise_count(self.bits[begin : begin + step]).sum(dtype=np.int64))
            for begin in range(0, self.rows, step)
        )

    def slice(self, begin: int, end: int) -> Inputs:
        """
        Rows begin to end-1; bits are a view, not a copy, and all rows are these inputs themselves.
        InputError outside 0 <= begin <= end <= rows.
        """
        if not 0 <= begin <= end <= self.rows:
            raise InputError(f"rows {begin}:{end} of {self.rows} input rows")
        if end - begin == self.rows:
            # SciPy would copy them, which takes longer than many a network takes for one row.
            return self
        return Inputs(
            rows=end - begin,
            neurons=self.neurons,
            source=self.source,
            bits=None if self.bits is None else self.bits[begin:end],
            csr=None if self.csr is None else self.csr[begin:end],
        )

    def parts(self, rows: int) -> Iterator[tuple[int, Inputs]]:
        """All rows, at most `rows` at a time, each part with the number of its first row."""
        for begin in range(0, self.rows, rows):
            yield begin, self.slice(begin, min(begin + rows, self.rows))

    def to_csr(self, dtype: DTypeLike = np.float32) -> sp.csr_array:
        """
        The rows as CSR (rows, neurons) of float32 or float64, those of `csr` itself where they are
        of that type; InputError naming the row on overflow.
        """
        wanted = float_dtype(dtype)
        if self.csr is None:
            return self._unpacked_csr(wanted)
        if self.csr.dtype == wanted:
            return self.csr
        cast = sp.csr_array(
            (self._cast(self.csr, wanted), self.csr.indices, self.csr.indptr), shape=self.csr.shape
        )
        if wanted.itemsize < self.csr.dtype.itemsize:
            # what underflows to 0 goes; copied first because the indices are those of self
            cast = cast.copy()
            cast.eliminate_zeros()
        return cast

    def to_dense(self, dtype: DTypeLike = np.float32) -> Floats:
        """The rows as a dense array [rows, neurons] of float32 or float64."""
        wanted = float_dtype(dtype)
        if self.bits is not None:
            dense: Floats = np.unpackbits(self.bits, axis=1, count=self.neurons).astype(wanted)
            return dense
        filled: Floats = self.to_csr(wanted).toarray()
        return filled

    def _unpacked_csr(self, dtype: np.dtype[Any]) -> sp.csr_array:
        assert self.bits is not None
        total = self.nonzeros
        kind = np.int32 if max(total, self.neurons) <= np.iinfo(np.int32).max else np.int64
        indices = np.empty(total, kind)
        indptr = np.zeros(self.rows + 1, kind)
        step = max(1, _BLOCK_BYTES // self.neurons)
        for begin in range(0, self.rows, step):
            end = min(begin + step, self.rows)
            pixels = np.unpackbits(self.bits[begin:end], axis=1, count=self.neurons)
            counts = np.count_nonzero(pixels, axis=1)
            indptr[begin + 1 : end + 1] = indptr[begin] + np.cumsum(counts)
            indices[indptr[begin] : indptr[end]] = np.nonzero(pixels)[1]
        return sp.csr_array(
            (np.ones(total, dtype), indices, indptr), shape=(self.rows, self.neurons)
        )

    def _cast(self, csr: sp.csr_array, dtype: np.dtype[Any]) -> Floats:
        try:
            return to_float(csr.data, dtype, "inputs")
        except InputError:
            limit = np.finfo(dtype).max
            place = int(np.flatnonzero(np.abs(csr.data) > limit)[0])
            row = int(np.searchsorted(csr.indptr, place, side="right")) - 1
            raise InputError(
                f"inputs: row {row}: {csr.data[place]} is too large for {dtype}; "
                "scale it or use float64"
            ) from None

    @classmethod
    def from_any(cls, obj: Any, source: str = "memory") -> Inputs:
        """
        Inputs from Inputs (as they are), a SciPy sparse matrix, or an ndarray (rows, neurons).

        InputError for anything else, for values that are no real finite numbers (naming the row,
        from 0) and for a cell that is stored twice.
        """
        if isinstance(obj, Inputs):
            return obj
        csr = canonical_csr(obj, "inputs")
        return cls(rows=csr.shape[0], neurons=csr.shape[1], source=source, csr=csr)
