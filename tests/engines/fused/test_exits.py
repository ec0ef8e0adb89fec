"""Early exit and chunks of rows do not change the results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kkspdnn.choices import EXITS
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.engines import Schedule, layer_store
from kkspdnn.engines.fused import buffers
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import InputError
from kkspdnn.inference import Result, infer
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import ACTIVATIONS, BIAS_TO, Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.serial_reference import reference


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one or two tiles."""
    default = LaunchParameters.default("openmp")
    small = replace(default, chunk_bytes=1)
    monkeypatch.setattr(LaunchParameters, "default", lambda _space: small)
    monkeypatch.setattr(buffers, "_MIN_CHUNK_ROWS", 64)


def check_result(result: Result, net: Network, rows: Any) -> None:
    expected = reference(net, Inputs.from_any(rows), dtype=net.dtype).toarray()
    assert result.categories.tolist() == (np.flatnonzero(expected.any(axis=1)) + 1).tolist()
    assert result.values is not None
    assert result.values.shape == (result.categories.size, net.outputs)
    assert (result.values.toarray() == expected[result.categories - 1]).all()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.sampled_from([1, 8, 20, 40]), min_size=1, max_size=7),
    ymax=st.sampled_from([None, 1.0, 2.0]),
    bias=st.sampled_from([-1.0, 0.0, 1.0, 3.0]),
    count=st.sampled_from([64, 65, 150, 400]),
    active=st.sampled_from([0.0, 0.1, 1.0]),
)
@pytest.mark.parametrize("exits", EXITS)
def test_random_networks(
    small_chunks: None,
    exits: Any,
    seed: int,
    widths: list[int],
    ymax: float | None,
    bias: float,
    count: int,
    active: float,
) -> None:
    rng = np.random.default_rng(seed)
    layers = []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        weights = rng.choice([-0.5, 0.5, 1.0, 1.0], (inputs, outputs))
        weights[rng.random(weights.shape) < 0.4] = 0
        # Mostly the rules of the challenge, so that most layers retire rows.
        layer = Layer.from_sparse(
            weights.astype(np.float32),
            bias,
            activation=rng.choice(ACTIVATIONS, p=[0.8, 0.2]),
            bias_to=rng.choice(BIAS_TO, p=[0.7, 0.3]),
        )
        layers.append(layer)
    net = network(layers, ymax, inputs=widths[0])
    rows = rng.integers(0, 3, (count, widths[0])) * (rng.random((count, 1)) < active)
    # Whole chunks of zeros, at the beginning too.
    if seed % 3 == 0:
        rows[: count // 2] = 0
    rows = rows.astype(np.float32)
    check_result(infer(net, rows, exits=exits, values=True), net, rows)


def test_all_rows_saturate_in_the_last_two_layers(small_chunks: None) -> None:
    """No row is active in the end, and the last layer is not the widest."""
    net = network(
        [
            Layer.from_sparse(np.ones((4, 30), np.float32), 0.0),
            Layer.from_sparse(np.ones((30, 2), np.float32), 0.0),
        ],
        1.0,
    )
    rows = np.eye(4, dtype=np.float32)[np.arange(300) % 4]
    for exits in EXITS:
        result = infer(net, rows, exits=exits, values=True)
        check_result(result, net, rows)
        assert result.categories.size == 300


def test_all_rows_saturate_in_the_last_layer(small_chunks: None) -> None:
    """No row is retired before it."""
    net = network(
        [
            Layer.from_sparse(np.full((4, 30), 0.25, np.float32), 0.0),
            Layer.from_sparse(np.ones((30, 2), np.float32), 0.0),
        ],
        2.0,
    )
    rows = np.eye(4, dtype=np.float32)[np.arange(300) % 4]
    for exits in EXITS:
        result = infer(net, rows, exits=exits, values=True)
        check_result(result, net, rows)
        assert result.categories.size == 300


def test_all_rows_go_to_zero_in_the_last_layer(small_chunks: None) -> None:
    net = network(
        [
            Layer.from_sparse(np.ones((4, 30), np.float32), 0.0),
            Layer.from_sparse(-np.ones((30, 2), np.float32), 0.0),
        ],
        1.0,
    )
    rows = np.eye(4, dtype=np.float32)[np.arange(300) % 4]
    for exits in EXITS:
        result = infer(net, rows, exits=exits, values=True)
        check_result(result, net, rows)
        assert result.categories.size == 0


def test_a_row_of_ymax_is_active_if_a_later_layer_makes_it_zero(small_chunks: None) -> None:
    """It is ymax after layer 1 and zero after layer 3: only proven rows are retired."""
    one = Layer.from_sparse(np.ones((2, 2), np.float32), 0.0)
    negative = Layer.from_sparse(-np.ones((2, 2), np.float32), 0.0)
    net = network([one, one, negative, one], 1.0)
    rows = np.ones((200, 2), np.float32)
    result = infer(net, rows, exits="all", values=True)
    assert result.categories.size == 0
    check_result(result, net, rows)


def test_a_row_of_zeros_is_active_if_a_later_bias_changes_it(small_chunks: None) -> None:
    """It is zero after layers 1 and 2, and not after layer 3, whose bias is added to all sums."""
    one = Layer.from_sparse(np.eye(2, dtype=np.float32), 0.0)
    biased = Layer.from_sparse(np.eye(2, dtype=np.float32), [1.0, 0.0], bias_to="all")
    net = network([one, one, biased, one], None)
    rows = np.zeros((200, 2), np.float32)
    rows[:20] = 1
    for exits in EXITS:
        result = infer(net, rows, exits=exits, values=True)
        check_result(result, net, rows)
        assert result.categories.size == 200


@pytest.mark.parametrize("bias_to", BIAS_TO)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [-1.0, 0.0, 1.0])
def test_rows_of_zeros_are_retired_if_they_provably_stay_zeros(
    activation: Any, bias_to: Any, bias: float
) -> None:
    weights = np.eye(8, dtype=np.float32)
    layer = Layer.from_sparse(weights, bias, activation=activation, bias_to=bias_to)
    net = network([layer] * 3, None)
    rows = np.zeros((6400, 8), np.float32)
    rows[0] = 9
    stay = bias_to == "nonzero" or bias == 0 or (bias < 0 and activation == "relu")
    result = infer(net, rows, exits="dead", values=True)
    check_result(result, net, rows)
    assert (result.record.edges_multiplied < 3 * 8 * 6400) == stay
    assert net.zeros_stay_from == (0 if stay else 3)


@pytest.mark.parametrize("varied", ["bias", "one bias", "weight", "fan-in", "activation"])
@pytest.mark.parametrize("position", [0, 1, 3])
def test_only_equal_layers_have_the_same_signature(
    small_chunks: None, varied: str, position: int
) -> None:
    """One layer makes ones, or one of them, zero, and the next layer all others."""
    weights = np.ones((8, 8), np.float32)
    layers = [Layer.from_sparse(weights, -7.0)] * 4
    bias = np.full(8, -7.0, np.float32)
    if varied == "bias":
        layers[position] = Layer.from_sparse(weights, -8.0)
    elif varied == "one bias":
        bias[5] = -8.0
        layers[position] = Layer.from_sparse(weights, bias)
    elif varied == "weight":
        layers[position] = Layer.from_sparse(weights / 8, -7.0)
    elif varied == "activation":
        # The ReLU limits 2 to 1; without it the next layer gives 0.
        layers = [Layer.from_sparse(-weights, 10.0)] * 4
        layers[position] = Layer.from_sparse(-weights, 10.0, activation="linear")
    else:
        layers[position] = Layer.from_sparse(np.eye(8, dtype=np.float32), -7.0)
    net = network(layers, 1.0)
    rows = np.ones((200, 8), np.float32)
    check_result(infer(net, rows, exits="all", values=True), net, rows)


def test_early_exit_saves_multiplications() -> None:
    """A third of the rows is zero, a third saturates, a third stays active. The wasted work is at
    most about the cost of compaction."""
    weights = np.kron(np.eye(2), np.full((32, 32), 1 / 32)).astype(np.float32)
    net = network([Layer.from_sparse(weights, 0.0)] * 60, 1.0)
    kinds = np.repeat(np.array([[0, 0], [1, 1], [1, 0.5]], np.float32), 32, axis=1)
    rows = np.repeat(kinds, 128, axis=0)
    all_rows = 60 * weights.size // 2 * 384
    counts = [infer(net, rows, exits=exits).record.edges_multiplied for exits in EXITS]
    assert counts[0] == all_rows
    assert 2 / 3 <= counts[1] / all_rows < 0.7
    assert 1 / 3 <= counts[2] / all_rows < 0.37
    assert infer(net, rows).record.categories == 256


def test_overflow_is_detected_in_any_chunk(small_chunks: None) -> None:
    net = network([Layer.from_sparse(np.array([[3e38]], np.float32), 0.0)], None)
    rows = np.full((400, 1), 0.5, np.float32)
    rows[333] = 10
    with pytest.raises(InputError, match="layer 1: the activations overflow"):
        infer(net, rows)


def test_active_rows_fill_a_second_chunk(small_chunks: None) -> None:
    """There are 24 chunks, of which at most an eighth stays active, so it fills several times."""
    net, rows = radixnet(64, 12), images(64, 6000)
    result = infer(net, rows, space="serial", values=True)
    check_result(result, net, rows)
    schedule = result.record.order
    assert schedule is not None
    assert (schedule.chunk_rows, schedule.again_layers > 0) == (256, True)


def test_the_second_chunk_stops_before_layers_that_are_not_resident(
    small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LayerStore, "resident", property(lambda _: 3))
    schedule = infer(radixnet(64, 12), images(64, 6000), space="serial").record.order
    assert schedule is not None
    assert schedule.again_layers == max(0, 3 - schedule.chunk_layers)


def test_the_schedule_is_in_the_record(small_chunks: None) -> None:
    net, rows = radixnet(64, 12), images(64, 1000)
    exits = infer(net, rows, space="serial").record.order
    assert exits is not None
    assert exits.chunk_rows == 256
    assert 1 <= exits.chunk_layers <= 12
    assert exits.bits_counted
    none = infer(net, rows, space="serial", exits="none").record.order
    assert none == Schedule(layers_a_launch=12, bits_counted=True)
    # The first layer has another form than the others, which one launch computes.
    dense = infer(net, rows.to_dense(), space="serial", exits="none").record.order
    assert dense == Schedule(layers_a_launch=11)
    spgemm = infer(net, rows, space="serial", kernel="spgemm").record.order
    assert spgemm == Schedule()


def test_wide_tiles_in_the_smallest_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tile has as many rows as there are in memory at a time, and is not halved to nothing."""
    monkeypatch.setattr(layer_store, "MAX_ROWS", layer_store.GRANULE)
    net, rows = radixnet(64, 12), images(64, 1000)
    expected = infer(net, rows, space="serial").categories
    wide = replace(LaunchParameters.default("serial"), tile_bytes=512)
    assert wide.lanes(np.dtype(np.float32)) == layer_store.GRANULE
    monkeypatch.setattr(LaunchParameters, "default", lambda _: wide)
    assert (infer(net, rows, space="serial").categories == expected).all()
