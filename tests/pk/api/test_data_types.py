"""The data types outside of workunits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.errors import InputError
from kkspdnn.pk.api.data_types import element_type

TYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


@pytest.mark.parametrize(
    ("name", "expected"),
    [*((name, name) for name in TYPES), ("float", "float32"), ("double", "float64")],
)
def test_numpy_knows_the_types(name: str, expected: str) -> None:
    type_ = getattr(pk, name)
    assert np.dtype(type_) == np.dtype(expected)
    assert type_.np_equiv is np.dtype(expected).type
    assert np.zeros(2, type_).dtype == expected
    assert element_type(np.dtype(expected)) is type_
    assert getattr(pk.DataType, name) is type_
    assert issubclass(type_, pk.DataTypeClass)


def test_other_names() -> None:
    assert pk.float32 is pk.float
    assert pk.float64 is pk.real is pk.double
    assert np.dtype(pk.bool) == np.bool_


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(int, "int32"), (float, "double"), (bool, "uint8"), (np.bool_, "uint8"), ("f4", "float")],
)
def test_types_of_python_and_numpy(dtype: Any, expected: str) -> None:
    assert element_type(dtype) is getattr(pk, expected)
    assert element_type(pk.bool) is pk.uint8


@pytest.mark.parametrize(
    ("dtype", "words"),
    [
        (complex, "complex128; keep the real and the imaginary parts in two views"),
        (np.float16, "float16; choose one of pk.int8 to pk.uint64, pk.float and pk.double"),
        (">f8", r">f8; convert the array with x.astype\(x.dtype.newbyteorder"),
        ("no dtype", "'no dtype'; choose one of"),
        (object, "object; choose one of"),
    ],
)
def test_types_that_a_view_cannot_have(dtype: Any, words: str) -> None:
    with pytest.raises(InputError, match=f"pk.View: a view has no elements of {words}"):
        element_type(dtype)


@pytest.mark.parametrize(
    "name",
    [
        *(*TYPES, "float", "double", "bool", "Acc", "View1D", "ScratchView2D", "TeamMember"),
        *("ScratchView1D", "TeamThreadMDRange", "single", "atomic_fetch_add", "atomic_increment"),
        *("atomic_compare_exchange", "atomic_fetch_lshift", "cpp_auto"),
    ],
)
def test_names_of_workunits_cannot_be_called(name: str) -> None:
    with pytest.raises(TypeError, match=f"^pk.{name} has a meaning only inside a workunit$"):
        getattr(pk, name)(1)


def test_annotations_of_python_code() -> None:
    a: pk.View2D[pk.double] = pk.View([2, 2])
    b: pk.View1D = a[0]
    c: pk.ScratchView1D[float] = b
    assert c.shape == (2,)
