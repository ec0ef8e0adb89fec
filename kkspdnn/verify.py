"""Verification of a result against the serial reference, on a sample of the rows or on all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kkspdnn.choices import Verify
from kkspdnn.engines import PartialResult, RowSelector
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Network
from kkspdnn.records.run import Verification
from kkspdnn.serial_reference import compare, timed_reference

_SAMPLE_EDGES = 4_000_000_000
"""The largest product of sample rows and edges: about a second of the serial reference."""

_SAMPLE_ROWS = 500
"""The largest sample, so that the verification of a small network takes less than a second."""

_ACTIVE_ROWS = 8
"""If the sample has fewer active rows, active rows outside it are compared as well."""


def rows_to_compare(network: Network, inputs: Inputs, mode: Verify) -> RowSelector:
    """Return a selector of the active rows whose values `verify` needs.

    mode: full (all active rows) or sample (those of the sample and a few others)
    """
    if mode == "full":
        return lambda rows: np.ones(rows.size, np.bool_)
    sample = _sample_rows(network, inputs)

    def select(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        selected: NDArray[np.bool_] = np.isin(rows, sample)
        if rows.size:
            selected[evenly_spaced(rows.size, _ACTIVE_ROWS)] = True
        return selected

    return select


def verify(
    network: Network, inputs: Inputs, result: PartialResult, mode: Verify, inference_seconds: float
) -> Verification:
    """Compare a result with the serial reference in the dtype of the result.

    result: of all rows, with the values that `rows_to_compare` selects
    mode: none, sample (evenly spaced input rows) or full (all input rows)
    inference_seconds: the time that the reference is compared with; 0: unknown

    If the sample has few active rows, active rows outside it are compared as well, but do not count
    for the time of the reference. The result passes if its categories are the same and its values
    differ by at most `error_bound`.
    """
    if mode == "none":
        return Verification("none")
    if inputs.rows == 0:
        return Verification(mode, 0, 0.0, 0.0, True, True, 0.0, None)
    all_rows = np.arange(inputs.rows, dtype=np.int64)
    sample = all_rows if mode == "full" else _sample_rows(network, inputs)
    error, same, seconds = _compare_rows(network, inputs, result, sample)
    rows = int(sample.size)
    more = _more_active_rows(result.known_rows, sample)
    if more.size:
        more_error, more_same, _ = _compare_rows(network, inputs, result, more)
        error, same = max(error, more_error), same and more_same
        rows += int(more.size)
    bound = error_bound(network, inputs.largest)
    reference_seconds = seconds / sample.size * inputs.rows
    return Verification(
        mode=mode,
        rows=rows,
        max_abs_error=error,
        bound=bound,
        same_categories=same,
        passed=same and error <= bound,
        reference_seconds=reference_seconds,
        speedup=reference_seconds / inference_seconds if inference_seconds > 0 else None,
    )


def _sample_rows(network: Network, inputs: Inputs) -> NDArray[np.int64]:
    """Return evenly spaced rows that take the serial reference about a second or less."""
    limit = max(4, min(_SAMPLE_ROWS, _SAMPLE_EDGES // max(1, network.edges)))
    return evenly_spaced(inputs.rows, limit)


def _more_active_rows(active: NDArray[np.int64], sample: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return evenly spaced active rows outside the sample, if it has too few active rows."""
    outside = np.setdiff1d(active, sample)
    inside = active.size - outside.size
    needed = min(_ACTIVE_ROWS, max(1, sample.size // 16))
    return outside[evenly_spaced(outside.size, max(0, needed - inside))]


def evenly_spaced(count: int, limit: int) -> NDArray[np.int64]:
    """Return at most `limit` of the numbers 0 to count - 1, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).astype(np.int64))


def error_bound(network: Network, largest: float = 1.0) -> float:
    """Return how far two computations in the network's dtype may differ, in any order of summation.

    largest: the largest magnitude of any input

    The bound follows from layer to layer. For a layer with at most n products in a sum, let u be
    the unit roundoff, g = (n + 2) u / (1 - (n + 2) u) (Higham, Accuracy and Stability of Numerical
    Algorithms, 2nd ed., sections 3.1 and 4.2), c the largest column sum of |W|, M the largest
    magnitude of its inputs and e the largest difference of its inputs. Its outputs differ by at
    most c e + 2 g (c M + |b|), and by n + 2 times the smallest subnormal number more if products
    underflow. Their magnitude is at most (1 + g) (c M + |b|). A layer with ReLU limits both to
    ymax.

    The bound holds for a network of merged neurons (kkspdnn.model.neuron_merging) as well. If k of
    n products remain, and one of them replaces m products, its weight is rounded at most m times (m
    - 1 additions, and the conversion to the dtype), the product once, the sum at most k - 1 times,
    and the sum with the bias once: m + k + 1 factors (1 + d), |d| <= u, for each term. Each of the
    other k - 1 products replaces at least one product, so m + k - 1 <= n, and the factors are at
    most the n + 2 of g.

    Not covered: a sum that cancels or underflows to exactly 0 in only one of the computations, if
    the bias is added to nonzero sums only.
    """
    limits = np.finfo(network.dtype)
    unit, smallest = float(limits.eps) / 2, float(limits.smallest_subnormal)
    error = 0.0
    for layer in network.layers:
        terms = int(np.diff(layer.start).max(initial=0)) + 2
        gamma = terms * unit / (1 - terms * unit) if terms * unit < 1 else np.inf
        weights = np.abs(layer.value.astype(np.float64))
        nonempty = layer.start[:-1] < layer.start[1:]
        sums = np.add.reduceat(weights, layer.start[:-1][nonempty]) if weights.size else weights
        column_sum = float(sums.max(initial=0.0))
        bias = float(np.abs(layer.bias).max())
        limit = np.inf if network.ymax is None or layer.activation == "linear" else network.ymax
        rounding = 2 * gamma * (column_sum * largest + bias) + terms * smallest
        error = min(limit, column_sum * error + rounding)
        largest = min(limit, (1 + gamma) * (column_sum * largest + bias))
    return error


def _compare_rows(
    network: Network, inputs: Inputs, result: PartialResult, rows: NDArray[np.int64]
) -> tuple[float, bool, float]:
    """Compare some rows with the serial reference.

    Returns the largest difference, whether the categories are the same, and the seconds of the
    reference.
    """
    assert result.values is not None
    sample = inputs.select_rows(rows)
    expected, seconds = timed_reference(network, sample, dtype=result.values.dtype)
    comparison = compare(result.select_rows(rows), expected)
    return comparison.max_abs_error, comparison.same_categories, seconds
