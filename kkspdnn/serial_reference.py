"""The serial reference: plain, obviously right, and the comparison of a result with it."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import DTypeLike, NDArray

from kkspdnn.errors import InputError
from kkspdnn.model.ieee import ieee_arithmetic
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.matrices import float_dtype
from kkspdnn.model.network import Network, check_network


def reference(network: Network, inputs: Any, *, dtype: DTypeLike = np.float64) -> sp.csr_array:
    """
    The activations after the last layer, CSR of shape (rows, network.outputs), no stored zeros.

    inputs: Inputs, or a SciPy sparse matrix or 2-D NumPy array of shape (rows, neurons)

    For each layer, as the Sparse DNN Graph Challenge defines it (Kepner et al., HPEC 2019): Z = Y
    W; the bias added to the nonzero entries of Z only; negative values to 0; values over ymax to
    ymax. Where the layer says so, the bias is added to all entries, and values stay as they are.
    All arithmetic is in `dtype`, float32 or float64. InputError where the inputs do not fit
    the network, a number overflows `dtype`, or an activation is no finite number.
    """
    check_network(network)
    return timed_reference(network, Inputs.from_any(inputs), dtype=dtype)[0]


@ieee_arithmetic()
def timed_reference(
    network: Network, inputs: Inputs, *, dtype: DTypeLike = np.float64
) -> tuple[sp.csr_array, float]:
    """
    What `reference` gives, and its seconds: the arithmetic only, without making rows and weights
    and sorting columns.
    """
    wanted = float_dtype(dtype)
    inputs.check_neurons(network.inputs)
    y = inputs.to_csr(wanted)
    seconds = 0.0
    for number, given in enumerate(network.layers, start=1):
        try:
            layer = given.astype(wanted)
        except InputError as error:
            raise InputError(str(error), layer=number) from error
        weights = layer.weights()
        started = perf_counter()
        y = _one_layer(y, weights, layer, network.ymax, number)
        seconds += perf_counter() - started
        # SciPy adds up in the order of storage: ascending, as the workunits do.
        y.sort_indices()
    return y, seconds


def _one_layer(
    y: sp.csr_array, weights: sp.csr_array, layer: Layer, ymax: float | None, number: int
) -> sp.csr_array:
    z = sp.csr_array(y @ weights)
    z.eliminate_zeros()  # sums that cancel to 0 are not nonzero: no bias for them
    if layer.bias_to == "all":
        z = _with_zeros(z)
    with np.errstate(over="ignore"):
        z.data += layer.bias[z.indices]
    undefined = np.isnan(z.data)
    if layer.activation == "relu":
        z.data[z.data < 0] = 0
        if ymax is not None:
            with np.errstate(over="ignore"):
                limit = z.dtype.type(ymax)
            np.minimum(z.data, limit, out=z.data)
    undefined |= np.isinf(z.data)
    if undefined.any():
        row = int(np.searchsorted(z.indptr, np.flatnonzero(undefined)[0], side="right")) - 1
        raise InputError(
            f"the activations of row {row} overflow {z.dtype}; scale the weights down",
            layer=number,
        )
    z.eliminate_zeros()
    return z


def _with_zeros(matrix: sp.csr_array) -> sp.csr_array:
    """The same matrix with every entry stored."""
    rows, columns = matrix.shape
    indices, offsets = np.tile(np.arange(columns), rows), columns * np.arange(rows + 1)
    return sp.csr_array((matrix.toarray().ravel(), indices, offsets), shape=matrix.shape)


def categories(final: sp.csr_array) -> NDArray[np.int64]:
    """The challenge's answer: the rows (from 1, ascending) that have any nonzero value."""
    live = sp.csr_array(final, copy=True)
    live.eliminate_zeros()
    return np.flatnonzero(np.diff(live.indptr)).astype(np.int64) + 1


@dataclass(frozen=True, eq=False)
class Comparison:
    """
    How a result differs from the reference.

    `rows_missing` and `rows_extra`: categories (rows from 1) that only the reference, only the
    result has. `max_abs_error`: the largest difference of any value; NaN where a value is NaN.
    """

    rows_missing: NDArray[np.int64]
    rows_extra: NDArray[np.int64]
    max_abs_error: float

    @property
    def same_categories(self) -> bool:
        """True where no row is missing and none extra."""
        return self.rows_missing.size == 0 and self.rows_extra.size == 0


def compare(values: sp.csr_array, expected: sp.csr_array) -> Comparison:
    """
    Compare a result with the reference, both CSR (rows, outputs); InputError for unlike shapes.
    """
    if values.shape != expected.shape:
        raise InputError(
            f"a result of shape {values.shape} against a reference of {expected.shape}"
        )
    found, truth = categories(values), categories(expected)
    difference = sp.csr_array(values.astype(np.float64) - expected.astype(np.float64))
    return Comparison(
        rows_missing=np.setdiff1d(truth, found),
        rows_extra=np.setdiff1d(found, truth),
        max_abs_error=float(np.max(np.abs(difference.data), initial=0.0)),
    )
