"""Conversion of an index to the numbers of the rows that it selects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kkspdnn.errors import InputError, short_repr


def row_numbers(index: Any, rows: int) -> NDArray[np.int64]:
    """
    The numbers of the rows, from 0, that a number, a list of numbers or a mask selects.

    rows: how many rows there are; negative numbers count from the last one

    IndexError for a number outside the rows; InputError for an index of another type, and for a
    mask of another length.
    """
    if isinstance(index, tuple):
        raise InputError(
            f"inputs[{short_repr(index)}]: select rows by one index, such as inputs[:100]"
        )
    try:
        numbers = np.atleast_1d(np.asarray(index))
    except (TypeError, ValueError):
        numbers = np.array([None])
    if numbers.ndim == 1 and numbers.dtype == np.bool_ and numbers.size == rows:
        return np.flatnonzero(numbers)
    if numbers.size == 0 and numbers.ndim == 1:
        return np.empty(0, np.int64)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise InputError(
            f"inputs[{short_repr(index)}]: use a slice, row numbers, or a mask of {rows} values"
        )
    outside = numbers[(numbers >= rows) | (numbers < -rows)]
    if outside.size:
        raise IndexError(f"row {outside[0]} of {rows} input rows")
    found: NDArray[np.int64] = np.where(numbers < 0, numbers + rows, numbers).astype(np.int64)
    return found
