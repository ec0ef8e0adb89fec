"""
Matrices from outside, checked and brought to one form: canonical CSR of finite float32 or float64.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError, short_repr
from kkspdnn.model.ieee import ieee_arithmetic

Floats = NDArray[np.float32] | NDArray[np.float64]


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """float32 or float64 as a dtype object; InputError for any other."""
    try:
        wanted = np.dtype(dtype)
    except Exception:  # NumPy reads many things as a dtype, and fails in many ways
        wanted = np.dtype(object)
    if dtype is None or wanted not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise InputError(f"dtype {short_repr(dtype)}: use float32 or float64")
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


def array_of(given: Any, what: str) -> NDArray[Any]:
    """A number, a list or any other library's array as NumPy's; InputError where it is none."""
    _refuse_masked(given, what)
    try:
        return np.asarray(given)
    except Exception as error:  # of the other library, such as PyTorch
        said = str(error).partition("\n")[0]
        raise InputError(f"{what}: no NumPy array can be made of it: {said}") from error


@ieee_arithmetic()
def bias_vector(bias: Any, outputs: int, dtype: DTypeLike, what: str) -> Floats:
    """One finite bias for each of `outputs` neurons from a number or a vector of that length."""
    given = array_of(bias, f"{what}: bias")
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


def canonical_csr(given: object, what: str) -> sp.csr_array:
    """
    A new CSR array: indices sorted, no duplicates, no stored zeros, every value finite.

    `given` is a SciPy sparse matrix or array of any format or an ndarray; two-dimensional, real,
    at least one column. float32 stays float32, small integers and bools become float32 (exact),
    other numbers float64. `what` begins the message of every InputError; coordinates in it are
    0-based.
    """
    return _canonical(given, what, sp.csr_array)


def canonical_csc(given: object, what: str) -> sp.csc_array:
    """
    As `canonical_csr`, but a CSC array: it needs no memory for rows that have no value.
    """
    return _canonical(given, what, sp.csc_array)


@ieee_arithmetic()
def _canonical(given: object, what: str, form: Any) -> Any:
    """form: sp.csr_array or sp.csc_array"""
    matrix: Any = given
    if not (sp.issparse(given) or isinstance(given, np.ndarray)):
        raise InputError(
            f"{what}: {type(matrix).__name__}; give a NumPy array or a SciPy sparse matrix"
        )
    dtype = _checked_dtype(matrix, what)
    made = _compressed(matrix, what, form)
    bad = np.flatnonzero(~np.isfinite(made.data))
    if bad.size:
        line = int(np.searchsorted(made.indptr, bad[0], side="right")) - 1
        across = int(made.indices[bad[0]])
        row, column = (line, across) if form is sp.csr_array else (across, line)
        _refuse_infinite(what, row, column, made.data[bad[0]])
    values = to_float(made.data, dtype, what)
    clean = form((values, made.indices, made.indptr), shape=made.shape)
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
    _refuse_masked(matrix, what)
    if matrix.ndim != 2:
        raise InputError(f"{what}: {matrix.ndim} dimensions; it must have 2 (rows, columns)")
    if matrix.shape[1] < 1:
        raise InputError(f"{what}: shape {matrix.shape}; at least one column is needed")
    return working_dtype(matrix.dtype, what)


def _refuse_masked(given: object, what: str) -> None:
    """NumPy's own conversions would silently take the values below the mask."""
    if isinstance(given, np.ma.MaskedArray):
        raise InputError(f"{what}: a masked array; give the values that count, as of its filled(0)")


def _compressed(matrix: Any, what: str, form: Any) -> Any:
    """A sorted copy as CSR or CSC; a cell stored twice is an error, never silently a sum."""
    # SciPy's compiled routines have no float16, and none for another byte order
    if matrix.dtype == np.float16:
        matrix = matrix.astype(np.float32)
    elif not matrix.dtype.isnative:
        matrix = matrix.astype(matrix.dtype.newbyteorder("="))
    if isinstance(matrix, np.ndarray):
        return form(np.asarray(matrix))
    try:
        if matrix.format in ("csr", "csc", "bsr"):
            matrix.check_format(full_check=True)
        stored = matrix if matrix.format in ("csr", "csc") else matrix.tocoo()
        if stored.format == "coo" and stored.nnz:
            reach = (int(stored.row.max()), int(stored.col.max()))
            inside = all(last < length for last, length in zip(reach, stored.shape, strict=True))
            if min(stored.row.min(), stored.col.min()) < 0 or not inside:
                raise ValueError("an index is outside its shape")
        count = stored.nnz
        made = form(stored, copy=True)
        made.sum_duplicates()
    except (ValueError, IndexError, TypeError) as error:
        raise InputError(f"{what}: not a valid sparse matrix: {error}") from error
    if made.nnz != count:
        row, column = _first_duplicate(stored)
        raise InputError(
            f"{what}: row {row}, column {column} is stored twice; add the two up or remove one"
        )
    return made


def _first_duplicate(stored: Any) -> tuple[int, int]:
    coo = stored.tocoo()
    order = np.lexsort((coo.col, coo.row))
    row, column = coo.row[order], coo.col[order]
    same = np.flatnonzero((row[1:] == row[:-1]) & (column[1:] == column[:-1]))
    return int(row[same[0]]), int(column[same[0]])
