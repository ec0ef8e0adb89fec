"""With little memory rows are computed in chunks and layers are packed on access: same results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kkspdnn.choices import EXITS
from kkspdnn.device import memory
from kkspdnn.device.space import Space, open_space
from kkspdnn.engines import make_engine
from kkspdnn.engines.fused import engine as fused
from kkspdnn.engines.layer_store import GRANULE, MAX_ROWS, LayerStore
from kkspdnn.errors import InputError
from kkspdnn.inference import infer
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network

WIDTH, DEPTH, ROWS = 64, 40, 500


@pytest.fixture(scope="module")
def net() -> Network:
    rng = np.random.default_rng(5)
    layers = []
    for _ in range(DEPTH):
        weights = rng.choice([-0.5, 0.5, 1.0], (WIDTH, WIDTH)) * (rng.random((WIDTH, WIDTH)) < 0.1)
        layers.append(Layer.from_sparse(weights.astype(np.float32), 0.25))
    return network(layers, 4.0)


@pytest.fixture(scope="module")
def rows() -> Inputs:
    rng = np.random.default_rng(6)
    return Inputs.from_any((rng.random((ROWS, WIDTH)) < 0.03).astype(np.float32))


def little(
    monkeypatch: pytest.MonkeyPatch, net: Network, row: int, layers: int, gpu: bool = False
) -> None:
    """Set the free memory to that of GRANULE rows and about `layers` layers; with a GPU, to that of
    the layers on the host."""
    layer = 2 * net.edges * (4 + net.dtype.itemsize) // len(net.layers)
    free = int((GRANULE * row + layers * layer) / 0.4) + 10
    beside = int(layers * layer / 0.4) + 10
    monkeypatch.setattr(memory, "free_memory", lambda: beside if gpu else free)
    monkeypatch.setattr(Space, "device_memory", lambda _: (free, 0))


@pytest.fixture
def made(kernel: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of inputs of each packed layer."""
    engine = type(make_engine(kernel, open_space("serial"), np.dtype(np.float32), 4.0))
    pack_layer, seen = engine.pack_layer, []

    def counted(self: Any, layer: Layer, previous: Any) -> Any:
        seen.append(layer.inputs)
        return pack_layer(self, layer, previous)

    monkeypatch.setattr(engine, "pack_layer", counted)
    return seen


@pytest.mark.parametrize("exits", EXITS)
def test_little_memory_changes_nothing(
    net: Network,
    rows: Inputs,
    kernel: Any,
    space: str,
    exits: Any,
    made: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options: dict[str, Any] = {"kernel": kernel, "space": space, "exits": exits, "values": True}
    whole = infer(net, rows, **options, verify="full")
    assert whole.record.verified.passed
    assert 0 < whole.categories.size < ROWS
    assert whole.record.layers_held == DEPTH

    engine = make_engine(kernel, open_space(space), np.dtype(np.float32), 4.0)
    little(monkeypatch, net, engine.bytes_per_row(WIDTH) + 16 * WIDTH, 2, engine.space.gpu)
    made.clear()
    parts = infer(net, rows, **options, verify="full")
    assert parts.record.layers_held is not None
    assert 0 < parts.record.layers_held < DEPTH // 2
    assert len(made) > 2 * DEPTH, "all layers were resident, or all rows were computed together"
    assert parts.categories.tolist() == whole.categories.tolist()
    assert parts.values is not None
    assert whole.values is not None
    assert (parts.values.toarray() == whole.values.toarray()).all()
    assert parts.values.indptr.tolist() == whole.values.indptr.tolist()
    assert parts.record.verified.passed
    sampled = infer(net, rows, **{**options, "values": False}, verify="sample").record
    assert sampled.verified.passed
    assert sampled.categories_sha256 == whole.record.categories_sha256


def test_layers_that_are_not_resident_are_packed_once_for_all_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nearly all rows go to zero in the first layer; the others fit into one chunk."""
    first = Layer.from_sparse(np.eye(64, dtype=np.float32), -0.5)
    wide = Layer.from_sparse(np.full((64, 63), 0.01, np.float32), 0.0)
    last = Layer.from_sparse(np.eye(63, 64, dtype=np.float32), 0.0)
    net = network([first, *[wide, last] * 10], None)
    rows = np.full((4000, 64), 0.25, np.float32)
    rows[::100] = 1
    packed: list[Layer] = []
    pack_layer = fused.FusedEngine.pack_layer

    def counted(self: Any, layer: Layer, previous: Any) -> Any:
        packed.append(layer)
        return pack_layer(self, layer, previous)

    monkeypatch.setattr(fused.FusedEngine, "pack_layer", counted)
    row = make_engine("fused", open_space("serial"), net.dtype, None).bytes_per_row(64)
    little(monkeypatch, net, row, 2)
    result = infer(net, rows, space="serial")
    assert result.categories.tolist() == list(range(1, 4001, 100))
    resident = result.record.layers_held
    assert resident is not None
    assert 1 <= resident < len(net.layers)
    # Once for each layer and the layer that did not fit; in the warm-up the last two layers.
    assert len(packed) <= len(net.layers) + 3


def test_saturated_rows_keep_their_numbers_from_chunk_to_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of the rows saturate in the first layers, half stay below the limit."""
    same = Layer.from_sparse(np.eye(64, dtype=np.float32), 0.0)
    net = network([same] * 6, 1.0)
    rows = np.full((1000, 64), 0.5, np.float32)
    rows[::2] = 1
    rows[::3] = 0
    row = make_engine("fused", open_space("serial"), net.dtype, 1.0).bytes_per_row(64)
    little(monkeypatch, net, row + 16 * 64, 1)
    result = infer(net, rows, values=True, verify="full")
    active = np.flatnonzero(rows.any(axis=1))
    assert result.categories.tolist() == (active + 1).tolist()
    assert result.values is not None
    assert (result.values.toarray() == rows[active]).all()
    assert result.record.verified.passed
    assert infer(net, rows, verify="sample").record.verified.passed


def test_memory_for_less_than_a_tile(
    net: Network, rows: Inputs, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = network(net.layers[:1], 4.0)
    monkeypatch.setattr(memory, "free_memory", lambda: 64 * 64 * 4 * 2)
    with pytest.raises(
        InputError, match=f"{GRANULE} input rows and a layer of 64 neurons need .* MB"
    ):
        infer(small, rows, kernel=kernel)


def test_a_budget_of_memory(net: Network, rows: Inputs, kernel: Any) -> None:
    found = infer(net, rows, kernel=kernel, memory=100.5).record
    assert found.memory_budget_bytes == 100_500_000_000
    assert found.peak_memory_bytes is not None
    assert found.peak_memory_bytes > 10**7
    with pytest.raises(InputError, match="left of a budget of 0.01 GB; at least memory=0"):
        infer(net, rows, kernel=kernel, memory=0.01)
    with pytest.raises(InputError, match="memory -1"):
        infer(net, rows, kernel=kernel, memory=-1)


def test_a_layer_store_is_a_sequence(
    net: Network, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(kernel, open_space("serial"), np.dtype(np.float32), 4.0)
    whole = LayerStore(net, engine, np.dtype(np.float32))
    little(monkeypatch, net, engine.bytes_per_row(WIDTH), 2)
    some = LayerStore(net, engine, np.dtype(np.float32))
    assert whole.resident == DEPTH
    assert whole[-1] is whole[DEPTH - 1]
    assert 1 <= some.resident < DEPTH
    assert some[0] is some[0]
    assert some[-1] is not some[-1]
    assert (some.max_rows, len(some.samples())) == (GRANULE, some.resident + 1)
    for layers in (whole, some):
        assert len(layers) == DEPTH
        assert len(layers[:3]) == 3
        assert layers[-1].outputs == WIDTH
        with pytest.raises(IndexError):
            layers[DEPTH]


def test_the_rows_in_memory_have_32_bit_numbers(
    net: Network, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kkspdnn.device.memory.free_memory", lambda: 2**50)
    engine = make_engine(kernel, open_space("serial"), np.dtype(np.float32), 4.0)
    assert LayerStore(net, engine, np.dtype(np.float32)).max_rows == MAX_ROWS == 2**30
