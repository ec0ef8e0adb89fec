"""Dense runs in native calls have the outputs of `infer`, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from dense_networks import assert_same_bits, expected_outputs, random_network, random_rows

from kkspdnn import pk
from kkspdnn.device.space import Space, open_space
from kkspdnn.engines.fused import dense_run
from kkspdnn.engines.fused.dense_run import DenseRun
from kkspdnn.engines.fused.engine import FusedEngine
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet

DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture(scope="module", params=["serial", "openmp"])
def cpu(request: pytest.FixtureRequest) -> Space:
    return open_space(request.param)


def prepared(net: Network, space: Space, dtype: Any, max_rows: int | None = None) -> DenseRun:
    """max_rows: as if memory were small"""
    converted = net.astype(dtype)
    engine = FusedEngine(space, np.dtype(dtype), net.ymax, "none")
    layers = LayerStore(converted, engine, np.dtype(dtype))
    if max_rows is not None:
        layers.max_rows = max_rows
    run = DenseRun(engine.kernels, layers)
    run.warm_up()
    return run


def chunk_rows(space: Space, dtype: Any) -> int:
    return 4 * space.threads * space.launch.lanes(np.dtype(dtype))


def assert_as_infer(run: DenseRun, net: Network, rows: Any, space: Space) -> None:
    assert run.takes(rows)
    outputs = run.run(rows)
    assert outputs is not None
    assert outputs.flags.owndata
    assert_same_bits(outputs, expected_outputs(net, rows, space))


def pruned(neurons: int, density: float, dtype: Any, depth: int = 3) -> Network:
    """A network of different weights and inputs."""
    rng = np.random.default_rng(neurons)
    layers = []
    for _ in range(depth):
        w = rng.standard_normal((neurons, neurons)) / np.sqrt(neurons * density)
        w[rng.random(w.shape) > density] = 0
        layers.append(Layer.from_sparse(w.astype(dtype), rng.standard_normal(neurons) / 4))
    return network(layers, None)


@DTYPES
@pytest.mark.parametrize("seed", range(10))
def test_random_networks(cpu: Space, dtype: Any, seed: int) -> None:
    net = random_network(seed, dtype)
    run = prepared(net, cpu, dtype)
    for count in (1, 3, 8, 9, 16, 17, 50, 64, 65, 3, 150):
        assert_as_infer(run, net, random_rows(seed + count, count, net, dtype), cpu)


@DTYPES
def test_numbers_of_rows_around_chunks(cpu: Space, dtype: Any) -> None:
    net, chunk = random_network(3, dtype), chunk_rows(cpu, dtype)
    run = prepared(net, cpu, dtype)
    rows = random_rows(1, 2 * chunk + 1, net, dtype)
    rows.flags.writeable = False
    for count in (chunk - 1, chunk, chunk + 1, 2 * chunk - 3, 2 * chunk, 2 * chunk + 1, 1):
        assert_as_infer(run, net, rows[:count], cpu)
        assert_as_infer(run, net, rows[-count:], cpu)


@DTYPES
def test_layers_of_equal_weights_in_groups(cpu: Space, dtype: Any) -> None:
    """Several layers of a group are one launch if there are as many tiles as threads."""
    net = radixnet(1024, 20)
    run = prepared(net, cpu, dtype)
    for count in (5, 70, chunk_rows(cpu, dtype) + 70):
        rows = np.abs(random_rows(count, count, net, dtype))
        assert_as_infer(run, net, rows, cpu)


@DTYPES
@pytest.mark.parametrize(("neurons", "density"), [(63, 0.5), (300, 0.2)])
def test_layers_in_pairs(cpu: Space, dtype: Any, neurons: int, density: float) -> None:
    net = pruned(neurons, density, dtype)
    with pk.time_launches() as recorder:
        run = prepared(net, cpu, dtype)
        for count in (1, 40, 200):
            assert_as_infer(run, net, random_rows(count, count, net, dtype), cpu)
    engine = FusedEngine(cpu, np.dtype(dtype), net.ymax, "none")
    assert "units" in engine.pack_layer(net.layers[0], None).weights
    assert "dense_run" in {each.label for each in recorder.times}


@DTYPES
@pytest.mark.parametrize("group_outputs", ["none", "distinct", "all"])
def test_outputs_with_the_same_inputs(cpu: Space, dtype: Any, group_outputs: Any) -> None:
    space = replace(cpu, launch=replace(cpu.launch, group_outputs=group_outputs))
    rng = np.random.default_rng(1)
    w = np.repeat(rng.random((40, 5)) < 0.4, 16, axis=1) * rng.standard_normal((40, 80))
    back = rng.standard_normal((80, 40)) * (rng.random((80, 40)) < 0.1)
    layers = [Layer.from_sparse(each.astype(dtype), 0.1) for each in (w, back)] * 2
    net = network(layers, 2.0)
    run = prepared(net, space, dtype)
    for count in (3, 30, 100):
        assert_as_infer(run, net, random_rows(count, count, net, dtype), cpu)


def test_chunks_are_smaller_if_memory_is_small(cpu: Space) -> None:
    net = random_network(4, "float32")
    run = prepared(net, cpu, "float32", max_rows=128)
    for count in (127, 128, 129, 600):
        assert_as_infer(run, net, random_rows(count, count, net, "float32"), cpu)


def test_few_sequences_are_kept(cpu: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_run, "_MAX_SEQUENCES", 2)
    net = random_network(4, "float32")
    run = prepared(net, cpu, "float32")
    for count in (60, 100, 150, 250, 60, 100, 150):
        assert_as_infer(run, net, random_rows(count, count, net, "float32"), cpu)
        assert all(len(each._sequences) <= 2 for each in run._stages)


class Rows(np.ndarray):
    """A subclass, whose methods may do anything."""


def test_rows_that_are_refused(cpu: Space) -> None:
    net = network([Layer.from_sparse(np.eye(20, dtype=np.float32), 0.5)])
    run = prepared(net, cpu, np.float32)
    rows = np.ones((60, 40), np.float32)
    assert run.takes(np.ones((1, 20), np.float32))
    assert run.takes(np.ones((6000, 20), np.float32))
    refused = [
        rows[:0, :20].copy(), rows, rows[:, :20], rows[:, ::2], rows[:, :19].copy(),
        rows[:, :20].astype(np.float64), rows[:, :20].astype(">f4"),
        np.asfortranarray(rows[:, :20]), rows[:, :20].copy().view(Rows), rows[0, :20],
        rows[:, :20, None].copy(), rows[:, :20].tolist(), None,
    ]  # fmt: skip
    for each in refused:
        assert run.takes(each) is False


@DTYPES
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, "max", "min"])
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_values_that_are_not_finite_or_too_large(
    cpu: Space, dtype: Any, value: Any, chunks: int
) -> None:
    """In any row and neuron, also of the last of several chunks. Later runs are as before."""
    net = random_network(2, dtype)
    run = prepared(net, cpu, dtype)
    rows = random_rows(1, chunks * chunk_rows(cpu, dtype) + 7, net, dtype)
    good = rows.copy()
    given = getattr(np.finfo(dtype), value) if isinstance(value, str) else value
    for row, neuron in ((0, 0), (-1, -1), (rows.shape[0] // 2, net.inputs // 2), (-1, 0)):
        rows[row, neuron] = given
        assert run.takes(rows)
        assert run.run(rows) is None
        rows[row, neuron] = good[row, neuron]
    assert_as_infer(run, net, good, cpu)


@DTYPES
@pytest.mark.parametrize("seed", range(6))
def test_no_activation_of_accepted_rows_overflows(cpu: Space, dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    largest = float(np.finfo(dtype).max)
    layers = []
    for _ in range(3):
        factor = largest ** rng.choice([-0.2, 0.0, 0.25, 0.5])
        bias = largest ** rng.choice([0.0, 0.5, 0.9])
        w = (rng.random((12, 12)) * factor).astype(dtype)
        layers.append(Layer.from_sparse(w, bias, bias_to="all", activation="linear"))
    net = network(layers, None)
    run = prepared(net, cpu, dtype)
    for power in np.linspace(-0.3, 0.99, 30):
        rows = np.full((20, 12), largest**power, dtype)
        outputs = run.run(rows)
        if outputs is not None:
            assert_same_bits(outputs, expected_outputs(net, rows, cpu))


@DTYPES
def test_zeros_are_refused_if_the_bias_alone_may_overflow(cpu: Space, dtype: Any) -> None:
    largest = float(np.finfo(dtype).max)
    first = Layer.from_sparse(np.eye(3, dtype=dtype), 0.9 * largest, bias_to="all")
    second = Layer.from_sparse(2 * np.eye(3, dtype=dtype), 0.0)
    run = prepared(network([first, second], None), cpu, dtype)
    assert run.run(np.zeros((1, 3), dtype)) is None
