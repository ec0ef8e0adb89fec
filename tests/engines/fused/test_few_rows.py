"""Runs over a few rows by input neuron have the outputs of `infer`, bit for bit."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dense_networks import (
    assert_same_bits,
    expected_outputs,
    random_network,
    random_rows,
    ymax_of,
)

from kkspdnn.device.space import Space, open_space
from kkspdnn.engines.fused.few_rows import FewRows, packed_bytes
from kkspdnn.engines.fused.input_lists import block_width
from kkspdnn.model.layers import ACTIVATIONS, BIAS_TO, Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
COUNTS = [1, 2, 3, 4, 5, 8, 9, 12, 15, 16, 17, 24, 25, 31, 33, 47, 48, 1, 49, 50]


@pytest.fixture(scope="module", params=["serial", "openmp"])
def cpu(request: pytest.FixtureRequest) -> Space:
    return open_space(request.param)


def few_rows(net: Network, space: Space, dtype: Any) -> FewRows:
    return FewRows(space, net.astype(dtype).layers, ymax_of(net, dtype))


def max_rows(space: Space, dtype: Any) -> int:
    return 3 * (64 // np.dtype(dtype).itemsize)


@DTYPES
@pytest.mark.parametrize("seed", range(12))
def test_random_networks(cpu: Space, dtype: Any, seed: int) -> None:
    net = random_network(seed, dtype)
    few = few_rows(net, cpu, dtype)
    few.warm_up()
    for number, count in enumerate(COUNTS):
        rows = random_rows(seed + number, count, net, dtype)
        assert few.takes(rows) == (count <= max_rows(cpu, dtype))
        if few.takes(rows):
            outputs = few.run(rows)
            assert outputs.flags.owndata
            assert_same_bits(outputs, expected_outputs(net, rows, cpu))


@DTYPES
def test_all_numbers_of_rows(cpu: Space, dtype: Any) -> None:
    """On tiles of one lane to 64 bytes; rows are not changed, and earlier outputs are not
    overwritten."""
    net = random_network(3, dtype)
    few = few_rows(net, cpu, dtype)
    rows = random_rows(1, max_rows(cpu, dtype), net, dtype)
    rows.flags.writeable = False
    before = rows.copy()
    expected = expected_outputs(net, rows, cpu)
    found = [few.run(rows[: 1 + k]) for k in range(rows.shape[0])]
    for outputs in found:
        assert_same_bits(outputs, expected[: outputs.shape[0]])
    assert_same_bits(rows, before)


def test_rows_of_a_larger_array(cpu: Space) -> None:
    net = random_network(5, "float32")
    rows = random_rows(1, 90, net, "float32")
    few, expected = few_rows(net, cpu, "float32"), expected_outputs(net, rows, cpu)
    for begin, end in ((0, 1), (89, 90), (7, 9), (30, 60), (42, 90)):
        assert few.takes(rows[begin:end])
        assert_same_bits(few.run(rows[begin:end]), expected[begin:end])


@DTYPES
def test_equal_weights(cpu: Space, dtype: Any) -> None:
    net = radixnet(1024, 12)
    few = few_rows(net, cpu, dtype)
    for count in (1, 7, 20):
        rows = np.abs(random_rows(count, count, net, dtype))
        assert_same_bits(few.run(rows), expected_outputs(net, rows, cpu))


@pytest.mark.parametrize("tile_bytes", [64, 128, 512])
@DTYPES
def test_other_sizes_of_tiles(cpu: Space, dtype: Any, tile_bytes: int) -> None:
    """Launch parameters that were tuned: tiles have fewer or more lanes."""
    space = replace(cpu, launch=replace(cpu.launch, tile_bytes=tile_bytes))
    net = random_network(7, dtype)
    few = few_rows(net, space, dtype)
    few.warm_up()
    taken = 0
    for count in range(1, 40):
        rows = random_rows(count, count, net, dtype)
        if few.takes(rows):
            taken += 1
            assert_same_bits(few.run(rows), expected_outputs(net, rows, cpu))
    assert taken >= 3


@DTYPES
@pytest.mark.parametrize(
    ("inputs", "outputs"), [(1, 1), (30, 2), (33, 10), (64, 16), (50, 17), (9, 70), (40, 300)]
)
def test_a_dense_last_layer(cpu: Space, dtype: Any, inputs: int, outputs: int) -> None:
    """With any activation and bias, and a few weights of zero."""
    rng = np.random.default_rng(outputs)
    first = random_weights(rng, 20, inputs, 0.5, dtype)
    last = random_weights(rng, inputs, outputs, 1.0 if outputs < 16 else 0.95, dtype)
    for activation, bias_to in itertools.product(ACTIVATIONS, BIAS_TO):
        bias = (rng.standard_normal(outputs) * (rng.random(outputs) < 0.8)).astype(dtype)
        layers = [
            Layer.from_sparse(first, 0.25),
            Layer.from_sparse(last, bias, activation=activation, bias_to=bias_to),
        ]
        net = network(layers, 1.5)
        few = few_rows(net, cpu, dtype)
        # One or two outputs leave most of a SIMD register empty.
        assert (few._stage_of[0]._last is not None) == (outputs > 2)
        for count in (1, 2, 3, 4, 6, 8, 13, 24):
            rows = random_rows(count, count, net, dtype)
            assert_same_bits(few.run(rows), expected_outputs(net, rows, cpu))


def test_other_last_layers_are_lists(cpu: Space) -> None:
    """A sparse one, one of few outputs, and the only layer of a network."""
    rng = np.random.default_rng(1)
    first = Layer.from_sparse(random_weights(rng, 20, 64, 0.5, np.float32), 0.25)
    for outputs, density in ((16, 0.4), (7, 1.0), (32, 0.45)):
        last = Layer.from_sparse(random_weights(rng, 64, outputs, density, np.float32), 0.25)
        net = network([first, last])
        few = few_rows(net, cpu, np.float32)
        assert few._stage_of[0]._last is None
        rows = random_rows(outputs, 5, net, np.float32)
        assert_same_bits(few.run(rows), expected_outputs(net, rows, cpu))
    few = few_rows(
        network([Layer.from_sparse(np.ones((20, 64), np.float32), 0.25)]), cpu, "float32"
    )
    assert few._stage_of[0]._last is None


def random_weights(rng: Any, inputs: int, outputs: int, density: float, dtype: Any) -> Any:
    w = rng.standard_normal((inputs, outputs)) * (rng.random((inputs, outputs)) < density)
    return w.astype(dtype)


def ones(count: int, neurons: int = 20, dtype: Any = np.float32) -> Any:
    return np.ones((count, neurons), dtype)


class Rows(np.ndarray):
    """A subclass, whose methods may do anything."""


def test_rows_that_are_refused(cpu: Space) -> None:
    net = network([Layer.from_sparse(np.eye(20, dtype=np.float32), 0.5)])
    few = few_rows(net, cpu, np.float32)
    for count in (1, 2, 48):
        assert few.takes(ones(count))
    refused = [
        ones(0), ones(49), ones(2, 19), ones(2, 21), ones(2, 0), ones(2, dtype=np.float64),
        ones(2, dtype=np.int32), ones(2).astype(">f4"), np.asfortranarray(ones(2)),
        ones(2, 40)[:, ::2], ones(4)[::2], np.ones(20, np.float32), np.ones((2, 20, 1), np.float32),
        np.float32(1), ones(2).tolist(), ones(2).view(Rows), None,
    ]  # fmt: skip
    for rows in refused:
        assert few.takes(rows) is False


@DTYPES
@pytest.mark.parametrize("neurons", [20, 5000])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, "max", "min"])
def test_values_that_are_not_finite_or_too_large(
    cpu: Space, dtype: Any, neurons: int, value: Any
) -> None:
    """Without a warning of NumPy, also where the sum of the squares has several parts."""
    net = network([Layer.from_sparse(np.full((neurons, 1), 0.5, dtype), 0.5)])
    few = few_rows(net, cpu, dtype)
    rows = ones(7, neurons, dtype)
    assert few.takes(rows)
    given = getattr(np.finfo(dtype), value) if isinstance(value, str) else value
    for row, neuron in ((0, 0), (6, neurons - 1), (3, 7)):
        rows[row, neuron] = given
        assert few.takes(rows) is False
        rows[row, neuron] = 1
    rows[:] = given
    assert few.takes(rows) is False


@DTYPES
def test_squares_whose_sum_overflows(cpu: Space, dtype: Any) -> None:
    """The sum of each part of them does not."""
    net = network([Layer.from_sparse(np.full((5000, 1), 0.5, dtype), 0.5)])
    rows = np.full((7, 5000), np.sqrt(np.finfo(dtype).max / 10_000), dtype)
    assert few_rows(net, cpu, dtype).takes(rows) is False


@DTYPES
@pytest.mark.parametrize("seed", range(6))
def test_no_activation_of_accepted_rows_overflows(cpu: Space, dtype: Any, seed: int) -> None:
    """Layers multiply activations, or have large biases; then no rows may be accepted."""
    rng = np.random.default_rng(seed)
    largest = float(np.finfo(dtype).max)
    layers = []
    for _ in range(3):
        factor = largest ** rng.choice([-0.2, 0.0, 0.25, 0.5])
        bias = largest ** rng.choice([0.0, 0.5, 0.9])
        w = (rng.random((12, 12)) * factor).astype(dtype)
        layers.append(Layer.from_sparse(w, bias, bias_to="all", activation="linear"))
    net = network(layers, None)
    few = few_rows(net, cpu, dtype)
    for power in np.linspace(-0.3, 0.99, 30):
        rows = np.full((2, 12), largest**power, dtype)
        if few.takes(rows):
            assert_same_bits(few.run(rows), expected_outputs(net, rows, cpu))


@DTYPES
def test_zeros_are_refused_if_the_bias_alone_may_overflow(cpu: Space, dtype: Any) -> None:
    largest = float(np.finfo(dtype).max)
    first = Layer.from_sparse(np.eye(3, dtype=dtype), 0.9 * largest, bias_to="all")
    second = Layer.from_sparse(2 * np.eye(3, dtype=dtype), 0.0)
    few = few_rows(network([first, second], None), cpu, dtype)
    assert few.takes(np.zeros((1, 3), dtype)) is False


@pytest.mark.parametrize(
    ("outputs", "threads", "width"),
    [(1, 1, 64), (64, 1, 64), (65, 1, 80), (1024, 1, 1024), (1024, 2, 512), (1000, 3, 336),
     (1000, 64, 64), (65, 2, 64), (129, 2, 80)],
)  # fmt: skip
def test_the_width_of_blocks(outputs: int, threads: int, width: int) -> None:
    """A multiple of a cache line, and a block for each thread unless blocks were too small."""
    assert block_width(outputs, threads) == width
    assert -(-outputs // width) <= threads or width == 64


@DTYPES
@pytest.mark.parametrize("seed", range(6))
def test_the_bytes_of_packed_layers(cpu: Space, dtype: Any, seed: int) -> None:
    """They are an upper limit, and not much more."""
    net = random_network(seed, dtype)
    few = few_rows(net, cpu, dtype)
    names = "start", "index", "value"
    stage = few._stage_of[0]
    arrays = [each.arguments[name] for each in stage._layers for name in names]
    if stage._last is not None:
        arrays.append(stage._last.arguments["value"])
    actual = sum(each.nbytes for each in arrays)
    estimated = packed_bytes(net.layers, cpu.threads)
    lists = sum(-(-layer.outputs // 64) * layer.inputs for layer in net.layers)
    assert actual - 8 * len(net.layers) <= estimated <= actual + 3 * 12 * lists
