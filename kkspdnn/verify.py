"""A result against the serial reference: on a sample of the input rows, or on all."""

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
"""Input rows times edges of the sample: about a second of the serial reference."""

_SAMPLE_ROWS = 500
"""The largest sample. It keeps the verification of a small network below a second."""

_ACTIVE_ROWS = 8
"""If the sample has fewer active rows, active rows outside it are compared as well."""


def wanted(network: Network, inputs: Inputs, mode: Verify) -> RowSelector:
    """The active rows whose values `verify` needs: all, or the sample's and a few others."""
    if mode == "full":
        return lambda rows: np.ones(rows.size, np.bool_)
    chosen = _sample(network, inputs)

    def some(rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = np.isin(rows, chosen)
        if rows.size:
            kept[_spaced(rows.size, _ACTIVE_ROWS)] = True
        return kept

    return some


def verify(
    network: Network, inputs: Inputs, outcome: PartialResult, mode: Verify, inference_seconds: float
) -> Verification:
    """Compare `outcome`, with the values `wanted`, with the serial reference in their dtype.

    The sample is evenly spaced input rows; these also time the reference. If few of them are
    active, active rows outside the sample are compared as well. Categories must be the same and
    values within `error_bound`.
    """
    if mode == "none":
        return Verification("none")
    if inputs.rows == 0:
        return Verification(mode, 0, 0.0, 0.0, True, True, 0.0, None)
    full = np.arange(inputs.rows, dtype=np.int64)
    chosen = full if mode == "full" else _sample(network, inputs)
    error, same, seconds = _compared(network, inputs, outcome, chosen)
    rows = int(chosen.size)
    more = _more_active_rows(outcome.known, chosen)
    if more.size:
        more_error, more_same, _ = _compared(network, inputs, outcome, more)
        error, same = max(error, more_error), same and more_same
        rows += int(more.size)
    bound = error_bound(network, inputs.largest)
    whole = seconds / chosen.size * inputs.rows
    return Verification(
        mode=mode,
        rows=rows,
        max_abs_error=error,
        bound=bound,
        same_categories=same,
        passed=same and error <= bound,
        reference_seconds=whole,
        speedup=whole / inference_seconds if inference_seconds > 0 else None,
    )


def _sample(network: Network, inputs: Inputs) -> NDArray[np.int64]:
    """Evenly spaced rows, for which the serial reference takes about a second or less."""
    most = max(4, min(_SAMPLE_ROWS, _SAMPLE_EDGES // max(1, network.edges)))
    return _spaced(inputs.rows, most)


def _more_active_rows(known: NDArray[np.int64], sample: NDArray[np.int64]) -> NDArray[np.int64]:
    """Evenly spaced active rows outside the sample, as many as it lacks."""
    outside = np.setdiff1d(known, sample)
    inside = known.size - outside.size
    wanted = min(_ACTIVE_ROWS, max(1, sample.size // 16))
    return outside[_spaced(outside.size, max(0, wanted - inside))]


def _spaced(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the numbers 0 to count - 1, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def error_bound(network: Network, largest: float = 1.0) -> float:
    """How far two computations in the network's dtype may differ, in any order of summation.

    With u the unit roundoff, g = (n + 2) u / (1 - (n + 2) u) for n terms (Higham, Accuracy and
    Stability of Numerical Algorithms, 2nd ed., sections 3.1 and 4.2), c the largest column sum of
    |W| and M the largest activation, one layer turns a difference e into at most c e + 2 g (c M +
    |b|), and n times the smallest number more where products underflow; values in [0, ymax] differ
    by at most ymax, those of a layer without ReLU have no limit. `largest` is the largest magnitude
    of any input. M grows to at most (1 + g) (c M + |b|).

    This holds for a network of merged neurons (kkspdnn.model.neuron_merging) as well: where k
    products are left of n, and one of them stands for m, its weight is rounded at most m times (m -
    1 additions, and to the dtype), the product once, its sum at most k - 1 times and the bias's
    once more: m + k + 1 factors (1 + d), |d| <= u, on each term. The other k - 1 products stand for
    one term or more each, so that m + k - 1 <= n, and there are never more than the n + 2 factors
    that g bounds.

    Not covered: a sum that cancels or underflows to exactly 0 in one of them and not in the other,
    where a bias that goes to nonzero sums is added to one only.
    """
    numbers = np.finfo(network.dtype)
    unit, smallest = float(numbers.eps) / 2, float(numbers.smallest_subnormal)
    error = 0.0
    for layer in network.layers:
        terms = int(np.diff(layer.start).max(initial=0)) + 2
        gamma = terms * unit / (1 - terms * unit) if terms * unit < 1 else np.inf
        weights = np.abs(layer.value.astype(np.float64))
        occupied = layer.start[:-1] < layer.start[1:]
        sums = np.add.reduceat(weights, layer.start[:-1][occupied]) if weights.size else weights
        column = float(sums.max(initial=0.0))
        shift = float(np.abs(layer.bias).max())
        limit = np.inf if network.ymax is None or layer.activation == "linear" else network.ymax
        rounded = 2 * gamma * (column * largest + shift) + terms * smallest
        error = min(limit, column * error + rounded)
        largest = min(limit, (1 + gamma) * (column * largest + shift))
    return error


def _compared(
    network: Network, inputs: Inputs, outcome: PartialResult, rows: NDArray[np.int64]
) -> tuple[float, bool, float]:
    """Largest difference, whether the categories agree, and the reference's seconds."""
    assert outcome.values is not None
    dtype = outcome.values.dtype
    sample = inputs.select_rows(rows)
    expected, seconds = timed_reference(network, sample, dtype=dtype)
    values = outcome.take(rows)
    comparison = compare(values, expected)
    return comparison.max_abs_error, comparison.same_categories, seconds
