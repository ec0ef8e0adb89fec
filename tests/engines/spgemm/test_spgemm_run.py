"""Runs of the SpGEMM engine: early exit, regrouping and overflow do not change the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.choices import EPILOGUES, EXITS, Epilogue, Exits, SpaceName
from kkspdnn.device.space import open_space
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.engines.partial_result import PartialResult, concatenate
from kkspdnn.engines.spgemm import grouping
from kkspdnn.engines.spgemm.column_kernels import ColumnKernels
from kkspdnn.engines.spgemm.engine import SpgemmEngine
from kkspdnn.engines.spgemm.row_product import RowProduct
from kkspdnn.engines.spgemm.team_kernels import TeamKernels
from kkspdnn.errors import InputError
from kkspdnn.io.shipped_images import images
from kkspdnn.model.inputs import Inputs
from kkspdnn.model.layers import Layer
from kkspdnn.model.network import Network, network
from kkspdnn.model.radixnet import radixnet
from kkspdnn.serial_reference import reference

SPACES: list[SpaceName] = ["serial", "openmp"]


def run(
    net: Network,
    rows: Any,
    exits: Exits = "all",
    epilogue: Epilogue = "fused",
    space: SpaceName = "serial",
    teams: bool = False,
) -> PartialResult:
    """Run the engine in the dtype of the network, and return the values of all nonzero rows.

    teams: run the kernels of a GPU
    """
    inputs = Inputs.from_any(rows)
    engine = SpgemmEngine(open_space(space), net.dtype, net.ymax, exits, epilogue)
    if teams:
        engine.kernels = TeamKernels(engine.space)
    layers = LayerStore(net, engine, net.dtype)
    engine.compute_exit_bounds(layers, inputs)
    engine.allocate(layers, inputs)
    parts = engine.run(layers, inputs, lambda ids: np.full(ids.size, True), lambda _: None)
    return concatenate(parts, net.outputs, net.dtype, values=True)


def check_result(result: PartialResult, net: Network, rows: Any) -> None:
    """Compare with the reference, bit for bit."""
    expected = reference(net, Inputs.from_any(rows), dtype=net.dtype)
    assert result.rows.tolist() == np.flatnonzero(np.diff(expected.indptr)).tolist()
    found = result.select_rows(result.rows)
    assert found.shape == (result.rows.size, net.outputs)
    assert found.toarray().tobytes() == expected.toarray()[result.rows].tobytes()


def record_results(
    monkeypatch: pytest.MonkeyPatch, cls: type, names: Sequence[str], read: Callable[[Any], Any]
) -> list[Any]:
    """Return a list that gets `read(result)` for each call of these methods."""
    found: list[Any] = []

    def record(name: str) -> None:
        method = getattr(cls, name)

        def recorded(*arguments: Any) -> Any:
            result = method(*arguments)
            found.append(read(result))
            return result

        monkeypatch.setattr(cls, name, recorded)

    for name in names:
        record(name)
    return found


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches, each time that rows are grouped."""
    names = "load", "select"
    return record_results(monkeypatch, ColumnKernels, names, lambda y: y.grouping.size)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("exits", EXITS)
def test_a_radixnet(exits: Exits, epilogue: Epilogue, dtype: str, space: SpaceName) -> None:
    net, rows = radixnet(1024, 12, dtype=dtype), images(1024, 300)
    check_result(run(net, rows, exits, epilogue, space), net, rows)


def signed(seed: int, dtype: str) -> tuple[Network, Any]:
    """Return layers of different widths, with weights of both signs, neurons without inputs or
    outputs, and layers without ReLU; and rows, a third of them zeros."""
    rng = np.random.default_rng(seed)
    widths, layers = rng.choice([1, 20, 90, 150], 6), []
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        weights = sp.random_array((inputs, outputs), density=rng.choice([0.1, 0.6]), rng=rng)
        weights = weights.tocsc()
        weights.data[:] = rng.normal(size=weights.nnz)
        bias = rng.normal(size=outputs) / 10
        activation: Any = rng.choice(["relu", "relu", "linear"])
        bias[rng.random(outputs) < 0.3] = 0
        layers.append(
            Layer.from_sparse(weights.astype(dtype), bias.astype(dtype), activation=activation)
        )
    rows = rng.normal(size=(700, widths[0])) * (
        rng.random((700, widths[0])) < rng.choice([0.01, 1])
    )
    rows[::3] = 0
    return network(layers, ymax=rng.choice([None, 2.0])), rows.astype(dtype)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(8))
def test_networks_of_both_signs(seed: int, dtype: str, space: SpaceName) -> None:
    net, rows = signed(seed, dtype)
    for exits in EXITS:
        for epilogue in EPILOGUES:
            check_result(run(net, rows, exits, epilogue, space), net, rows)


def repeated(layers: int) -> tuple[Network, Any]:
    """Return a network in which the means of two halves of a row stay, and rows of zeros, of ones,
    and of one and a half."""
    weights = np.kron(np.eye(2), np.full((32, 32), 1 / 32)).astype(np.float32)
    kinds = np.repeat(np.array([[0, 0], [1, 1], [1, 0.5]], np.float32), 32, axis=1)
    return network([Layer.from_sparse(weights, 0.0)] * layers, 1.0), np.repeat(kinds, 128, axis=0)


@pytest.mark.parametrize("teams", [False, True])
@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_retired_rows_are_reported(epilogue: Epilogue, teams: bool) -> None:
    """Those that go to zero are not in the result, and those that saturate have no values."""
    net, rows = repeated(30)
    result = run(net, rows, "all", epilogue, teams=teams)
    check_result(result, net, rows)
    assert result.saturated.tolist() == list(range(128, 256))
    assert result.value_rows is not None
    assert result.value_rows.tolist() == list(range(256, 384))
    assert result.ymax == 1
    for exits in ("none", "dead"):
        assert not run(net, rows, exits, epilogue, teams=teams).saturated.size


def test_retired_rows_are_not_multiplied() -> None:
    net, rows = repeated(60)
    edges = {exits: run(net, rows, exits).computed_edges for exits in EXITS}
    # A row of zeros has no products.
    every_row = 60 * 2 * 32 * 32 * 256
    assert edges["none"] == edges["dead"] == every_row
    assert 1 / 2 <= edges["all"] / every_row < 0.56


@pytest.mark.parametrize("teams", [False, True])
@pytest.mark.parametrize("exits", EXITS)
@pytest.mark.parametrize("ymax", [1.0, 2.0])
def test_all_rows_are_retired_before_a_layer_of_another_width(
    exits: Exits, ymax: float, teams: bool
) -> None:
    sizes = [(4, 40), (40, 50), (50, 2)]
    net = network([Layer.from_sparse(np.ones(each, np.float32), 0.0) for each in sizes], ymax)
    for rows in (np.eye(4, dtype=np.float32)[np.arange(300) % 4], np.zeros((300, 4), np.float32)):
        check_result(run(net, rows, exits, teams=teams), net, rows)


@pytest.mark.parametrize("rows", [0, 1, 15, 17])
@pytest.mark.parametrize("space", SPACES)
def test_few_rows(space: SpaceName, rows: int) -> None:
    net, few = radixnet(64, 12), images(64, 200).slice(0, rows)
    check_result(run(net, few, space=space), net, few)


@pytest.mark.parametrize("exits", EXITS)
def test_chunks_of_rows(exits: Exits, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of zeros, of ones, and others are in each chunk of 1024 rows; the last one is short."""
    monkeypatch.setattr(grouping, "_CHUNK_BYTES", 1)
    net, kinds = repeated(30)
    rows = kinds[np.random.default_rng(1).integers(0, 384, 2500)]
    check_result(run(net, rows, exits), net, rows)
    assert len(sizes) >= 3


def test_layers_that_are_not_resident_are_used_once(
    sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grouping, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(LayerStore, "resident", property(lambda _: 3))
    net, rows = radixnet(64, 8), np.ones((2500, 64), np.float32)
    check_result(run(net, rows, "none"), net, rows)
    assert len(sizes) == 1


# ---- regrouping ---------------------------------------------------------------------------------


def identities(count: int, first: Layer) -> Network:
    """Return a network whose layers after the first one change nothing."""
    same = Layer.from_sparse(np.eye(64, dtype=np.float32), 0.0)
    return network([first, *[same] * count], None)


def test_batches_grow_if_activations_become_sparse(sizes: list[int]) -> None:
    net = identities(40, Layer.from_sparse(np.eye(64, dtype=np.float32), -0.5))
    rows = np.eye(64, dtype=np.float32)[np.arange(5000) % 64] + np.float32(0.25)
    check_result(run(net, rows, "none"), net, rows)
    assert sizes == [64, 1680]


def test_batches_shrink_if_activations_become_dense(sizes: list[int]) -> None:
    net = identities(40, Layer.from_sparse(np.ones((64, 64), np.float32), 0.0))
    rows = np.eye(64, dtype=np.float32)[np.arange(5000) % 64]
    check_result(run(net, rows, "none"), net, rows)
    assert sizes == [1680, 64]


def test_batches_of_about_the_best_size_stay(sizes: list[int]) -> None:
    net = identities(40, Layer.from_sparse(np.eye(64, dtype=np.float32), 0.0))
    check_result(run(net, np.ones((5000, 64), np.float32), "none"), net, np.ones((5000, 64)))
    assert sizes == [64]


# ---- products by rows ---------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("epilogue", EPILOGUES)
def test_products_by_rows(
    epilogue: Epilogue, dtype: str, space: SpaceName, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few nonzeros and many edges: each nonzero has about 32 edges. Later activations are dense."""
    launched = record_results(monkeypatch, RowProduct, ["compute"], lambda result: result[1].size)
    rng = np.random.default_rng(3)
    layers = [
        Layer.from_sparse(
            (rng.normal(size=(64, 64)) * (rng.random((64, 64)) < 0.5)).astype(dtype), bias
        )
        for bias in (-0.1, -2.0, -8.0, 0.0)
    ]
    rows = rng.normal(size=(300, 64)) * (rng.random((300, 64)) < 0.02)
    net = network(layers, None)
    check_result(run(net, rows.astype(dtype), "none", epilogue, space), net, rows.astype(dtype))
    assert launched[0] == 300


def test_weights_are_copied_by_input_if_there_is_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Layer.from_sparse(np.ones((64, 64), np.float32), -0.5)
    net, rows = network([layer], None), np.eye(64, dtype=np.float32)
    copied = list[bool]()
    for bytes_per_row in (10**6, 0):
        monkeypatch.setattr(SpgemmEngine, "bytes_per_row", lambda *_, n=bytes_per_row: max(1, n))
        engine = SpgemmEngine(open_space("serial"), net.dtype, net.ymax, "none")
        layers = LayerStore(net, engine, net.dtype)
        layers.max_rows = 64
        engine.allocate(layers, Inputs.from_any(rows))
        copied.append(bool(engine.kernels._by_input))  # type: ignore[attr-defined]
    assert copied == [True, False]


# ---- memory -------------------------------------------------------------------------------------


def test_rows_that_a_layer_may_make_too_dense_are_split_before_they_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The input of nearly all edges is nonzero in all rows, which the density does not tell."""
    weights = np.zeros((64, 64), np.float32)
    weights[0] = 0.5
    net = network([Layer.from_sparse(weights, 0.0)], 1.0)
    rows = np.zeros((2000, 64), np.float32)
    rows[:, 0] = 1
    engine = SpgemmEngine(open_space("serial"), net.dtype, net.ymax, "none")
    layers = LayerStore(net, engine, net.dtype)
    layers.max_rows = 128
    loaded = record_results(monkeypatch, ColumnKernels, ["load"], lambda y: y.rows)
    parts = engine.run(layers, Inputs.from_any(rows), lambda ids: ids >= 0, lambda done: None)
    check_result(concatenate(parts, net.outputs, net.dtype, values=True), net, rows)
    assert engine.kernels.max_rows(Inputs.from_any(rows), 128) > 1000
    assert sum(loaded) == 2000
    assert max(loaded) <= 128


@pytest.mark.parametrize("exits", EXITS)
def test_rows_that_become_dense_are_split(exits: Exits, monkeypatch: pytest.MonkeyPatch) -> None:
    """More sparse rows are computed together than dense rows fit into memory. A third of the rows
    are zeros."""
    same = Layer.from_sparse(np.eye(64, dtype=np.float32), 0.0)
    dense = Layer.from_sparse(np.full((64, 64), 1 / 64, np.float32), 0.0)
    net = network([*[same] * 40, dense, same, dense], 1.0)
    rows = np.eye(64, dtype=np.float32)[np.arange(2000) % 64] * np.float32(0.5)
    rows[::3] *= 0
    inputs, finished = Inputs.from_any(rows), list[int]()
    engine = SpgemmEngine(open_space("serial"), net.dtype, net.ymax, exits)
    layers = LayerStore(net, engine, net.dtype)
    layers.max_rows = 128
    engine.compute_exit_bounds(layers, inputs)
    engine.allocate(layers, inputs)
    loaded = record_results(
        monkeypatch, ColumnKernels, ["_load"], lambda y: (y.rows, y.grouping.all_dense)
    )
    parts = engine.run(layers, inputs, lambda ids: np.full(ids.size, True), finished.append)
    result = concatenate(parts, net.outputs, net.dtype, values=True)
    check_result(result, net, rows)
    assert loaded[0] == (416, False)
    assert sum(finished) == 2000 * 43
    assert max(size for size, all_dense in loaded if all_dense) <= 128
    assert result.computed_edges == np.count_nonzero(rows) * (40 + 64 + 64 + 64 * 64)


# ---- overflow -----------------------------------------------------------------------------------


@pytest.mark.parametrize("epilogue", EPILOGUES)
@pytest.mark.parametrize("others", [0.0, 0.5])
@pytest.mark.parametrize("activation", ["relu", "linear"])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_overflow_names_its_layer(
    sign: int, activation: Any, others: float, epilogue: Epilogue
) -> None:
    """In a list, if the other rows are zero, and in a dense column."""
    layers = [
        Layer.from_sparse(np.array([[weight]], np.float32), 0.0, activation=activation)
        for weight in (1, 3e38, 1)
    ]
    net = network(layers, None)
    rows = np.full((4000, 1), others, np.float32)
    rows[333] = 10 * sign
    if sign == -1 and activation == "relu":
        check_result(run(net, rows, epilogue=epilogue), net, rows)
        return
    for teams in (False, True):
        with pytest.raises(InputError, match="layer 2: the activations overflow float32"):
            run(net, rows, epilogue=epilogue, teams=teams)
