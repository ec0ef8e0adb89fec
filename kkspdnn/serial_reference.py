"""The serial reference in SciPy, and the comparison of a result with it."""

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
    """Return the activations after the last layer, CSR (rows, network.outputs), no stored zeros.

    inputs: Inputs, or a SciPy sparse matrix or 2-D NumPy array of shape (rows, neurons)
    dtype: float32 or float64, of all arithmetic

    Each layer is computed as the Sparse DNN Graph Challenge defines it (Kepner et al., HPEC 2019):
    Z = Y W; the bias is added to the nonzero entries of Z only; negative values become 0, and
    values above ymax become ymax. A layer with bias_to "all" adds the bias to all entries, a linear
    layer has no limits.

    Raises InputError if the inputs do not fit the network, a number overflows `dtype`, or an
    activation is not finite.
    """
    check_network(network)
    return timed_reference(network, Inputs.from_any(inputs), dtype=dtype)[0]


@ieee_arithmetic()
def timed_reference(
    network: Network, inputs: Inputs, *, dtype: DTypeLike = np.float64
) -> tuple[sp.csr_array, float]:
    """Return the result of `reference` and the seconds of its arithmetic, without the time to
    generate or convert rows and weights and to sort columns."""
    run_dtype = float_dtype(dtype)
    inputs.check_neurons(network.inputs)
    y = inputs.to_csr(run_dtype)
    seconds = 0.0
    for number, source in enumerate(network.layers, start=1):
        try:
            layer = source.astype(run_dtype)
        except InputError as error:
            raise InputError(str(error), layer=number) from error
        weights = layer.weights()
        started = perf_counter()
        y = compute_layer(y, weights, layer, network.ymax, number)
        seconds += perf_counter() - started
        # SciPy adds the terms in their order in memory. The workunits add in ascending order.
        y.sort_indices()
    return y, seconds


def compute_layer(
    y: sp.csr_array, weights: sp.csr_array, layer: Layer, ymax: float | None, number: int
) -> sp.csr_array:
    """Return the activations after a layer, without stored zeros.

    weights: `layer.weights()`
    ymax: the upper limit of the network's ReLU; None: no limit
    number: of the layer, from 1, for an error message

    Raises InputError if activations overflow.
    """
    z = sp.csr_array(y @ weights)
    z.eliminate_zeros()  # sums that cancel to 0 get no bias
    if layer.bias_to == "all":
        z = _store_zeros(z)
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


def _store_zeros(matrix: sp.csr_array) -> sp.csr_array:
    """Return the same matrix with all entries stored."""
    rows, columns = matrix.shape
    indices, offsets = np.tile(np.arange(columns), rows), columns * np.arange(rows + 1)
    return sp.csr_array((matrix.toarray().ravel(), indices, offsets), shape=matrix.shape)


def categories(final: sp.csr_array) -> NDArray[np.int64]:
    """Return the categories, as the challenge calls them: the rows with any nonzero value, from 1,
    ascending."""
    nonzero = sp.csr_array(final, copy=True)
    nonzero.eliminate_zeros()
    return np.flatnonzero(np.diff(nonzero.indptr)).astype(np.int64) + 1


@dataclass(frozen=True, eq=False)
class Comparison:
    """The differences between a result and the reference.

    rows_missing, rows_extra: categories of the reference only, and of the result only
    max_abs_error: the largest absolute difference of any value; NaN if a value is NaN
    """

    rows_missing: NDArray[np.int64]
    rows_extra: NDArray[np.int64]
    max_abs_error: float

    @property
    def same_categories(self) -> bool:
        """Whether no category is missing or extra."""
        return self.rows_missing.size == 0 and self.rows_extra.size == 0


def compare(values: sp.csr_array, expected: sp.csr_array) -> Comparison:
    """Compare a result with the reference, both CSR (rows, outputs).

    Raises InputError if their shapes differ.
    """
    if values.shape != expected.shape:
        raise InputError(
            f"the result has shape {values.shape} but the reference has shape {expected.shape}"
        )
    rows, expected_rows = categories(values), categories(expected)
    difference = sp.csr_array(values.astype(np.float64) - expected.astype(np.float64))
    return Comparison(
        rows_missing=np.setdiff1d(expected_rows, rows),
        rows_extra=np.setdiff1d(rows, expected_rows),
        max_abs_error=float(np.max(np.abs(difference.data), initial=0.0)),
    )
