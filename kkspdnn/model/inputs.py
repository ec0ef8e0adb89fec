"""Input rows: packed bits for 0/1 images, CSR, or a dense array."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.matrices import Floats, canonical_csr, finite_dense, float_dtype, to_float

_BLOCK_BYTES = 1 << 26  # unpacked at a time: all the memory needed beside the result


@dataclass(frozen=True, eq=False)
class Inputs:
    """
    Input rows Y0 of shape (rows, neurons), as exactly one of `bits`, `csr` and `dense`.

    `bits` uint8[rows, ceil(neurons/8)]: 0/1 rows in numpy.packbits order (first neuron = highest
    bit); padding bits are 0. `csr`: float32 or float64, sorted, finite, no stored zeros. `dense`:
    float32 or float64 [rows, neurons], finite. `source` is a short text for the record. Zero rows
    are legal, negative values too. The constructor checks types, shapes and padding; `from_any`
    checks the numbers.
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
                raise InputError(f"bits: row {bad[0]} has a bit beyond neuron {self.neurons - 1}")
        for name, given in (("csr", self.csr), ("dense", self.dense)):
            if given is not None:
                float_dtype(given.dtype)
                if given.shape != (self.rows, self.neurons):
                    raise InputError(
                        f"{name} of shape {given.shape}, not ({self.rows}, {self.neurons})"
                    )

    def check_neurons(self, wanted: int) -> None:
        """Raise InputError unless the rows have as many neurons as a network takes."""
        if self.neurons != wanted:
            raise InputError(
                f"the input rows have {self.neurons} neurons but the network takes {wanted}"
            )

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values: float32 or float64; float32 for bits."""
        values: Any = self.dense if self.csr is None else self.csr
        kind: np.dtype[Any] = np.dtype(np.float32) if values is None else values.dtype
        return kind

    @property
    def largest(self) -> float:
        """The largest magnitude that a value may have: 1 for bits."""
        values = self.dense if self.csr is None else self.csr.data
        return 1.0 if values is None else float(max(values.max(initial=0), -values.min(initial=0)))

    @property
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
        Rows begin to end-1; views of bits and of dense rows, and all rows are these inputs
        themselves.
        InputError outside 0 <= begin <= end <= rows.
        """
        if not 0 <= begin <= end <= self.rows:
            raise InputError(f"rows {begin}:{end} of {self.rows} input rows")
        if end - begin == self.rows:
            # SciPy would copy them, which takes longer than many a network takes for one row.
            return self
        return self._taken(end - begin, np.s_[begin:end])

    def select_rows(self, rows: NDArray[np.int64]) -> Inputs:
        """Some of the rows, by their numbers from 0, in this order."""
        return self._taken(rows.size, rows)

    def _taken(self, count: int, index: Any) -> Inputs:
        return Inputs(
            rows=count,
            neurons=self.neurons,
            source=self.source,
            bits=None if self.bits is None else self.bits[index],
            csr=None if self.csr is None else sp.csr_array(self.csr[index]),
            dense=None if self.dense is None else self.dense[index],
        )

    def chunks(self, rows: int) -> Iterator[tuple[int, Inputs]]:
        """All rows, at most `rows` at a time, each part with the number of its first row."""
        for begin in range(0, self.rows, rows):
            yield begin, self.slice(begin, min(begin + rows, self.rows))

    def to_csr(self, dtype: DTypeLike = np.float32) -> sp.csr_array:
        """
        The rows as CSR (rows, neurons) of float32 or float64, those of `csr` itself where they are
        of that type; InputError naming the row on overflow.
        """
        wanted = float_dtype(dtype)
        if self.bits is not None:
            return self._unpacked_csr(wanted)
        if self.csr is None:
            return sp.csr_array(self.to_dense(wanted))
        if self.csr.dtype == wanted:
            return self.csr
        starts = self.csr.indptr
        values = _cast(
            self.csr.data, wanted, lambda place: int(np.searchsorted(starts, place, "right")) - 1
        )
        cast = sp.csr_array((values, self.csr.indices, starts), shape=self.csr.shape)
        if wanted.itemsize < self.csr.dtype.itemsize:
            # what underflows to 0 goes; copied first because the indices are those of self
            cast = cast.copy()
            cast.eliminate_zeros()
        return cast

    def to_dense(self, dtype: DTypeLike = np.float32) -> Floats:
        """
        The rows as a dense array [rows, neurons] of float32 or float64, `dense` itself where it is
        of that type; InputError naming the row on overflow.
        """
        wanted = float_dtype(dtype)
        if self.dense is not None:
            return _cast(self.dense, wanted, lambda place: place // self.neurons)
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

    @classmethod
    def from_any(cls, obj: Any, source: str = "memory") -> Inputs:
        """
        Inputs from Inputs (as they are), a SciPy sparse matrix, or an ndarray (rows, neurons), of
        which there is no copy where it is of float32 or float64.

        InputError for anything else, for values that are no real finite numbers (naming the row,
        from 0) and for a cell that is stored twice.
        """
        if isinstance(obj, Inputs):
            return obj
        if isinstance(obj, np.ndarray):
            dense = finite_dense(obj, "inputs")
            many, neurons = dense.shape
            return cls(rows=many, neurons=neurons, source=source, dense=dense)
        csr = canonical_csr(obj, "inputs")
        return cls(rows=csr.shape[0], neurons=csr.shape[1], source=source, csr=csr)


def _cast(values: Floats, dtype: np.dtype[Any], row_of: Callable[[int], int]) -> Floats:
    """row_of: the row of a value, given its place among all"""
    try:
        return to_float(values, dtype, "inputs")
    except InputError:
        flat = values.ravel()
        place = int(np.flatnonzero(np.abs(flat) > np.finfo(dtype).max)[0])
        raise InputError(
            f"inputs: row {row_of(place)}: {flat[place]} is too large for {dtype}; "
            "scale it or use float64"
        ) from None
