"""A Predictor returns the values of `infer`, bit for bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
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


def test_rows_of_another_dtype_and_memory_order() -> None:
    net = random_network()
    predict = kk.Predictor(net)
    rows = random_rows(20, 70).round()
    expected = predict(rows)
    for each in (
        rows.astype(np.float64),
        rows.astype(np.int8),
        np.asfortranarray(rows),
        np.repeat(rows, 2, axis=1)[:, ::2],
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


def test_several_threads_may_call(space: str) -> None:
    predict = kk.Predictor(random_network(), space=space)
    batches = [random_rows(1 + k % 7, 70) for k in range(40)]
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
        ([[1.0] * 70], "inputs: list; give a NumPy array or a SciPy sparse matrix"),
        (np.ones(70), "inputs: 1 dimensions; it must have 2"),
    ],
)
def test_invalid_rows_are_refused_and_change_nothing(rows: Any, message: str) -> None:
    predict = kk.Predictor(random_network())
    good = random_rows(3, 70)
    expected = predict(good)
    with pytest.raises(InputError, match=message):
        predict(rows)
    assert (predict(good) == expected).all()


def test_invalid_options_are_refused() -> None:
    with pytest.raises(InputError, match="exits 'some' is unknown: choose one of none, dead, all"):
        kk.Predictor(random_network(), exits="some")  # type: ignore[arg-type]
    with pytest.raises(kk.SpaceError, match="space 'gpu' is unknown"):
        kk.Predictor(random_network(), space="gpu")
    with pytest.raises(InputError, match="use float32 or float64"):
        kk.Predictor(random_network(), dtype=np.int8)
    with pytest.raises(InputError, match="give gigabytes, a number above 0"):
        kk.Predictor(random_network(), memory=-1)
