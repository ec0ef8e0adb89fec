"""The verifier passes what is right and fails whatever is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.engines import PartialResult
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.network import Layer, Network, network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.serial_reference import reference
from kkspdnn.verify import error_bound, verify


def right(net: Network, rows: Inputs) -> PartialResult:
    final = reference(net, rows, dtype=net.dtype)
    alive = np.flatnonzero(np.diff(final.indptr)).astype(np.int64)
    return PartialResult(alive, sp.csr_array(final[alive]), 0)


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
def test_the_reference_itself_passes(net: Network, rows: Inputs, mode: Any) -> None:
    outcome = right(net, rows)
    assert outcome.rows.size == 60
    verified = verify(net, rows, outcome, mode, 0.5)
    assert verified.passed is True
    assert verified.same_categories is True
    assert verified.max_abs_error == 0
    assert verified.rows == 90
    assert verified.mode == mode
    assert verified.reference_seconds is not None
    assert verified.speedup == pytest.approx(verified.reference_seconds / 0.5)


def drop(outcome: PartialResult, place: int) -> PartialResult:
    kept = np.delete(np.arange(outcome.rows.size), place)
    assert outcome.values is not None
    return replace(outcome, rows=outcome.rows[kept], values=sp.csr_array(outcome.values[kept]))


def add(outcome: PartialResult, _: int) -> PartialResult:
    assert outcome.values is not None
    values = sp.csr_array(sp.vstack([outcome.values[:1], outcome.values], format="csr"))
    return replace(outcome, rows=np.concatenate(([0], outcome.rows)), values=values)


def change(outcome: PartialResult, place: int) -> PartialResult:
    assert outcome.values is not None
    values = outcome.values.copy()
    values.data[values.indptr[place]] += 0.01
    return replace(outcome, values=values)


def rename(outcome: PartialResult, place: int) -> PartialResult:
    """A row under the number of its dead neighbour."""
    rows = outcome.rows.copy()
    rows[place] += 1 if rows[place] % 3 == 2 else -1
    return replace(outcome, rows=rows)


@pytest.mark.parametrize("mode", ["sample", "full"])
@pytest.mark.parametrize("tamper", [drop, add, change, rename])
@pytest.mark.parametrize("place", [0, 30, 58])
def test_a_wrong_outcome_fails(
    net: Network, rows: Inputs, mode: Any, tamper: Any, place: int
) -> None:
    verified = verify(net, rows, tamper(right(net, rows), place), mode, 1.0)
    assert verified.passed is False
    assert verified.same_categories is (tamper is change)
    if tamper is change:
        assert verified.max_abs_error == pytest.approx(0.01, rel=1e-3)


def test_an_invented_row_is_found_in_a_small_sample() -> None:
    """Few of many rows are sampled, but some of the living always are."""
    net = radixnet(1024, 3)
    rows = Inputs(9000, 1024, "test", bits=np.zeros((9000, 128), np.uint8))
    nothing = right(net, rows)
    assert verify(net, rows, nothing, "sample", 1.0).passed
    one = sp.csr_array(([1.0], ([0], [5])), shape=(1, 1024), dtype=np.float32)
    wrong = PartialResult(np.array([4321]), one, 0)
    verified = verify(net, rows, wrong, "sample", 1.0)
    assert verified.rows < 9000
    assert verified.passed is False


def test_a_wrong_category_fails_however_small_its_value(net: Network, rows: Inputs) -> None:
    outcome = add(right(net, rows), 0)
    assert outcome.values is not None
    outcome.values.data[: outcome.values.indptr[1]] = 1e-30
    verified = verify(net, rows, outcome, "full", 1.0)
    assert verified.max_abs_error is not None
    assert verified.bound is not None
    assert verified.max_abs_error <= verified.bound
    assert verified.passed is False


def test_nothing_to_check(net: Network, rows: Inputs) -> None:
    assert verify(net, rows, right(net, rows), "none", 1.0).passed is None
    none = rows.slice(0, 0)
    verified = verify(net, none, right(net, none), "full", 1.0)
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
    """The same sum with its inputs permuted rounds otherwise."""
    rng = np.random.default_rng(2)
    weights = rng.standard_normal((500, 40)).astype(np.float32)
    rows = (1e6 * rng.standard_normal((20, 500))).astype(np.float32)
    net = network([Layer.from_sparse(weights, 0.5)], None)
    mixed = rng.permutation(500)
    other = network([Layer.from_sparse(weights[mixed], 0.5)], None)
    outcome = right(other, Inputs.from_any(rows[:, mixed]))
    verified = verify(net, Inputs.from_any(rows), outcome, "full", 1.0)
    assert verified.passed
    assert verified.max_abs_error is not None
    assert verified.max_abs_error > error_bound(net), "inputs of 1 would not be enough"


def test_the_bound_covers_underflow() -> None:
    tiny = np.float32(1.4e-45)
    net = network([Layer.from_sparse(np.full((4, 1), tiny), 0.0)], None)
    assert error_bound(net, 1.0) >= 4 * float(tiny)
