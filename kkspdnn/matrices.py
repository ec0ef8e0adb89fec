"""
Matrices from outside, checked and brought to one form: canonical CSR of finite float32 or float64.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError
from kkspdnn.ieee import ieee_arithmetic

Floats = NDArray[np.float32] | NDArray[np.float64]


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """float32 or float64 as a dtype object; InputError for any other."""
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = np.dtype(object)
    if dtype is None or wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f"dtype {dtype!r}: use float32 or float64")
    return wanted.newbyteorder("=")


def working_dtype(dtype: np.dtype[Any], what: str) -> np.dtype[Any]:
    """
    The float type that real numbers of `dtype` are kept in: float32 where that is exact, else
    float64.
    """
    if dtype.kind not in "biuf":
        raise InputError(f"{what}: {dtype} values are not real numbers; use float32 or float64")
    kept = np.result_type(dtype, np.float32)
    return np.dtype(np.float64) if kept.itemsize > 8 else kept


@ieee_arithmetic()
def to_float(values: NDArray[Any], dtype: DTypeLike, what: str) -> Floats:
    """`values` (finite) as float32 or float64; InputError where a number overflows to infinity."""
    with np.errstate(over="ignore", under="ignore"):
        cast: Floats = values.astype(dtype, copy=False)
    if cast.dtype.itemsize < values.dtype.itemsize or values.dtype.kind != "f":
        bad = np.flatnonzero(~np.isfinite(cast))
        if bad.size:
            number = values.ravel()[bad[0]]
            raise InputError(
                f"{what}: {number} is too large for {cast.dtype}; scale it or use float64"
            )
    return cast


@ieee_arithmetic()
def bias_vector(bias: Any, outputs: int, dtype: DTypeLike, what: str) -> Floats:
    """One finite bias for each of `outputs` neurons from a number or a vector of that length."""
    given = np.asarray(bias)
    if given.shape not in ((), (outputs,)):
        raise InputError(
            f"{what}: the bias has shape {given.shape}; give one number or a vector of {outputs}"
        )
    checked = given.astype(working_dtype(given.dtype, f"{what}: bias"), copy=False)
    bad = np.flatnonzero(~np.isfinite(checked))
    if bad.size:
        raise InputError(
            f"{what}: bias {checked.ravel()[bad[0]]} of output {bad[0]}: every bias must be finite"
        )
    cast = to_float(checked, dtype, f"{what}: bias")
    # always a new array: the caller may go on changing the one given
    broadcast: Any = np.broadcast_to(cast, (outputs,))
    vector: Floats = np.array(broadcast)
    return vector


@ieee_arithmetic()
def canonical_csr(given: object, what: str) -> sp.csr_array:
    """
    A new CSR array: indices sorted, no duplicates, no stored zeros, every value finite.

    `given` is a SciPy sparse matrix or array of any format or an ndarray; two-dimensional, real,
    at least one column. float32 stays float32, small integers and bools become float32 (exact),
    other numbers float64. `what` begins the message of every InputError; coordinates in it are
    0-based.
    """
    matrix: Any = given
    if not (sp.issparse(given) or isinstance(given, np.ndarray)):
        raise InputError(
            f"{what}: {type(matrix).__name__}; give a NumPy array or a SciPy sparse matrix"
        )
    dtype = _checked_dtype(matrix, what)
    csr = _to_csr(matrix, what)
    bad = np.flatnonzero(~np.isfinite(csr.data))
    if bad.size:
        row = int(np.searchsorted(csr.indptr, bad[0], side="right")) - 1
        _refuse_infinite(what, row, csr.indices[bad[0]], csr.data[bad[0]])
    values = to_float(csr.data, dtype, what)
    clean = sp.csr_array((values, csr.indices, csr.indptr), shape=csr.shape)
    clean.eliminate_zeros()
    return clean


@ieee_arithmetic()
def finite_dense(given: NDArray[Any], what: str) -> Floats:
    """
    A 2-D array, row after row in memory, every value finite; `given` itself where it is all that.

    Types and errors are those of `canonical_csr`.
    """
    dtype = _checked_dtype(given, what)
    values = np.ascontiguousarray(given)
    # What is not finite shows in one of the two, and they need no memory.
    if values.size and not np.isfinite((values.min(), values.max())).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        _refuse_infinite(what, row, column, values[row, column])
    return to_float(values, dtype, what)


def _refuse_infinite(what: str, row: int, column: int, value: Any) -> NoReturn:
    raise InputError(f"{what}: row {row}, column {column} is {value}; every value must be finite")


def _checked_dtype(matrix: Any, what: str) -> np.dtype[Any]:
    """The type to keep the values of a matrix in; InputError where it is none, or has no column."""
    if matrix.ndim != 2:
        raise InputError(f"{what}: {matrix.ndim} dimensions; it must have 2 (rows, columns)")
    if matrix.shape[1] < 1:
        raise InputError(f"{what}: shape {matrix.shape}; at least one column is needed")
    return working_dtype(matrix.dtype, what)


def _to_csr(matrix: Any, what: str) -> sp.csr_array:
    """A sorted copy in CSR; a cell that is stored twice is an error, never silently a sum."""
    # SciPy's compiled routines have no float16
    if matrix.dtype == np.float16:
        matrix = matrix.astype(np.float32)
    if isinstance(matrix, np.ndarray):
        return sp.csr_array(np.asarray(matrix))
    try:
        if matrix.format in ("csr", "csc", "bsr"):
            matrix.check_format(full_check=True)
        stored = matrix if matrix.format in ("csr", "csc") else matrix.tocoo()
        if stored.format == "coo" and stored.nnz:
            reach = tuple(int(axis.max()) + 1 for axis in (stored.row, stored.col))
            if min(stored.row.min(), stored.col.min()) < 0 or reach > stored.shape:
                raise ValueError("an index is outside its shape")
        count = stored.nnz
        csr = sp.csr_array(stored, copy=True)
        csr.sum_duplicates()
    except (ValueError, IndexError, TypeError) as error:
        raise InputError(f"{what}: not a valid sparse matrix: {error}") from error
    if csr.nnz != count:
        row, column = _first_duplicate(stored)
        raise InputError(
            f"{what}: row {row}, column {column} is stored twice; add the two up or remove one"
        )
    return csr


def _first_duplicate(stored: Any) -> tuple[int, int]:
    coo = stored.tocoo()
    order = np.lexsort((coo.col, coo.row))
    row, column = coo.row[order], coo.col[order]
    same = np.flatnonzero((row[1:] == row[:-1]) & (column[1:] == column[:-1]))
    return int(row[same[0]]), int(column[same[0]])
