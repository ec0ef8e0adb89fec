"""
Validation and conversion of matrices and vectors to finite float32 or float64.

In all functions, `label` is the beginning of the message of each InputError.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError, first_line, short_repr
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.units import plural

Floats = NDArray[np.float32] | NDArray[np.float64]


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """float32 or float64 as a dtype object; InputError for any other."""
    try:
        converted = np.dtype(dtype)
    except Exception:  # NumPy converts objects of many types, and raises many exceptions
        converted = np.dtype(object)
    if dtype is None or converted not in (np.dtype(np.float32), np.dtype(np.float64)):
        given = short_repr(dtype)
        hint = ' of NumPy, such as "float32"' if given.startswith("torch.") else ""
        raise InputError(f"dtype {given}: use float32 or float64{hint}")
    return converted.newbyteorder("=")


def working_dtype(dtype: np.dtype[Any], label: str) -> np.dtype[Any]:
    """
    The dtype to store real numbers of `dtype` in: float32 if that is exact, else float64.

    InputError if `dtype` is not a type of real numbers.
    """
    if dtype.kind not in "biuf":
        raise InputError(f"{label}: {dtype} values are not real numbers; use float32 or float64")
    promoted = np.result_type(dtype, np.float32)
    return np.dtype(np.float64) if promoted.itemsize > 8 else promoted


@ieee_arithmetic()
def to_float(values: NDArray[Any], dtype: DTypeLike, label: str) -> Floats:
    """Finite `values` as float32 or float64. InputError if a number overflows to infinity."""
    with np.errstate(over="ignore", under="ignore"):
        cast: Floats = values.astype(dtype, copy=False)
    if cast.dtype.itemsize < values.dtype.itemsize or values.dtype.kind != "f":
        bad = np.flatnonzero(~np.isfinite(cast))
        if bad.size:
            number = values.ravel()[bad[0]]
            raise InputError(
                f"{label}: {number} is too large for {cast.dtype}; scale it or use float64"
            )
    return cast


def as_array(value: Any, label: str) -> NDArray[Any]:
    """A number, a list or an array of another library as a NumPy array.

    InputError for a masked array and if the conversion fails.
    """
    _check_not_masked(value, label)
    try:
        return np.asarray(value)
    except Exception as error:  # of any type, raised by the other library, such as PyTorch
        reason = first_line(error)
        raise InputError(f"{label}: it cannot be converted to a NumPy array: {reason}") from error


@ieee_arithmetic()
def bias_vector(bias: Any, outputs: int, dtype: DTypeLike, label: str) -> Floats:
    """A new bias vector [outputs] of `dtype` from one number or a vector of that length.

    InputError for another shape, for values that are not real and finite, and on overflow.
    """
    array = as_array(bias, f"{label}: bias")
    if array.shape not in ((), (outputs,)):
        raise InputError(
            f"{label}: the bias has shape {array.shape}; give one number or a vector of {outputs}"
        )
    checked = array.astype(working_dtype(array.dtype, f"{label}: bias"), copy=False)
    bad = np.flatnonzero(~np.isfinite(checked))
    if bad.size:
        raise InputError(
            f"{label}: bias {checked.ravel()[bad[0]]} of output {bad[0]}: every bias must be finite"
        )
    cast = to_float(checked, dtype, f"{label}: bias")
    # Always a new array, because the caller may change its own later.
    broadcast: Any = np.broadcast_to(cast, (outputs,))
    vector: Floats = np.array(broadcast)
    return vector


def canonical_csr(matrix: object, label: str) -> sp.csr_array:
    """
    A new CSR array with sorted indices, no duplicates, no stored zeros and finite values.

    matrix: an ndarray or a SciPy sparse matrix or array of any format, of two dimensions, at least
    one column and real numbers

    float32 stays float32. Booleans, float16 and small integers become float32, which is exact.
    Other numbers become float64. InputError for any other matrix; rows and columns in the message
    are counted from 0.
    """
    return _canonical(matrix, label, sp.csr_array)


def canonical_csc(matrix: object, label: str) -> sp.csc_array:
    """As `canonical_csr`, but CSC, whose memory does not depend on the number of rows."""
    return _canonical(matrix, label, sp.csc_array)


@ieee_arithmetic()
def _canonical(matrix: Any, label: str, array_type: Any) -> Any:
    """array_type: sp.csr_array or sp.csc_array"""
    if not (sp.issparse(matrix) or isinstance(matrix, np.ndarray)):
        remedy = ".to_numpy()" if hasattr(matrix, "to_numpy") else "numpy.asarray"
        raise InputError(
            f"{label}: {type(matrix).__name__}; give a NumPy array or a SciPy sparse matrix, such "
            f"as of {remedy}"
        )
    dtype = checked_dtype(matrix, label)
    compressed = _compressed(matrix, label, array_type)
    bad = np.flatnonzero(~np.isfinite(compressed.data))
    if bad.size:
        major = int(np.searchsorted(compressed.indptr, bad[0], side="right")) - 1
        minor = int(compressed.indices[bad[0]])
        row, column = (major, minor) if array_type is sp.csr_array else (minor, major)
        _raise_not_finite(label, row, column, compressed.data[bad[0]])
    values = to_float(compressed.data, dtype, label)
    canonical = array_type((values, compressed.indices, compressed.indptr), shape=compressed.shape)
    canonical.eliminate_zeros()
    return canonical


@ieee_arithmetic()
def finite_dense(array: NDArray[Any], label: str) -> Floats:
    """
    `array` in C order with finite values of float32 or float64; not copied if it already is.

    The dtype of the result and the errors are those of `canonical_csr`.
    """
    dtype = checked_dtype(array, label)
    values = np.ascontiguousarray(array)
    # The minimum or the maximum shows NaN and infinity, and needs no temporary array.
    if values.size and not np.isfinite((values.min(), values.max())).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        _raise_not_finite(label, row, column, values[row, column])
    return to_float(values, dtype, label)


def _raise_not_finite(label: str, row: int, column: int, value: Any) -> NoReturn:
    raise InputError(f"{label}: row {row}, column {column} is {value}; every value must be finite")


def checked_dtype(matrix: Any, label: str) -> np.dtype[Any]:
    """The dtype to store a matrix, or an array of CuPy, in.

    InputError for another number of dimensions, no column, or values that are not real numbers.
    """
    _check_not_masked(matrix, label)
    if matrix.ndim != 2:
        remedy = "; for one row use x.reshape(1, -1)" if matrix.ndim == 1 else ""
        raise InputError(
            f"{label}: {plural(matrix.ndim, 'dimension')}; it must have 2 (rows, columns){remedy}"
        )
    if matrix.shape[1] < 1:
        raise InputError(f"{label}: shape {matrix.shape}; at least one column is needed")
    return working_dtype(matrix.dtype, label)


def _check_not_masked(value: object, label: str) -> None:
    """Raise InputError for a masked array. NumPy's conversions would use the masked values."""
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(f"{label}: a masked array; replace the masked values, as with filled(0)")


def _compressed(matrix: Any, label: str, array_type: Any) -> Any:
    """A sorted copy as CSR or CSC. InputError for duplicates, which SciPy would add up."""
    # SciPy's compiled routines support neither float16 nor a foreign byte order.
    if matrix.dtype == np.float16:
        matrix = matrix.astype(np.float32)
    elif not matrix.dtype.isnative:
        matrix = matrix.astype(matrix.dtype.newbyteorder("="))
    if isinstance(matrix, np.ndarray):
        return array_type(np.asarray(matrix))
    try:
        if matrix.format in ("csr", "csc", "bsr"):
            matrix.check_format(full_check=True)
        stored = matrix if matrix.format in ("csr", "csc") else matrix.tocoo()
        if stored.format == "coo" and stored.nnz:
            largest = (int(stored.row.max()), int(stored.col.max()))
            inside = all(last < length for last, length in zip(largest, stored.shape, strict=True))
            if min(stored.row.min(), stored.col.min()) < 0 or not inside:
                raise ValueError("an index is outside its shape")
        count = stored.nnz
        compressed = array_type(stored, copy=True)
        compressed.sum_duplicates()
    except (ValueError, IndexError, TypeError) as error:
        raise InputError(f"{label}: not a valid sparse matrix: {error}") from error
    if compressed.nnz != count:
        row, column = _first_duplicate(stored)
        raise InputError(
            f"{label}: row {row}, column {column} is stored twice; add the values or remove one"
        )
    return compressed


def _first_duplicate(stored: Any) -> tuple[int, int]:
    """The row and column of the first matrix element that is stored twice."""
    coo = stored.tocoo()
    order = np.lexsort((coo.col, coo.row))
    row, column = coo.row[order], coo.col[order]
    same = np.flatnonzero((row[1:] == row[:-1]) & (column[1:] == column[:-1]))
    return int(row[same[0]]), int(column[same[0]])
