"""All public functions accept the same formats of rows, weights and options, and refuse others with
a one-line error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import kkspdnn as kk
from kkspdnn.model.layers import Layer

WEIGHTS = np.array([[1, 0, 2, 0], [0, 3, 0, 0], [0, 0, 0, 1], [2, 0, 1, 0]], np.float32)
ROWS = np.array([[1, 0, 3, 0], [0, 0, 0, 0], [2, 1, 0, 1]], np.float32)


def network_of(weights: Any = WEIGHTS) -> kk.Network:
    return kk.network([Layer.from_sparse(weights, 0.5, bias_to="all")], None)


FORMATS = ["csr", "csc", "coo", "bsr", "dok", "lil", "dia"]

SPARSE: dict[str, Callable[[Any], Any]] = {
    f"{name}_{container}": getattr(sp, f"{name}_{container}")
    for name in FORMATS
    for container in ("matrix", "array")
}

DENSE: dict[str, Callable[[Any], Any]] = {
    "array": np.array,
    "matrix": np.asmatrix,
    "float16": lambda a: a.astype(np.float16),
    "float64": lambda a: a.astype(np.float64),
    "longdouble": lambda a: a.astype(np.longdouble),
    "int8": lambda a: a.astype(np.int8),
    "uint64": lambda a: a.astype(np.uint64),
    "another byte order": lambda a: a.astype(">f4"),
    "columns first": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "wide indices": lambda a: sp.csr_array(
        (lambda c: (c.data, c.indices.astype(np.int64), c.indptr.astype(np.int64)))(
            sp.csr_array(a)
        ),
        shape=a.shape,
    ),
}

ARRAYS = SPARSE | DENSE


@pytest.fixture(scope="module")
def predict() -> kk.Predictor:
    return kk.Predictor(network_of())


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of NumPy's matrix
@pytest.mark.parametrize("name", ARRAYS)
def test_rows_in_all_formats(name: str, predict: kk.Predictor) -> None:
    net, rows = network_of(), ARRAYS[name](ROWS)
    expected = ROWS @ WEIGHTS + np.float32(0.5)
    assert (kk.infer(net, rows, values=True).outputs == expected).all()
    assert (kk.reference(net, rows).toarray() == expected).all()
    assert (kk.reference(net, rows, dtype=np.float32).toarray() == expected).all()
    assert (predict(rows) == expected).all()
    assert (kk.Inputs.from_any(rows).to_dense() == ROWS).all()
    assert (predict(kk.Inputs.from_any(rows)) == expected).all()


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of NumPy's matrix
@pytest.mark.parametrize("name", ARRAYS)
def test_weights_in_all_formats(name: str) -> None:
    layer = Layer.from_sparse(ARRAYS[name](WEIGHTS), 0.5)
    assert (layer.weights().toarray() == WEIGHTS).all()


REFUSED: dict[str, Any] = {
    "list": ROWS.tolist(),
    "None": None,
    "text": "abc",
    "path": Path("."),
    "number": 3,
    "masked": np.ma.masked_array(ROWS, ROWS > 1),
    "object": ROWS.astype(object),
    "complex": ROWS.astype(complex),
    "dates": ROWS.astype("M8[s]"),
    "texts": ROWS.astype(str),
    "one dimension": ROWS[0],
    "one dimension, sparse": sp.coo_array(ROWS[0]),
    "three dimensions": ROWS[None],
    "no column": ROWS[:, :0],
    "stored twice": sp.coo_array(([1.0, 1.0], ([0, 0], [0, 0])), shape=(3, 4)),
    "network": network_of(),
    "layer": network_of().layers[0],
}


def refused(call: Callable[[], Any], beginning: str) -> None:
    with pytest.raises(kk.KkspdnnError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(beginning)
    assert "\n" not in message
    assert len(message) < 200


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_rows_are_refused(name: str, predict: kk.Predictor) -> None:
    rows, net = REFUSED[name], network_of()
    for call in (
        lambda: kk.infer(net, rows),
        lambda: kk.reference(net, rows),
        lambda: predict(rows),
        lambda: kk.Inputs.from_any(rows),
    ):
        refused(call, "inputs: ")
    refused(lambda: Layer.from_sparse(rows, 0.0), "layer 1: weights: ")


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_networks_are_refused(name: str, tmp_path: Path) -> None:
    obj = REFUSED[name]
    if name == "network":
        obj = [obj]
    for call in (
        lambda: kk.infer(obj, ROWS),
        lambda: kk.reference(obj, ROWS),
        lambda: kk.Predictor(obj),
        lambda: kk.prune(obj),
        lambda: kk.save_npz_network(obj, tmp_path),
    ):
        refused(call, "network: ")
    refused(lambda: kk.network(obj), "layer")
    if name != "layer":
        refused(lambda: kk.network([obj]), "layer 1: ")


@pytest.mark.filterwarnings("ignore:Sparse CSC tensor support:UserWarning")
def test_tensors_of_pytorch(predict: kk.Predictor) -> None:
    """Rows and biases may be tensors, weights may not."""
    torch = pytest.importorskip("torch", reason="no PyTorch here")
    net, rows = network_of(), torch.from_numpy(ROWS)
    expected = ROWS @ WEIGHTS + np.float32(0.5)
    for tensor in (rows, rows.to_sparse(), rows.clone().requires_grad_(), rows.to(torch.int8)):
        assert (kk.infer(net, tensor, values=True).outputs == expected).all()
        assert (kk.reference(net, tensor).toarray() == expected).all()
        assert (predict(tensor) == torch.from_numpy(expected)).all()
        refused(lambda t=tensor: Layer.from_sparse(t, 0.0), "layer 1: weights: Tensor; give")
    for tensor in (rows[0], rows.to(torch.complex64), rows.to_sparse_csc(), rows.to("meta")):
        for call in (kk.infer, kk.reference, lambda _, t: predict(t)):
            refused(lambda c=call, t=tensor: c(net, t), "inputs: ")
    for tensor in (rows[0].to_sparse(), rows[0].clone().requires_grad_()):
        refused(
            lambda t=tensor: Layer.from_sparse(WEIGHTS, t),
            "layer 1: bias: it cannot be converted to a NumPy array: ",
        )
    assert Layer.from_sparse(WEIGHTS, rows[0]).bias.tolist() == ROWS[0].tolist()


@pytest.mark.parametrize(
    ("option", "beginning"),
    [
        ("dtype", "dtype "),
        ("exits", "exits "),
        ("space", "space "),
        ("threads", "threads "),
        ("device", "device "),
        ("memory", "memory "),
    ],
)
def test_options_of_other_types_are_refused(option: str, beginning: str) -> None:
    net = network_of()
    for value in ([1.5, 2], "7 or so", Path(".")):
        refused(lambda v=value: kk.Predictor(net, **{option: v}), beginning)
        refused(lambda v=value: kk.infer(net, ROWS, **{option: v}), beginning)
    refused(lambda: kk.Predictor(net, **{option: ROWS}), beginning)


def test_numbers_of_other_types_are_refused() -> None:
    net = network_of()
    for value in ([1.5, 2], ROWS, "7", Path("."), np.nan):
        refused(lambda v=value: kk.network(net.layers, v), "ymax ")
    for value in (None, Path("."), net, [ROWS], ["7"]):
        refused(lambda v=value: kk.prune(net, sparsity=v), "sparsity ")
    for value in (np.float32(0.75), np.array([0.75]), [0.75], (0.75,)):
        assert kk.prune(net, sparsity=value, method="unstructured").edges == 4
