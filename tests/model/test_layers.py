"""Layers: stored weights, conversions and error messages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given

from kkspdnn.errors import InputError
from kkspdnn.model.checks import MAX_NEURONS
from kkspdnn.model.layers import Layer
from kkspdnn.model.radixnet import radixnet


def random_matrix(seed: int, inputs: int, outputs: int, density: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((inputs, outputs)) * (rng.random((inputs, outputs)) < density)


def square(neurons: int, dtype: Any = np.float32) -> Layer:
    return Layer.from_sparse(sp.eye_array(neurons, dtype=dtype).tocsr(), -0.5)


shapes = st.tuples(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 9), st.floats(0, 1))


@given(shapes, st.sampled_from(["csr", "csc", "coo", "lil", "dok", "bsr", "dia", "dense"]))
def test_weights_come_back_from_every_format(shape: tuple[int, int, int, float], form: str) -> None:
    dense = random_matrix(*shape)
    matrix: Any = sp.coo_array(dense)
    given_matrix = dense if form == "dense" else matrix.asformat(form)
    layer = Layer.from_sparse(given_matrix, -0.25)
    weights = layer.weights()
    assert (weights.toarray() == dense).all()
    assert weights.format == "csr"
    assert weights.has_canonical_format
    assert layer.edges == np.count_nonzero(dense)
    assert layer.dtype == np.float64
    assert (layer.bias == np.full(shape[2], -0.25)).all()
    assert layer.bias.dtype == np.float64
    assert layer.start.dtype == np.int64
    for output in range(shape[2]):
        own = layer.index[layer.start[output] : layer.start[output + 1]]
        assert own.tolist() == np.flatnonzero(dense[:, output]).tolist()


@given(shapes)
def test_the_callers_matrix_is_left_alone(shape: tuple[int, int, int, float]) -> None:
    csr = sp.csr_array(random_matrix(*shape))
    csr.data[: csr.nnz // 2] = 0
    before = csr.copy()
    layer = Layer.from_sparse(csr, 0.0)
    assert layer.edges == np.count_nonzero(before.data)
    layer.value[:] = 7
    assert (csr.data == before.data).all()
    assert (csr.indptr == before.indptr).all()


@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 6), st.data())
def test_from_fan_in_equals_from_sparse(
    seed: int, inputs: int, outputs: int, data: st.DataObject
) -> None:
    fan_in = data.draw(st.integers(0, inputs))
    rng = np.random.default_rng(seed)
    index = np.array([rng.permutation(inputs)[:fan_in] for _ in range(outputs)], dtype=np.int64)
    value = rng.uniform(1, 2, index.shape).astype(np.float32)
    layer = Layer.from_fan_in(index.reshape(outputs, fan_in), value, 0.5, inputs)
    dense = np.zeros((inputs, outputs), np.float32)
    for output in range(outputs):
        dense[index[output], output] = value[output]
    assert (layer.weights().toarray() == dense).all()
    assert layer.fan_in == fan_in
    assert layer.dtype == np.float32


def test_one_value_is_used_for_all_weights() -> None:
    layer = Layer.from_fan_in([[1, 0], [2, 1]], np.float32(0.5), [-1.0, -2.0], 3)
    assert layer.index.tolist() == [0, 1, 1, 2]
    assert layer.value.tolist() == [0.5] * 4
    assert layer.bias.tolist() == [-1, -2]


@pytest.mark.parametrize(("inputs", "dtype"), [(65536, np.uint16), (65537, np.uint32)])
def test_index_dtype_depends_on_the_number_of_inputs(inputs: int, dtype: Any) -> None:
    last = Layer.from_fan_in([[inputs - 1]], 1.0, 0.0, inputs)
    assert last.index.dtype == dtype
    assert last.index.tolist() == [inputs - 1]


def test_fan_in_is_none_if_outputs_differ_and_0_without_edges() -> None:
    assert Layer.from_sparse(np.array([[1.0, 1.0], [0.0, 1.0]]), 0).fan_in is None
    assert Layer.from_sparse(np.zeros((3, 2)), 0).fan_in == 0


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        (bool, np.float32),
        (np.int8, np.float32),
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.int32, np.float64),
        (np.float64, np.float64),
        (np.longdouble, np.float64),
    ],
)
def test_real_dtypes_are_converted_without_loss(dtype: Any, stored: Any) -> None:
    made = [Layer.from_sparse(np.eye(2).astype(dtype), 0)]
    made.append(Layer.from_fan_in([[0], [1]], np.ones((2, 1), dtype), 0, 2))
    if dtype != np.float16:  # SciPy has none
        made.append(Layer.from_sparse(sp.csr_array(np.eye(2).astype(dtype)), 0))
    for layer in made:
        assert layer.dtype == layer.bias.dtype == stored
        assert (layer.weights().toarray() == np.eye(2)).all()


def duplicate_coo() -> sp.coo_array:
    return sp.coo_array(([1.0, 2.0, 3.0], ([0, 1, 1], [0, 1, 1])), shape=(2, 2))


def duplicate_csr() -> sp.csr_array:
    return sp.csr_array(([1.0, 2.0], [1, 1], [0, 0, 2]), shape=(2, 2))


def outside_csr() -> sp.csr_array:
    csr = sp.csr_array(np.eye(2))
    csr.indices[1] = 7
    return csr


def outside_coo() -> sp.coo_array:
    coo = sp.coo_array(np.eye(2))
    coo.col[1] = 7
    return coo


def outside_column() -> Any:
    """An index outside its shape in the second dimension only, the compressed one of CSC."""
    coo = sp.coo_array((np.ones(2, np.float32), ([0, 1], [0, 1])), shape=(4, 2))
    coo.coords[1][0] = 10**6
    return coo


BAD_WEIGHTS: list[tuple[str, Callable[[], Any], str]] = [
    ("nan", lambda: np.array([[1, np.nan]]), "row 0, column 1 is nan; every value must be finite"),
    ("inf", lambda: sp.csr_array([[0, 1], [-np.inf, 1]]), "row 1, column 0 is -inf"),
    ("complex", lambda: np.ones((2, 2), complex), "complex128 values are not real numbers"),
    ("text", lambda: np.array([["a"]]), "values are not real numbers"),
    ("object", lambda: np.array([[None]]), "object values are not real numbers"),
    ("list", lambda: [[1.0]], "list; give a NumPy array or a SciPy sparse matrix"),
    ("vector", lambda: np.ones(3), "1 dimension; it must have 2"),
    ("sparse vector", lambda: sp.coo_array(np.ones(3)), "1 dimension; it must have 2"),
    ("no rows", lambda: np.ones((0, 3)), "at least one row is needed"),
    ("no columns", lambda: np.ones((3, 0)), "at least one column is needed"),
    ("twice in COO", duplicate_coo, "row 1, column 1 is stored twice"),
    ("twice in CSR", duplicate_csr, "row 1, column 1 is stored twice"),
    ("outside in CSR", outside_csr, "not a valid sparse matrix"),
    ("column outside", outside_column, "not a valid sparse matrix: an index is outside its shape"),
    ("outside in COO", outside_coo, "not a valid sparse matrix: an index is outside its shape"),
]


@pytest.mark.parametrize(
    ("make", "message"), [each[1:] for each in BAD_WEIGHTS], ids=[each[0] for each in BAD_WEIGHTS]
)
def test_bad_weights_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        Layer.from_sparse(make(), 0, name="layer 7")
    assert str(caught.value).startswith("layer 7: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        ([1.0, 2.0, 3.0], "the bias has shape (3,); give one number or a vector of 2"),
        ([[1.0, 2.0]], "the bias has shape (1, 2)"),
        ([0.0, np.nan], "bias nan of output 1: every bias must be finite"),
        (np.inf, "bias inf of output 0"),
        (1j, "complex128 values are not real numbers"),
        ("x", "values are not real numbers"),
        (1e300, "bias: 1e+300 is too large for float32"),
    ],
)
def test_bad_biases_are_refused(bias: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Layer.from_sparse(np.eye(2, dtype=np.float32), bias)


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        ([[0, 3]], 1.0, "output 0 has input 3, outside 0..2"),
        ([[-1, 0]], 1.0, "output 0 has input -1, outside 0..2"),
        ([[1, 1]], 1.0, "row 1, column 0 is stored twice"),
        ([0, 1], 1.0, "index of shape (2,)"),
        ([[0.0, 1.0]], 1.0, "float64; it must be integers"),
        ([[0, 1]], [1.0, 2.0], "value of shape (2,); give one number or shape (1, 2)"),
        ([[0, 1]], np.nan, "is nan"),
        ([[0, 1]], "x", "values are not real numbers"),
    ],
)
def test_bad_fan_ins_are_refused(index: Any, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Layer.from_fan_in(index, value, 0.0, 3)


def test_inconsistent_arrays_are_refused() -> None:
    good = square(3)
    with pytest.raises(InputError, match="do not agree in type or length"):
        Layer(3, 3, good.start, good.index[:-1], good.value, good.bias)
    with pytest.raises(InputError, match="do not agree in type or length"):
        Layer(3, 3, good.start, good.index, good.value, good.bias.astype(np.float64))
    with pytest.raises(InputError, match="at least 1 x 1 is needed"):
        Layer(0, 3, good.start, good.index, good.value, good.bias)


def test_astype_returns_the_same_object_or_rounded_numbers() -> None:
    layer = Layer.from_sparse(np.array([[0.1, 0.0], [1e-60, 2.0]]), -0.3)
    assert layer.astype(np.float64) is layer
    narrow = layer.astype(np.float32)
    assert narrow.dtype == narrow.bias.dtype == np.float32
    # 1e-60 underflows to 0 in float32, and edges of weight 0 are dropped.
    assert narrow.edges == 2
    assert (narrow.weights().toarray() == np.array([[0.1, 0], [0, 2]], np.float32)).all()
    assert narrow.astype(np.float64).value.tolist() == [float(np.float32(0.1)), 2.0]


@pytest.mark.parametrize("dtype", [np.float16, np.int32, "text", None, complex])
def test_other_dtypes_are_refused(dtype: Any) -> None:
    with pytest.raises(InputError, match="use float32 or float64"):
        square(2).astype(dtype)


def test_lazy_layers_behave_like_a_sequence() -> None:
    layers = radixnet(32, 5).layers
    assert len(layers) == 5
    assert len(list(layers)) == 5
    assert (layers[-1].index == layers[4].index).all()
    assert [each.edges for each in layers[1:3]] == [1024, 1024]
    with pytest.raises(IndexError, match="layer 5 of 5"):
        layers[5]


def test_a_layer_needs_memory_for_its_weights_not_for_its_inputs() -> None:
    last = MAX_NEURONS - 1
    weights = sp.coo_array(([1.0], ([last], [0])), shape=(MAX_NEURONS, 1))
    layer = Layer.from_sparse(weights, 0.0)
    assert layer.index.tolist() == [last]
    assert layer.start.tolist() == [0, 1]
