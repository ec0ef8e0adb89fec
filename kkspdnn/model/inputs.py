"""Input rows, stored as packed bits (0/1 images), as CSR or as a dense array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.foreign_arrays import to_host_array
from kkspdnn.model.matrices import Floats, canonical_csr, finite_dense, float_dtype, to_float
from kkspdnn.model.row_numbers import row_numbers
from kkspdnn.notebook_html import html_table
from kkspdnn.units import plural

_BLOCK_BYTES = 1 << 26
"""Bytes of bits to unpack at a time. The block is the only memory needed beside the result."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """
    Input rows Y0 of shape (rows, neurons), stored in exactly one of `bits`, `csr` and `dense`.

    source: a short description for the record
    bits: uint8[rows, ceil(neurons / 8)], 0/1 values in the order of numpy.packbits (the first
    neuron is the highest bit); padding bits are 0
    csr: float32 or float64, sorted indices, finite values, no stored zeros
    dense: float32 or float64 [rows, neurons], finite values

    Zero rows and negative values are allowed. The constructor checks types, shapes and padding
    bits; `from_any` also checks the values. Both raise InputError.
    """

    rows: int
    neurons: int
    source: str
    bits: NDArray[np.uint8] | None = None
    csr: sp.csr_array | None = None
    dense: Floats | None = None

    def __post_init__(self) -> None:
        if self.rows < 0 or self.neurons < 1:
            raise InputError(
                f"inputs of {self.rows} x {self.neurons}: at least 0 rows and 1 neuron are needed"
            )
        if sum(each is not None for each in (self.bits, self.csr, self.dense)) != 1:
            raise InputError("inputs need exactly one of bits, csr and dense")
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
                raise InputError(
                    f"bits: row {bad[0]} has a bit beyond neuron {self.neurons - 1}; "
                    "set padding bits to 0"
                )
        for name, values in (("csr", self.csr), ("dense", self.dense)):
            if values is not None:
                float_dtype(values.dtype)
                if values.shape != (self.rows, self.neurons):
                    raise InputError(
                        f"{name} of shape {values.shape}, not ({self.rows}, {self.neurons})"
                    )

    def __repr__(self) -> str:
        size = f"{plural(self.rows, 'row')} of {self.neurons:,} neurons"
        return f"<Inputs {size}: {self._format}, {self.source}>"

    def _repr_html_(self) -> str:
        rows = {
            "rows": f"{self.rows:,}",
            "neurons": f"{self.neurons:,}",
            "format": self._format,
            "source": self.source,
        }
        return html_table("Inputs", rows)

    @property
    def _format(self) -> str:
        """The storage format, as text."""
        if self.bits is not None:
            return "bits"
        return f"{'dense' if self.csr is None else 'CSR'} {self.dtype}"

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, neurons)"""
        return self.rows, self.neurons

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: slice | int | NDArray[Any] | Sequence[int]) -> Inputs:
        """
        Some of the rows, as Inputs: `rows[:100]`, `rows[::2]`, `rows[mask]` or `rows[[3, 1]]`.

        A slice of consecutive rows is a view; other rows are copied. One number gives one row.

        IndexError for a number outside the rows; InputError for an index of another type.
        """
        if isinstance(index, slice):
            selected = range(*index.indices(self.rows))
            if selected.step == 1:
                return self.slice(selected.start, max(selected.start, selected.stop))
            return self.select_rows(np.arange(self.rows)[index])
        return self.select_rows(row_numbers(index, self.rows))

    def check_neurons(self, expected: int) -> None:
        """Raise InputError unless the rows have `expected` neurons, the inputs of a network."""
        if self.neurons != expected:
            raise InputError(
                f"the input rows have {self.neurons} neurons but the network takes {expected}"
            )

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values, float32 or float64; float32 for bits."""
        values: Any = self.dense if self.csr is None else self.csr
        dtype: np.dtype[Any] = np.dtype(np.float32) if values is None else values.dtype
        return dtype

    @property
    def largest(self) -> float:
        """The largest magnitude of a value. For bits, the upper limit 1."""
        values = self.dense if self.csr is None else self.csr.data
        return 1.0 if values is None else float(max(values.max(initial=0), -values.min(initial=0)))

    @cached_property
    def nonzeros(self) -> int:
        """The number of nonzero values."""
        if self.csr is not None:
            return int(self.csr.nnz)
        if self.dense is not None:
            return int(np.count_nonzero(self.dense))
        assert self.bits is not None
        step = max(1, _BLOCK_BYTES // self.bits.shape[1])
        return sum(
            int(np.bitwise_count(self.bits[begin : begin + step]).sum(dtype=np.int64))
            for begin in range(0, self.rows, step)
        )

    def slice(self, begin: int, end: int) -> Inputs:
        """
        Rows `begin` to `end` - 1: views of the values, or `self` for all rows.

        InputError unless 0 <= begin <= end <= rows.
        """
        if not 0 <= begin <= end <= self.rows:
            raise InputError(f"rows {begin}:{end} of {self.rows} input rows")
        if end - begin == self.rows:
            # Making an object can take longer than inference on one row.
            return self
        if self.csr is not None:
            return replace(self, rows=end - begin, csr=_csr_rows(self.csr, begin, end))
        return self._indexed(end - begin, np.s_[begin:end])

    def select_rows(self, rows: NDArray[np.int64]) -> Inputs:
        """The rows with these indices (from 0), in this order."""
        return self._indexed(rows.size, rows)

    def _indexed(self, count: int, index: Any) -> Inputs:
        return replace(
            self,
            rows=count,
            bits=None if self.bits is None else self.bits[index],
            csr=None if self.csr is None else sp.csr_array(self.csr[index]),
            dense=None if self.dense is None else self.dense[index],
        )

    def chunks(self, rows: int) -> Iterator[tuple[int, Inputs]]:
        """All rows in chunks of at most `rows` rows, each with the index of its first row."""
        for begin in range(0, self.rows, rows):
            yield begin, self.slice(begin, min(begin + rows, self.rows))

    def to_csr(self, dtype: DTypeLike = np.float32) -> sp.csr_array:
        """
        The rows as CSR (rows, neurons) of float32 or float64.

        Returns `csr` itself if it has that dtype. InputError naming the row on overflow.
        """
        target = float_dtype(dtype)
        if self.bits is not None:
            return self._unpacked_csr(target)
        if self.csr is None:
            return sp.csr_array(self.to_dense(target))
        if self.csr.dtype == target:
            return self.csr
        starts = self.csr.indptr
        values = _cast(
            self.csr.data, target, lambda offset: int(np.searchsorted(starts, offset, "right")) - 1
        )
        cast = sp.csr_array((values, self.csr.indices, starts), shape=self.csr.shape)
        if target.itemsize < self.csr.dtype.itemsize:
            # Drop values that underflow to 0. Copy first: the index arrays belong to self.
            cast = cast.copy()
            cast.eliminate_zeros()
        return cast

    def to_dense(self, dtype: DTypeLike = np.float32) -> Floats:
        """
        The rows as a dense array [rows, neurons] of float32 or float64.

        Returns `dense` itself if it has that dtype. InputError naming the row on overflow.
        """
        target = float_dtype(dtype)
        if self.dense is not None:
            return _cast(self.dense, target, lambda offset: offset // self.neurons)
        if self.bits is not None:
            unpacked: Floats = np.unpackbits(self.bits, axis=1, count=self.neurons).astype(target)
            return unpacked
        dense: Floats = self.to_csr(target).toarray()
        return dense

    def _unpacked_csr(self, dtype: np.dtype[Any]) -> sp.csr_array:
        assert self.bits is not None
        total = self.nonzeros
        index_dtype = np.int32 if max(total, self.neurons) <= np.iinfo(np.int32).max else np.int64
        indices = np.empty(total, index_dtype)
        indptr = np.zeros(self.rows + 1, index_dtype)
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

    @classmethod
    def from_any(cls, obj: Any, source: str = "memory") -> Inputs:
        """
        Inputs from a SciPy sparse matrix or an array of shape (rows, neurons): a NumPy array, a
        PyTorch tensor in CPU memory, dense or sparse, or another array in CPU memory with DLPack.

        Inputs are returned unchanged. A C-contiguous array of float32 or float64 is not copied.
        InputError for other types, for values that are not real and finite (naming the row, from
        0), and for a matrix element that is stored twice.
        """
        if isinstance(obj, Inputs):
            return obj
        obj = to_host_array(obj, "inputs")
        if isinstance(obj, np.ndarray):
            dense = finite_dense(obj, "inputs")
            rows, neurons = dense.shape
            return cls(rows=rows, neurons=neurons, source=source, dense=dense)
        csr = canonical_csr(obj, "inputs")
        return cls(rows=csr.shape[0], neurons=csr.shape[1], source=source, csr=csr)


def _csr_rows(csr: sp.csr_array, begin: int, end: int) -> sp.csr_array:
    """Rows of a matrix as views of its entries; an index of SciPy would copy them."""
    start = csr.indptr[begin : end + 1]
    entries = slice(start[0], start[-1])
    # The constructor would copy views of less than half of an array.
    rows = sp.csr_array((end - begin, csr.shape[1]), dtype=csr.dtype)
    rows.data, rows.indices, rows.indptr = csr.data[entries], csr.indices[entries], start - start[0]
    return rows


def _cast(values: Floats, dtype: np.dtype[Any], row_of: Callable[[int], int]) -> Floats:
    """Cast `values` to `dtype`. InputError naming the row on overflow.

    row_of: the row of a value as a function of its offset in the flattened array
    """
    try:
        return to_float(values, dtype, "inputs")
    except InputError:
        flat = values.ravel()
        offset = int(np.flatnonzero(np.abs(flat) > np.finfo(dtype).max)[0])
        raise InputError(
            f"inputs: row {row_of(offset)}: {flat[offset]} is too large for {dtype}; "
            "scale it or use float64"
        ) from None
