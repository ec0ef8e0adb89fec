"""Input rows: equal values from bits, CSR and dense rows, and refused inputs."""

from __future__ import annotations

import re
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given

import kkspdnn.model.inputs
from kkspdnn.errors import InputError
from kkspdnn.model.inputs import Inputs


def random_bits(seed: int, rows: int, neurons: int) -> tuple[np.ndarray, Inputs]:
    pixels = (np.random.default_rng(seed).random((rows, neurons)) < 0.3).astype(np.uint8)
    bits = np.packbits(pixels, axis=1)
    return pixels, Inputs(rows=rows, neurons=neurons, source="test", bits=bits)


shapes = st.tuples(st.integers(0, 2**32), st.integers(0, 9), st.integers(1, 40))


@given(shapes, st.sampled_from([np.float32, np.float64]), st.integers(1, 200))
def test_bits_unpack_in_blocks_of_any_size(
    shape: tuple[int, int, int], dtype: Any, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kkspdnn.model.inputs, "_BLOCK_BYTES", block)
        pixels, inputs = random_bits(*shape)
        assert inputs.nonzeros == pixels.sum()
        csr = inputs.to_csr(dtype)
    assert csr.dtype == dtype
    assert csr.has_canonical_format
    assert (csr.toarray() == pixels).all()
    dense = inputs.to_dense(dtype)
    assert dense.dtype == dtype
    assert (dense == pixels).all()


@given(shapes, st.data())
def test_slices_are_the_rows(shape: tuple[int, int, int], data: st.DataObject) -> None:
    pixels, packed = random_bits(*shape)
    begin = data.draw(st.integers(0, packed.rows))
    end = data.draw(st.integers(begin, packed.rows))
    for inputs in (packed, Inputs.from_any(pixels), Inputs.from_any(sp.csr_array(pixels))):
        rows = inputs.slice(begin, end)
        assert rows.rows == end - begin
        assert (rows.to_dense(np.float32) == pixels[begin:end]).all()
        assert rows.nonzeros == pixels[begin:end].sum()


def test_a_slice_of_bits_is_no_copy() -> None:
    _, inputs = random_bits(1, 9, 16)
    bits = inputs.slice(2, 5).bits
    assert bits is not None
    assert inputs.bits is not None
    assert np.shares_memory(bits, inputs.bits)


def test_a_slice_of_csr_is_no_copy() -> None:
    pixels, _ = random_bits(1, 9, 16)
    inputs = Inputs.from_any(sp.csr_array(pixels.astype(np.float32)))
    rows = inputs.slice(2, 5).csr
    assert rows is not None
    assert inputs.csr is not None
    assert np.shares_memory(rows.data, inputs.csr.data)
    assert np.shares_memory(rows.indices, inputs.csr.indices)


def test_all_rows_are_not_copied() -> None:
    pixels, inputs = random_bits(1, 9, 16)
    sparse = Inputs.from_any(sp.csr_array(pixels.astype(np.float32)))
    for each in (inputs, sparse, Inputs.from_any(pixels)):
        assert each.slice(0, 9) is each
        assert [chunk for _, chunk in each.chunks(9)] == [each]
        assert each.slice(0, 8) is not each
    assert sparse.to_csr(np.float32) is sparse.csr
    assert sparse.to_csr(np.float64) is not sparse.csr
    floats = pixels.astype(np.float32)
    dense = Inputs.from_any(floats)
    assert dense.to_dense(np.float32) is floats
    assert dense.to_dense(np.float64) is not floats
    assert dense.slice(2, 4).to_dense(np.float32).base is floats


@given(shapes, st.data())
def test_select_rows(shape: tuple[int, int, int], data: st.DataObject) -> None:
    pixels, packed = random_bits(*shape)
    numbers = st.integers(0, max(0, packed.rows - 1))
    max_size = 12 if packed.rows else 0
    rows = np.array(data.draw(st.lists(numbers, max_size=max_size)), np.int64)
    for inputs in (packed, Inputs.from_any(pixels), Inputs.from_any(sp.csr_array(pixels))):
        selected = inputs.select_rows(rows)
        assert selected.rows == rows.size
        assert (selected.to_dense(np.float32) == pixels[rows]).all()


@given(st.sampled_from([np.float32, np.float64]), st.booleans())
def test_dtype_largest_value_and_nonzeros(dtype: Any, sparse: bool) -> None:
    values = np.array([[0.5, 0, -3], [2, 0, 0]], dtype)
    inputs = Inputs.from_any(sp.csr_array(values) if sparse else values)
    assert (inputs.dense is None) == sparse
    assert (inputs.dtype, inputs.largest, inputs.nonzeros) == (dtype, 3.0, 3)
    assert random_bits(1, 9, 16)[1].dtype == np.float32
    assert random_bits(1, 9, 16)[1].largest == 1.0


def test_rows_in_any_memory_order_and_type() -> None:
    values = np.arange(12.0).reshape(3, 4)
    every_other = np.repeat(values, 2, axis=1)[:, ::2]
    for each in (values, np.asfortranarray(values), every_other, values.astype(">f8")):
        assert (Inputs.from_any(each).to_dense(np.float64) == values).all()
    for dtype in (np.float16, np.int8, np.uint8, np.int16):
        inputs = Inputs.from_any(values.astype(dtype))
        assert inputs.dtype == np.float32
        assert (inputs.to_dense(np.float32) == values).all()
    assert Inputs.from_any(values.astype(np.int64)).dtype == np.float64


@pytest.mark.parametrize(("begin", "end"), [(-1, 2), (2, 1), (0, 10)])
def test_slices_outside_are_refused(begin: int, end: int) -> None:
    with pytest.raises(InputError, match=f"rows {begin}:{end} of 9 input rows"):
        random_bits(1, 9, 16)[1].slice(begin, end)


@given(shapes, st.sampled_from(["csr", "csc", "coo", "lil", "dense"]))
def test_from_any_keeps_real_numbers(shape: tuple[int, int, int], form: str) -> None:
    seed, rows, neurons = shape
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal((rows, neurons)) * (rng.random((rows, neurons)) < 0.5)
    matrix: Any = sp.coo_array(dense)
    given_rows = dense if form == "dense" else matrix.asformat(form)
    inputs = Inputs.from_any(given_rows, source="here")
    assert (inputs.rows, inputs.neurons, inputs.source) == (rows, neurons, "here")
    assert (inputs.to_dense(np.float64) == dense).all()
    assert (inputs.to_csr(np.float32).toarray() == dense.astype(np.float32)).all()
    assert inputs.nonzeros == np.count_nonzero(dense)
    assert Inputs.from_any(inputs) is inputs


def test_stored_zeros_and_underflow_are_dropped() -> None:
    csr = sp.csr_array(([0.0, 1e-60, -2.0], [0, 1, 2], [0, 3]), shape=(1, 3))
    inputs = Inputs.from_any(csr)
    assert inputs.nonzeros == 2
    assert inputs.to_csr(np.float64).data.tolist() == [1e-60, -2.0]
    assert inputs.to_csr(np.float32).data.tolist() == [-2.0]
    # Dropping the zeros of the float32 copy must not change the rows themselves.
    assert inputs.to_csr(np.float64).indices.tolist() == [1, 2]
    assert csr.nnz == 3


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        (np.array([[0.0], [np.nan]]), "inputs: row 1, column 0 is nan; every value must be finite"),
        (sp.csr_array([[0, np.inf]]), "inputs: row 0, column 1 is inf"),
        ([[1, 2]], "inputs: list; give a NumPy array or a SciPy sparse matrix"),
        (np.ones(3), "inputs: 1 dimension"),
        (np.ones((2, 2), complex), "inputs: complex128 values are not real numbers"),
        (np.ones((2, 0)), "at least one column is needed"),
        (sp.coo_array(([1, 1], ([0, 0], [1, 1])), shape=(1, 2)), "row 0, column 1 is stored twice"),
    ],
)
def test_bad_inputs_are_refused(obj: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        Inputs.from_any(obj)


@pytest.mark.parametrize("form", [np.array, sp.csr_array])
def test_overflow_names_the_row(form: Any) -> None:
    inputs = Inputs.from_any(form([[1.0, 2.0], [0.0, 1e300]]))
    for convert in (inputs.to_csr, inputs.to_dense):
        with pytest.raises(InputError, match=r"row 1: 1e\+300 is too large for float32"):
            convert(np.float32)
    with pytest.raises(InputError, match="use float32 or float64"):
        inputs.to_csr(np.int32)


def test_zero_rows_are_legal() -> None:
    assert Inputs.from_any(np.ones((0, 3))).to_csr(np.float32).shape == (0, 3)
    assert random_bits(0, 0, 12)[1].to_dense(np.float64).shape == (0, 12)


def test_the_constructor_refuses_inconsistent_arguments() -> None:
    bits = np.zeros((2, 2), np.uint8)
    csr = sp.csr_array(np.eye(2))
    with pytest.raises(InputError, match="exactly one of bits, csr and dense"):
        Inputs(2, 9, "test")
    with pytest.raises(InputError, match="exactly one of bits, csr and dense"):
        Inputs(2, 9, "test", bits=bits, csr=csr)
    with pytest.raises(InputError, match=r"dense of shape \(2, 2\), not \(3, 2\)"):
        Inputs(3, 2, "test", dense=np.eye(2))
    with pytest.raises(InputError, match=r"2 x 17 needs uint8\[2, 3\]"):
        Inputs(2, 17, "test", bits=bits)
    with pytest.raises(InputError, match=r"csr of shape \(2, 2\), not \(3, 2\)"):
        Inputs(3, 2, "test", csr=csr)
    with pytest.raises(InputError, match="at least 0 rows and 1 neuron"):
        Inputs(-1, 2, "test", csr=csr)
    with pytest.raises(InputError, match="use float32 or float64"):
        Inputs(2, 2, "test", csr=sp.csr_array(np.eye(2, dtype=np.int64)))
    bits[1, 1] = 0b0100_0000
    with pytest.raises(InputError, match="row 1 has a bit beyond neuron 8"):
        Inputs(2, 9, "test", bits=bits)
