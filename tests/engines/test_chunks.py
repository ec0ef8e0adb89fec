"""Little memory: input rows in chunks, layers made on each use. The answer stays the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kkspdnn.engines import base, make_engine
from kkspdnn.errors import InputError
from kkspdnn.inference import infer
from kkspdnn.inputs import Inputs
from kkspdnn.network import Layer, Network, network
from kkspdnn.spaces import open_space

WIDTH, DEPTH, ROWS = 64, 40, 200


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


def test_little_memory_changes_nothing(
    net: Network, rows: Inputs, kernel: Any, space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(kernel, open_space(space), np.dtype(np.float32), 4.0)
    whole = infer(net, rows, kernel=kernel, space=space, values=True, verification="full")
    assert whole.record.verified.passed
    assert 0 < whole.categories.size < ROWS

    # Room for 64 rows and not for all layers.
    free = int(64 * engine.bytes_per_row(WIDTH) / 0.4) + 1
    monkeypatch.setattr(base, "free_memory", lambda: free)
    runs, made = [], []
    run, prepare = type(engine).run, type(engine).prepare

    def counted_run(self: Any, layers: Any, inputs: Inputs, *rest: Any) -> Any:
        runs.append(inputs.rows)
        return run(self, layers, inputs, *rest)

    def counted_prepare(self: Any, layer: Layer, before: Any) -> Any:
        made.append(layer)
        return prepare(self, layer, before)

    monkeypatch.setattr(type(engine), "run", counted_run)
    monkeypatch.setattr(type(engine), "prepare", counted_prepare)
    parts = infer(net, rows, kernel=kernel, space=space, values=True, verification="full")
    assert runs[-4:] == [64, 64, 64, 8]
    assert len(made) > 4 * DEPTH, "all layers were held"
    assert parts.categories.tolist() == whole.categories.tolist()
    assert parts.values is not None
    assert whole.values is not None
    assert (parts.values.toarray() == whole.values.toarray()).all()
    assert parts.values.indptr.tolist() == whole.values.indptr.tolist()
    assert parts.record.verified.passed


def test_no_room_for_a_tile(
    net: Network, rows: Inputs, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = network(net.layers[:1], 4.0)
    free = 64 * 64 * 4 * 2
    monkeypatch.setattr(base, "free_memory", lambda: free)
    with pytest.raises(InputError, match="64 input rows need .* GiB"):
        infer(small, rows, kernel=kernel)


def test_no_room_for_a_layer(
    net: Network, rows: Inputs, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "free_memory", lambda: 1000)
    with pytest.raises(InputError, match="a layer of the network needs .* GiB"):
        infer(net, rows, kernel=kernel)


def test_prepared_layers_are_a_sequence(
    net: Network, kernel: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(kernel, open_space("serial"), np.dtype(np.float32), 4.0)
    held = base.PreparedLayers(net, engine, np.dtype(np.float32))
    mean = net.edges * 8 / DEPTH
    monkeypatch.setattr(base, "free_memory", lambda: int(3 * mean / 0.4))
    made = base.PreparedLayers(net, engine, np.dtype(np.float32))
    assert held[0] is held[0]
    assert made[0] is not made[0]
    for layers in (held, made):
        assert len(layers) == DEPTH
        assert len(layers[:3]) == 3
        assert layers[-1].outputs == WIDTH
        with pytest.raises(IndexError):
            layers[DEPTH]
