"""A Predictor returns the values of `infer`, bit for bit."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.engines.fused.dense_run import DenseRun
from kkspdnn.engines.fused.few_rows import FewRows
from kkspdnn.engines.layer_store import LayerStore
from kkspdnn.errors import InputError
from kkspdnn.model.layers import Layer


def random_network(seed: int = 0, widths: tuple[int, ...] = (70, 40, 40, 40, 9)) -> kk.Network:
    """Return a network with biases on all sums, and without activation in the last layer."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False), start=1):
        w = rng.standard_normal((inputs, outputs)).astype(np.float32)
        w[rng.random(w.shape) < 0.6] = 0
        activation: Any = "linear" if number == len(widths) - 1 else "relu"
        bias = rng.standard_normal(outputs)
        layers.append(Layer.from_sparse(w, bias, activation=activation, bias_to="all"))
    return kk.network(layers, None)


def random_rows(count: int, neurons: int, dtype: Any = np.float32) -> Any:
    rng = np.random.default_rng(count)
    rows = rng.standard_normal((count, neurons)) * (rng.random((count, neurons)) < 0.5)
    return rows.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_of_any_size_have_the_outputs_of_infer(space: str, dtype: Any) -> None:
    net = random_network()
    predict = kk.Predictor(net, space=space, dtype=dtype)
    for count in (1, 200, 3, 64, 0, 65, 200, 1):
        rows = random_rows(count, 70, dtype)
        expected = kk.infer(net, rows, space=space, dtype=dtype, values=True).outputs
        outputs = predict(rows)
        assert outputs.dtype == dtype
        assert outputs.shape == (count, 9)
        assert (outputs == expected).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exits", ["none", "all"])
def test_all_ways_to_compute_a_batch(space: str, dtype: Any, exits: Any) -> None:
    """By input neuron for few rows, in native calls without early exit, and by the engine."""
    net = random_network(1, (70, 64, 70, 33))
    predict = kk.Predictor(net, space=space, dtype=dtype, exits=exits)
    rows = random_rows(700, 70, dtype)
    expected = kk.infer(net, rows, space=space, dtype=dtype, values=True).outputs
    for count in (1, 2, 3, 7, 16, 20, 48, 49, 50, 64, 255, 256, 257, 600, 700, 1):
        outputs = predict(rows[-count:])
        assert outputs.dtype == dtype
        assert (outputs == expected[-count:]).all()


def test_few_rows_are_computed_by_the_engine_if_memory_is_small(
    space: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no second copy of the layers."""
    net = random_network()
    expected = kk.Predictor(net, space=space)(random_rows(5, 70))
    monkeypatch.setattr("kkspdnn.predictor._MAX_FEW_ROWS", 0.0)
    predict = kk.Predictor(net, space=space)
    assert [type(each) for each in predict._dense_paths] == (
        [] if predict._space.gpu else [DenseRun]
    )
    for count in (5, 3, 1):
        assert (predict(random_rows(5, 70)[:count]) == expected[:count]).all()


def test_layers_that_are_not_resident_are_computed_by_the_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = random_network()
    rows = random_rows(100, 70)
    expected = kk.Predictor(net, exits="none")(rows)
    monkeypatch.setattr(LayerStore, "resident", property(lambda store: len(store._resident) - 1))
    predict = kk.Predictor(net, exits="none")
    assert predict._dense_paths == []
    for count in (100, 1):
        assert (predict(rows[:count]) == expected[:count]).all()


@pytest.mark.parametrize(
    ("layers", "paths"),
    [(12, [FewRows, DenseRun]), (13, [FewRows]), (48, [FewRows]), (49, [])],
)
def test_the_paths_of_networks_whose_rows_may_be_retired(layers: int, paths: list[type]) -> None:
    """Without early exit if there are few layers. The outputs are the same."""
    net, images = kk.radixnet(1024, layers), kk.images(1024).slice(0, 500)
    rows = images.to_dense().astype(np.float32)
    expected = kk.infer(net, images, exits="all", values=True).outputs
    predict = kk.Predictor(net, exits="all")
    assert [type(each) for each in predict._dense_paths] == paths
    for count in (1, 30, 500):
        assert (predict(rows[:count]) == expected[:count]).all()
    without = kk.Predictor(net, exits="none")
    assert [type(each) for each in without._dense_paths] == [FewRows, DenseRun]


def test_a_network_without_biases_has_all_paths() -> None:
    """Its rows of zeros might be retired."""
    layers = [replace(each, bias=np.zeros_like(each.bias)) for each in random_network().layers]
    predict = kk.Predictor(kk.network(layers, None))
    assert predict._engine.exits != "none"
    assert [type(each) for each in predict._dense_paths] == [FewRows, DenseRun]


@pytest.mark.parametrize("exits", ["none", "dead", "all"])
def test_rows_that_exit_early_have_their_final_outputs(space: str, exits: Any) -> None:
    """Rows go to zero or saturate, in all formats of inputs."""
    net = kk.radixnet(1024, 20)
    images = kk.images(1024).slice(0, 3000)
    expected = kk.infer(net, images, space=space, exits="none", values=True).outputs
    assert (expected == 0).all(axis=1).any()
    assert (expected == 32).all(axis=1).any()
    predict = kk.Predictor(net, space=space, exits=exits)
    for rows in (images, images.to_csr(), images.to_dense(), images.slice(0, 100)):
        assert (predict(rows) == expected[: getattr(rows, "rows", 3000)]).all()


def test_attributes() -> None:
    predict = kk.Predictor(random_network(), space="serial", dtype="float64")
    assert (predict.inputs, predict.outputs, predict.n_features_in_) == (70, 9, 70)
    assert (predict.dtype, predict.space) == (np.float64, "serial")
    assert predict.network.dtype == np.float64
    assert predict.network.edges == random_network().edges
    for name in ("network", "inputs", "outputs", "dtype", "space", "n_features_in_"):
        with pytest.raises(AttributeError):
            setattr(predict, name, None)


def test_one_line_and_a_table() -> None:
    predict = kk.Predictor(random_network(), space="serial", exits="none")
    edges = f"{random_network().edges:,}"
    assert repr(predict) == (
        f"<Predictor 70 -> 9 neurons: 4 layers, {edges} edges; serial, 1 thread, float32, "
        "exits none>"
    )
    table = predict._repr_html_()
    for text in ("Predictor", "70 inputs, 9 outputs", edges, "serial, 1 thread", "float32", "none"):
        assert text in table
    small = kk.Predictor(random_network(2, (7, 3)))
    assert "7 -> 3 neurons: 1 layer, " in repr(small)
    assert f"openmp, {small._space.threads} thread" in repr(small)


def test_predict_is_a_call(space: str) -> None:
    predict, rows = kk.Predictor(random_network(), space=space), random_rows(5, 70)
    assert (predict.predict(rows) == predict(rows)).all()


def test_earlier_outputs_are_not_overwritten(space: str) -> None:
    predict = kk.Predictor(random_network(), space=space)
    first = predict(random_rows(5, 70))
    before = first.copy()
    predict(random_rows(6, 70)[:5])
    assert (first == before).all()


def test_rows_are_not_changed(space: str) -> None:
    rows = random_rows(70, 70)
    before = rows.copy()
    rows.flags.writeable = False
    kk.Predictor(random_network(), space=space)(rows)
    assert (rows == before).all()


class Rows(np.ndarray):
    """A subclass of NumPy's array."""


@pytest.mark.parametrize("exits", ["none", "all"])
@pytest.mark.parametrize("count", [1, 20, 300])
def test_rows_of_another_dtype_and_memory_order(count: int, exits: Any) -> None:
    net = random_network()
    predict = kk.Predictor(net, exits=exits)
    rows = random_rows(count, 70).round()
    expected = predict(rows)
    for each in (
        rows.astype(np.float64),
        rows.astype(np.int8),
        np.asfortranarray(rows),
        np.repeat(rows, 2, axis=1)[:, ::2],
        np.repeat(rows, 2, axis=0)[::2],
        rows.astype(">f4"),
        rows.view(Rows),
        sp.csr_array(rows),
        sp.coo_matrix(rows),
    ):
        assert (predict(each) == expected).all()


def test_rows_are_computed_in_chunks_if_memory_is_small() -> None:
    net = kk.radixnet(1024, 4)
    images = kk.images(1024).slice(0, 2000)
    expected = kk.Predictor(net)(images)
    predict = kk.Predictor(net)
    predict._layers.max_rows = 256
    assert (predict(images) == expected).all()


def test_a_network_without_layers_returns_its_rows() -> None:
    rows = random_rows(7, 5)
    assert (kk.Predictor(kk.network([], None, inputs=5))(rows) == rows).all()


@pytest.mark.parametrize("exits", ["none", "all"])
def test_several_threads_may_call(space: str, exits: Any) -> None:
    predict = kk.Predictor(random_network(), space=space, exits=exits)
    batches = [random_rows((1, 2, 5, 20, 60, 130, 600)[k % 7], 70) for k in range(42)]
    expected = [predict(each) for each in batches]
    with ThreadPoolExecutor(4) as pool:
        for outputs, right in zip(pool.map(predict, batches), expected, strict=True):
            assert (outputs == right).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, 3)), "the input rows have 3 neurons but the network takes 70"),
        (np.full((1, 70), np.nan), "row 0, column 0 is nan; every value must be finite"),
        (np.full((1, 70), 1e300), "row 0: 1e[+]300 is too large for float32"),
        (np.full((1, 70), 3e38), "layer 1: the activations overflow float32"),
        (np.full((1, 70), np.nan, np.float32), "row 0, column 0 is nan; every value must be"),
        (np.full((90, 70), -np.inf, np.float32), "row 0, column 0 is -inf; every value must be"),
        (np.full((1, 70), 3e38, np.float32), "layer 1: the activations overflow float32"),
        (np.full((90, 70), 3e38, np.float32), "layer 1: the activations overflow float32"),
        ([[1.0] * 70], "inputs: list; give a NumPy array or a SciPy sparse matrix"),
        (np.ones(70), "inputs: 1 dimension; it must have 2"),
    ],
)
@pytest.mark.parametrize("exits", ["none", "all"])
def test_invalid_rows_are_refused_and_change_nothing(rows: Any, message: str, exits: Any) -> None:
    predict = kk.Predictor(random_network(), exits=exits)
    good = random_rows(100, 70)
    expected = predict(good)
    for count in (3, 100):
        with pytest.raises(InputError, match=message):
            predict(rows)
        assert (predict(good[:count]) == expected[:count]).all()


LARGE_VALUES = pytest.mark.parametrize(
    ("exits", "count"), [(exits, count) for exits in ("none", "all") for count in (1, 30, 600)]
)


def rows_with(value: float, count: int) -> Any:
    """Return rows, the last of which has a value in several neurons."""
    rows = random_rows(count, 70)
    rows[-1, ::3] = value
    return rows


@LARGE_VALUES
@pytest.mark.parametrize("value", [np.nan, -np.inf, 3e38])
def test_errors_are_those_of_infer(count: int, exits: Any, value: float) -> None:
    net, rows = random_network(5, (70, 40, 9)), rows_with(value, count)
    with pytest.raises(InputError) as expected:
        kk.infer(net, rows, exits=exits, kernel="fused")
    with pytest.raises(InputError) as caught:
        kk.Predictor(net, exits=exits)(rows)
    assert str(caught.value) == str(expected.value)
    assert caught.value.layer == expected.value.layer


@LARGE_VALUES
@pytest.mark.parametrize("value", [1e10, 1e20])
def test_large_values_that_overflow_nowhere(count: int, exits: Any, value: float) -> None:
    """The squares of the larger ones would."""
    net, rows = random_network(5, (70, 40, 9)), rows_with(value, count)
    expected = kk.infer(net, rows, exits=exits, kernel="fused", values=True).outputs
    assert (kk.Predictor(net, exits=exits)(rows) == expected).all()


def test_invalid_options_are_refused() -> None:
    with pytest.raises(InputError, match="exits 'some' is unknown: choose one of none, dead, all"):
        kk.Predictor(random_network(), exits="some")  # type: ignore[arg-type]
    with pytest.raises(kk.SpaceError, match="space 'gpu' is unknown"):
        kk.Predictor(random_network(), space="gpu")
    with pytest.raises(InputError, match="use float32 or float64"):
        kk.Predictor(random_network(), dtype=np.int8)
    with pytest.raises(InputError, match="give gigabytes, a number above 0"):
        kk.Predictor(random_network(), memory=-1)


@pytest.mark.parametrize("exits", ["none", "all"])
def test_a_pickled_predictor_computes_dense_rows(space: str, exits: Any) -> None:
    net = random_network()
    predict = kk.Predictor(net, space=space, exits=exits)
    rows = random_rows(100, 70)
    expected = predict(rows)
    copied = pickle.loads(pickle.dumps(predict))
    for count in (1, 20, 100):
        assert (copied(rows[:count]) == expected[:count]).all()
        assert (predict(rows[:count]) == expected[:count]).all()
