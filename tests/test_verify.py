"""Verification passes correct results and fails all others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.engines import PartialResult
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.serial_reference import reference
from kkspdnn.verify import error_bound, verify


def correct_result(net: Network, rows: Inputs) -> PartialResult:
    final = reference(net, rows, dtype=net.dtype)
    active = np.flatnonzero(np.diff(final.indptr)).astype(np.int64)
    return PartialResult(active, sp.csr_array(final[active]), 0)


@pytest.fixture(scope="module")
def net() -> Network:
    return radixnet(64, 3, bias=-0.01)


@pytest.fixture(scope="module", params=["csr", "bits"])
def rows(request: pytest.FixtureRequest) -> Inputs:
    rng = np.random.default_rng(1)
    dense = (rng.random((90, 64)) < 0.2).astype(np.float32)
    dense[::3] = 0
    if request.param == "csr":
        return Inputs.from_any(dense)
    return Inputs(90, 64, "test", bits=np.packbits(dense.astype(np.uint8), axis=1))


@pytest.mark.parametrize("mode", ["sample", "full"])
def test_the_result_of_the_reference_passes(net: Network, rows: Inputs, mode: Any) -> None:
    result = correct_result(net, rows)
    assert result.rows.size == 60
    verified = verify(net, rows, result, mode, 0.5)
    assert verified.passed is True
    assert verified.same_categories is True
    assert verified.max_abs_error == 0
    assert verified.rows == 90
    assert verified.mode == mode
    assert verified.reference_seconds is not None
    assert verified.speedup == pytest.approx(verified.reference_seconds / 0.5)


def drop(result: PartialResult, position: int) -> PartialResult:
    kept = np.delete(np.arange(result.rows.size), position)
    assert result.values is not None
    return replace(result, rows=result.rows[kept], values=sp.csr_array(result.values[kept]))


def add(result: PartialResult, _: int) -> PartialResult:
    assert result.values is not None
    values = sp.csr_array(sp.vstack([result.values[:1], result.values], format="csr"))
    return replace(result, rows=np.concatenate(([0], result.rows)), values=values)


def change(result: PartialResult, position: int) -> PartialResult:
    assert result.values is not None
    values = result.values.copy()
    values.data[values.indptr[position]] += 0.01
    return replace(result, values=values)


def rename(result: PartialResult, position: int) -> PartialResult:
    """Give a row the number of its neighbour, which is zero."""
    rows = result.rows.copy()
    rows[position] += 1 if rows[position] % 3 == 2 else -1
    return replace(result, rows=rows)


@pytest.mark.parametrize("mode", ["sample", "full"])
@pytest.mark.parametrize("tamper", [drop, add, change, rename])
@pytest.mark.parametrize("position", [0, 30, 58])
def test_a_wrong_result_fails(
    net: Network, rows: Inputs, mode: Any, tamper: Any, position: int
) -> None:
    verified = verify(net, rows, tamper(correct_result(net, rows), position), mode, 1.0)
    assert verified.passed is False
    assert verified.same_categories is (tamper is change)
    if tamper is change:
        assert verified.max_abs_error == pytest.approx(0.01, rel=1e-3)


def test_a_wrong_active_row_outside_a_small_sample_is_detected() -> None:
    """The sample has few rows, but some active rows are always compared."""
    net = radixnet(1024, 3)
    rows = Inputs(9000, 1024, "test", bits=np.zeros((9000, 128), np.uint8))
    no_active_row = correct_result(net, rows)
    assert verify(net, rows, no_active_row, "sample", 1.0).passed
    one = sp.csr_array(([1.0], ([0], [5])), shape=(1, 1024), dtype=np.float32)
    wrong = PartialResult(np.array([4321]), one, 0)
    verified = verify(net, rows, wrong, "sample", 1.0)
    assert verified.rows < 9000
    assert verified.passed is False


def test_a_wrong_category_fails_however_small_its_value(net: Network, rows: Inputs) -> None:
    result = add(correct_result(net, rows), 0)
    assert result.values is not None
    result.values.data[: result.values.indptr[1]] = 1e-30
    verified = verify(net, rows, result, "full", 1.0)
    assert verified.max_abs_error is not None
    assert verified.bound is not None
    assert verified.max_abs_error <= verified.bound
    assert verified.passed is False


def test_no_verification_and_no_rows(net: Network, rows: Inputs) -> None:
    assert verify(net, rows, correct_result(net, rows), "none", 1.0).passed is None
    none = rows.slice(0, 0)
    verified = verify(net, none, correct_result(net, none), "full", 1.0)
    assert verified.passed is True
    assert verified.rows == 0


def test_the_bound_grows_with_layers_and_inputs_and_stops_at_ymax() -> None:
    one, two = radixnet(64, 1), radixnet(64, 2)
    assert 0 < error_bound(one) < error_bound(two) < 1e-3
    assert error_bound(one, 1e6) > 1e5 * error_bound(one) / 32
    assert error_bound(one.astype(np.float64)) < 1e-8 * error_bound(one)
    assert error_bound(radixnet(64, 400)) == 32
    assert error_bound(network([], inputs=3)) == 0


def test_the_bound_covers_large_inputs_in_another_order() -> None:
    """A sum of permuted inputs is rounded differently."""
    rng = np.random.default_rng(2)
    weights = rng.standard_normal((500, 40)).astype(np.float32)
    rows = (1e6 * rng.standard_normal((20, 500))).astype(np.float32)
    net = network([Layer.from_sparse(weights, 0.5)], None)
    permutation = rng.permutation(500)
    other = network([Layer.from_sparse(weights[permutation], 0.5)], None)
    result = correct_result(other, Inputs.from_any(rows[:, permutation]))
    verified = verify(net, Inputs.from_any(rows), result, "full", 1.0)
    assert verified.passed
    assert verified.max_abs_error is not None
    assert verified.max_abs_error > error_bound(net), "inputs of 1 would not be enough"


def test_the_bound_covers_underflow() -> None:
    tiny = np.float32(1.4e-45)
    net = network([Layer.from_sparse(np.full((4, 1), tiny), 0.0)], None)
    assert error_bound(net, 1.0) >= 4 * float(tiny)
