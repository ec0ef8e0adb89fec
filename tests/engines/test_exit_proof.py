"""The proof of the final output of rows, with layers that are not of an engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kkspdnn.choices import Exits
from kkspdnn.device.space import open_space
from kkspdnn.engines import make_engine
from kkspdnn.engines.exit_bounds import ExitBounds
from kkspdnn.engines.exit_proof import (
    MAX_PROBES,
    LayerResponse,
    Probe,
    ProbedLayer,
    compute_exit_bounds,
    compute_proven_bounds,
    propagate_bounds,
)
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import network


def layer(weights: Any, bias: Any = 0.0, **rules: Any) -> Layer:
    return Layer.from_sparse(np.asarray(weights, np.float32), bias, **rules)


def probe_doubling(values: Any) -> tuple[Any, Any]:
    """A layer whose outputs are all 2 c - 1 within 0 and 9."""
    outputs = np.clip(2 * values - 1, 0, 9)
    return outputs, outputs


DOUBLING = LayerResponse((2.0, 2.0), (-1.0, -1.0))


def test_bounds_from_the_last_layer_to_the_first() -> None:
    prepared = []

    def layer_at(position: int) -> ProbedLayer:
        def prepare() -> tuple[LayerResponse, Probe]:
            prepared.append(position)
            return DOUBLING, probe_doubling

        return ProbedLayer(None, prepare)

    bounds = compute_proven_bounds(3, np.float32(9), layer_at)
    assert [float(each.max_zero) for each in bounds] == [0.875, 0.75, 0.5, 0]
    assert [float(each.min_saturated) for each in bounds] == [2, 3, 5, 9]
    assert prepared == [2, 1, 0]


def test_layers_with_the_same_signature_and_bounds_are_prepared_once() -> None:
    """A layer that changes nothing has the same bounds after it and before it."""
    prepared = []

    def layer_at(position: int) -> ProbedLayer:
        def prepare() -> tuple[LayerResponse, Probe]:
            prepared.append(position)
            return LayerResponse((1.0, 1.0), (0.0, 0.0)), lambda values: (values, values)

        return ProbedLayer("same", prepare)

    bounds = compute_proven_bounds(20, np.float32(9), layer_at)
    assert bounds == [ExitBounds(0, 9)] * 21
    assert prepared == [19]


def test_layers_before_one_that_retires_no_row_are_not_prepared() -> None:
    prepared = []

    def layer_at(position: int) -> ProbedLayer:
        def prepare() -> tuple[None, Probe]:
            prepared.append(position)
            # All outputs are 1.
            return None, lambda values: (np.ones_like(values), np.ones_like(values))

        return ProbedLayer(None, prepare)

    bounds = compute_proven_bounds(3, np.float32(9), layer_at)
    assert bounds == [ExitBounds.none(np.dtype(np.float32))] * 3 + [ExitBounds(0, 9)]
    assert prepared == [2]


@pytest.mark.parametrize(
    ("exits", "biases", "expected", "max_zero"),
    [
        ("all", [0, 0], "all", [7, 7, 7]),
        ("dead", [0, 0], "dead", [0, 0, 0]),
        ("none", [0, 0], "none", [-np.inf, -np.inf, 0]),
        # The first layer makes a row of zeros nonzero.
        ("dead", [1, 0], "dead", [-np.inf, 0, 0]),
        ("dead", [0, 1], "none", [-np.inf, -np.inf, 0]),
    ],
)
def test_rows_that_exit_early(
    exits: Exits, biases: list[float], expected: Exits, max_zero: list[float]
) -> None:
    net = network([layer(np.eye(2), bias, bias_to="all") for bias in biases], 2.0)
    engine = make_engine("fused", open_space("serial"), net.dtype, net.ymax)
    layers = LayerStore(net, engine, net.dtype)
    found, bounds = compute_exit_bounds(exits, layers, lambda: [ExitBounds(7, 8)] * 3)
    assert found == expected
    assert [each.max_zero for each in bounds] == max_zero


def test_no_row_exits_early_without_bounds_before_the_last_layer() -> None:
    net = network([layer(np.eye(2))] * 2, 2.0)
    engine = make_engine("fused", open_space("serial"), net.dtype, net.ymax)
    layers = LayerStore(net, engine, net.dtype)
    none = ExitBounds.none(net.dtype)
    proven = [none, none, ExitBounds(0, 2)]
    assert compute_exit_bounds("all", layers, lambda: proven) == ("none", proven)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_is_accounted_for(dtype: Any) -> None:
    """2 c - 1 with a large rounding error: the estimates are not confirmed."""
    probed = []

    def probe(values: Any) -> tuple[Any, Any]:
        probed.append(values)
        exact = np.float64(values) * 2 - 1
        lost = 1000 * np.finfo(dtype).eps
        smallest, largest = (np.clip(exact * w, 0, 9).astype(dtype) for w in (1 - lost, 1 + lost))
        return smallest, largest

    response = LayerResponse((2.0, 2.0), (-1.0, -1.0))
    found = propagate_bounds(response, probe, ExitBounds(dtype(1), dtype(3)), dtype(9))
    assert [each.dtype for each in probed] == [dtype]
    assert probed[0].size == MAX_PROBES
    smallest, largest = probe(np.array([found.max_zero, found.min_saturated]))
    assert largest[0] <= 1
    assert smallest[1] >= 3
    assert 0.9 < found.max_zero < 1
    assert 2 < found.min_saturated < 2.1


def test_layer_response() -> None:
    weights = np.array([[1, 0, 2, 0], [1, 0, 0.5, 0]])
    found = LayerResponse.of(layer(weights, [1, 2, 3, -4]), None)
    assert found == LayerResponse((0.0, 2.5), (-4.0, 3.0))
    assert LayerResponse.of(layer(weights > 0, [1, 2, 3, -4]), 1.0) == LayerResponse(
        (0.0, 2.0), (-4.0, 3.0)
    )
    assert LayerResponse.of(layer(-weights), None) is None
    assert LayerResponse.of(layer(weights < 0.1), -1.0) is None
    assert LayerResponse.of(layer(weights, activation="linear"), None) is None
