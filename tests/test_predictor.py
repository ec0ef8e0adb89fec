"""A network called again and again gives what `infer` gives, bit for bit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.errors import InputError
from kkspdnn.model.network import Layer


def ordinary(seed: int = 0, widths: tuple[int, ...] = (70, 40, 40, 40, 9)) -> kk.Network:
    """Biases on every sum, and no activation at the end."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (inputs, outputs) in enumerate(zip(widths, widths[1:], strict=False), start=1):
        w = rng.standard_normal((inputs, outputs)).astype(np.float32)
        w[rng.random(w.shape) < 0.6] = 0
        activation: Any = "linear" if number == len(widths) - 1 else "relu"
        bias = rng.standard_normal(outputs)
        layers.append(Layer.from_sparse(w, bias, activation=activation, bias_to="all"))
    return kk.network(layers, None)


def some_rows(count: int, neurons: int, dtype: Any = np.float32) -> Any:
    rng = np.random.default_rng(count)
    rows = rng.standard_normal((count, neurons)) * (rng.random((count, neurons)) < 0.5)
    return rows.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_of_any_size_are_what_infer_gives(space: str, dtype: Any) -> None:
    net = ordinary()
    predict = kk.Predictor(net, space=space, dtype=dtype)
    for count in (1, 200, 3, 64, 0, 65, 200, 1):
        rows = some_rows(count, 70, dtype)
        expected = kk.infer(net, rows, space=space, dtype=dtype, values=True).outputs
        outputs = predict(rows)
        assert outputs.dtype == dtype
        assert outputs.shape == (count, 9)
        assert (outputs == expected).all()


@pytest.mark.parametrize("exits", ["none", "dead", "all"])
def test_rows_that_leave_have_their_end(space: str, exits: Any) -> None:
    """Some as zeros, some at ymax, and some of each kind of input."""
    net = kk.radixnet(1024, 20)
    images = kk.images(1024).slice(0, 3000)
    expected = kk.infer(net, images, space=space, exits="none", values=True).outputs
    assert (expected == 0).all(axis=1).any()
    assert (expected == 32).all(axis=1).any()
    predict = kk.Predictor(net, space=space, exits=exits)
    for rows in (images, images.to_csr(), images.to_dense(), images.slice(0, 100)):
        assert (predict(rows) == expected[: getattr(rows, "rows", 3000)]).all()


def test_earlier_answers_stay(space: str) -> None:
    predict = kk.Predictor(ordinary(), space=space)
    first = predict(some_rows(5, 70))
    kept = first.copy()
    predict(some_rows(6, 70)[:5])
    assert (first == kept).all()


def test_rows_are_not_changed(space: str) -> None:
    rows = some_rows(70, 70)
    kept = rows.copy()
    rows.flags.writeable = False
    kk.Predictor(ordinary(), space=space)(rows)
    assert (rows == kept).all()


def test_rows_of_another_type_and_order() -> None:
    net = ordinary()
    predict = kk.Predictor(net)
    rows = some_rows(20, 70).round()
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


def test_little_memory_takes_rows_in_parts() -> None:
    """Parts of the rows land in their places."""
    net = kk.radixnet(1024, 4)
    images = kk.images(1024).slice(0, 2000)
    expected = kk.Predictor(net)(images)
    predict = kk.Predictor(net)
    predict._layers.rows = 256
    assert (predict(images) == expected).all()


def test_a_network_without_layers_gives_its_rows() -> None:
    rows = some_rows(7, 5)
    assert (kk.Predictor(kk.network([], None, inputs=5))(rows) == rows).all()


def test_threads_take_turns(space: str) -> None:
    predict = kk.Predictor(ordinary(), space=space)
    batches = [some_rows(1 + k % 7, 70) for k in range(40)]
    expected = [predict(each) for each in batches]
    with ThreadPoolExecutor(4) as pool:
        for found, one in zip(pool.map(predict, batches), expected, strict=True):
            assert (found == one).all()


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
def test_rows_that_cannot_be_used_are_refused_and_do_no_harm(rows: Any, message: str) -> None:
    predict = kk.Predictor(ordinary())
    good = some_rows(3, 70)
    expected = predict(good)
    with pytest.raises(InputError, match=message):
        predict(rows)
    assert (predict(good) == expected).all()


def test_options_are_looked_at() -> None:
    with pytest.raises(InputError, match="exits 'some' is unknown: choose one of none, dead, all"):
        kk.Predictor(ordinary(), exits="some")  # type: ignore[arg-type]
    with pytest.raises(kk.SpaceError, match="space 'gpu' is unknown"):
        kk.Predictor(ordinary(), space="gpu")
    with pytest.raises(InputError, match="use float32 or float64"):
        kk.Predictor(ordinary(), dtype=np.int8)
    with pytest.raises(InputError, match="give gigabytes, a number above 0"):
        kk.Predictor(ordinary(), memory=-1)
