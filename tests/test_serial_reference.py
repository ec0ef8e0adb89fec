"""The serial reference against three nested loops and the official categories; comparisons."""

from __future__ import annotations

import itertools
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings

from kkspdnn.errors import InputError
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import ACTIVATIONS, BIAS_TO, Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.serial_reference import categories, compare, reference


def by_loops(
    weights: list[np.ndarray],
    biases: list[float],
    rules: list[tuple[Any, Any]],
    ymax: float | None,
    rows: np.ndarray,
) -> np.ndarray:
    """The definition of a layer, one value at a time."""
    y = rows.astype(np.float64)
    for matrix, bias, (activation, bias_to) in zip(weights, biases, rules, strict=True):
        after = np.zeros((y.shape[0], matrix.shape[1]))
        for row in range(y.shape[0]):
            for output in range(matrix.shape[1]):
                z = sum(y[row, each] * matrix[each, output] for each in range(y.shape[1]))
                if z != 0 or bias_to == "all":
                    z += bias
                if activation == "relu":
                    z = max(z, 0.0)
                    z = z if ymax is None else min(z, ymax)
                after[row, output] = z
        y = after
    return y


small = st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.25, 1.0, 2.0])


Problem = tuple[list[np.ndarray], list[float], list[tuple[Any, Any]], float | None, np.ndarray]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    rows = draw(st.integers(0, 4))

    def matrix(height: int, width: int) -> np.ndarray:
        numbers = draw(st.lists(small, min_size=height * width, max_size=height * width))
        return np.array(numbers).reshape(height, width)

    weights = [matrix(a, b) for a, b in itertools.pairwise(sizes)]
    biases = draw(st.lists(small, min_size=len(weights), max_size=len(weights)))
    ymax = draw(st.sampled_from([None, 0.5, 2.0, 32.0]))
    rule = st.tuples(st.sampled_from(ACTIVATIONS), st.sampled_from(BIAS_TO))
    rules = draw(st.lists(rule, min_size=len(weights), max_size=len(weights)))
    return weights, biases, rules, ymax, matrix(rows, sizes[0])


@settings(max_examples=200)
@given(problems(), st.sampled_from([np.float32, np.float64]))
def test_random_networks_agree_with_the_definition(problem: Problem, dtype: Any) -> None:
    # Small multiples of powers of two are exact in both dtypes, and often cancel.
    weights, biases, rules, ymax, rows = problem
    layers = [
        Layer.from_sparse(w, b, activation=activation, bias_to=bias_to)
        for w, b, (activation, bias_to) in zip(weights, biases, rules, strict=True)
    ]
    made = network(layers, ymax, inputs=rows.shape[1])
    final = reference(made, Inputs.from_any(rows), dtype=dtype)
    expected = by_loops(weights, biases, rules, ymax, rows)
    assert final.dtype == dtype
    assert final.has_canonical_format
    assert (final.data != 0).all()
    assert (final.toarray() == expected).all()
    assert categories(final).tolist() == (np.flatnonzero(expected.any(axis=1)) + 1).tolist()


def test_the_bias_is_added_to_nonzero_sums_only() -> None:
    layer = Layer.from_sparse(np.array([[1.0, 1.0], [-1.0, 1.0]]), [5.0, 6.0])
    rows = Inputs.from_any(np.array([[0.0, 0.0], [2.0, 2.0], [1.0, 0.0]]))
    final = reference(network([layer]), rows).toarray()
    assert final.tolist() == [[0, 0], [0, 10], [6, 7]]


def test_a_network_without_layers_returns_the_rows() -> None:
    rows = Inputs.from_any(np.array([[0.0, 1.0], [0.0, 0.0], [-3.0, 40.0]]))
    final = reference(network([], inputs=2), rows)
    assert (final.toarray() == rows.to_dense(np.float64)).all()
    assert categories(final).tolist() == [1, 3]


@pytest.mark.parametrize("rows", [0, 5])
def test_all_zero_rows_have_no_categories(rows: int) -> None:
    final = reference(radixnet(32, 4), Inputs.from_any(np.zeros((rows, 32))))
    assert final.shape == (rows, 32)
    assert categories(final).tolist() == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_official_categories(
    challenge_network: Network, challenge_categories: np.ndarray, dtype: type
) -> None:
    final = reference(challenge_network, images(1024, 2000), dtype=dtype)
    expected = challenge_categories[challenge_categories <= 2000]
    assert len(expected) == 73
    assert categories(final).tolist() == expected.tolist()


def test_unsuitable_inputs_are_refused() -> None:
    with pytest.raises(InputError, match="rows have 3 neurons but the network takes 32"):
        reference(radixnet(32, 1), Inputs.from_any(np.ones((1, 3))))
    with pytest.raises(InputError, match="use float32 or float64"):
        reference(radixnet(32, 1), Inputs.from_any(np.ones((1, 32))), dtype=np.int8)


def test_overflow_raises() -> None:
    big = Layer.from_sparse(np.array([[1e300, 1e300], [-1e300, 1e300]]), 0.0)
    with pytest.raises(InputError, match=r"layer 1: weight: -?1e\+300 is too large for float32"):
        reference(network([big]), Inputs.from_any(np.ones((1, 2))), dtype=np.float32)
    rows = Inputs.from_any(np.array([[0.0, 0.0], [1e300, 1e300]]))
    with pytest.raises(InputError, match="layer 1: the activations of row 1 overflow float64"):
        reference(network([big]), rows)
    with pytest.raises(InputError, match="layer 1: the activations of row 1 overflow float64"):
        reference(network([big], ymax=None), rows)
    # ymax limits an infinite sum.
    positive = Layer.from_sparse(np.array([[1e300], [1e300]]), 0.0)
    assert reference(network([positive]), rows).toarray().tolist() == [[0.0], [32.0]]


def test_comparison() -> None:
    expected = sp.csr_array(np.array([[1.0, 0.0], [0.0, 0.0], [2.0, 3.0]]))
    result_values = sp.csr_array(np.array([[0.0, 0.0], [0.0, 0.5], [2.0, 3.25]], dtype=np.float32))
    result = compare(result_values, expected)
    assert result.rows_missing.tolist() == [1]
    assert result.rows_extra.tolist() == [2]
    assert result.max_abs_error == 1.0
    assert not result.same_categories
    same = compare(expected, expected)
    assert same.same_categories
    assert same.max_abs_error == 0.0


def test_comparison_of_nan_and_of_different_shapes() -> None:
    expected = sp.csr_array(np.eye(2))
    broken = sp.csr_array(np.array([[np.nan, 0], [0, 1]]))
    assert np.isnan(compare(broken, expected).max_abs_error)
    with pytest.raises(InputError, match=r"shape \(3, 2\) but the reference has shape \(2, 2\)"):
        compare(sp.csr_array(np.ones((3, 2))), expected)


def test_stored_zeros_are_not_categories() -> None:
    stored = sp.csr_array(([0.0, 1.0], [0, 1], [0, 1, 2]), shape=(2, 2))
    assert categories(stored).tolist() == [2]
    assert stored.nnz == 2
