"""Arrays of other libraries become NumPy arrays and SciPy matrices without a copy, or are refused
with a one-line error."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from kkspdnn.errors import InputError
from kkspdnn.model.foreign_arrays import gpu_number, to_host_array, torch_of
from kkspdnn.model.inputs import Inputs

VALUES = np.array([[1, 0, 2, 0], [0, 3, 0, 0], [0, 0, 0, 1]], np.float32)


class Exporter:
    """An array of some other library that has DLPack only."""

    device = "gadget:7"

    def __init__(self, array: Any, device: tuple[int, int] = (1, 0)) -> None:
        self._array, self._device = array, device

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


class Unusable(Exporter):
    def __dlpack__(self, **_: Any) -> Any:
        raise RuntimeError("the values are gone\nfor several reasons")


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    loaded: ModuleType = pytest.importorskip("torch", reason="no PyTorch here")
    return loaded


def shares_memory(one: Any, other: Any) -> bool:
    return bool(one.__array_interface__["data"][0] == other.__array_interface__["data"][0])


def test_arrays_with_dlpack_are_not_copied() -> None:
    for values in (VALUES, VALUES[::2, 1:], VALUES.astype(np.int16)):
        array = to_host_array(Exporter(values), "inputs")
        assert type(array) is np.ndarray
        assert (array == values).all()
        assert shares_memory(array, values)
        assert array.strides == values.strides
    rows = Inputs.from_any(Exporter(VALUES))
    assert rows.dense is not None
    assert shares_memory(rows.dense, VALUES)


def test_other_objects_are_returned() -> None:
    for obj in (VALUES, sp.csr_array(VALUES), VALUES.tolist(), None, "abc", np.float32(3)):
        assert to_host_array(obj, "inputs") is obj
        assert torch_of(obj) is None
        assert gpu_number(obj) is None


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            Exporter(VALUES, (2, 0)),
            "inputs: Exporter in the memory of gadget:7; copy it to the CPU",
        ),
        (Exporter(VALUES, (13, 0)), "inputs: Exporter in the memory of gadget:7; copy it to the"),
        (Exporter(VALUES, (10, 1)), "inputs: Exporter in the memory of gadget:7; copy it to the"),
        (Unusable(VALUES), "inputs: this Unusable cannot be converted: the values are gone; give"),
        (Exporter(3), "inputs: this Exporter cannot be converted: 'int' object has no attribute"),
        (Exporter(VALUES, ()), "inputs: this Exporter cannot be converted: tuple index out of"),
        (Exporter(VALUES.astype(complex)), "inputs: complex128 values are not real numbers"),
        (Exporter(VALUES[0]), "inputs: 1 dimension; it must have 2"),
    ],
)
def test_arrays_that_are_refused(array: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Inputs.from_any(array)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_the_gpu_of_an_array() -> None:
    assert gpu_number(Exporter(VALUES, (2, 3))) == 3
    assert gpu_number(Exporter(VALUES, (13, 0))) == 0
    assert gpu_number(Exporter(VALUES, (10, 0))) is None
    assert gpu_number(Exporter(VALUES)) is None


def test_dense_tensors_are_not_copied(torch: Any) -> None:
    tensor = torch.from_numpy(VALUES)
    views = [tensor, tensor[::2, 1:], tensor.T, tensor.clone().requires_grad_(), tensor.half()]
    views += [torch.nn.Parameter(tensor), tensor.double(), tensor.to(torch.uint8), tensor > 0]
    for each in views:
        array = to_host_array(each, "inputs")
        assert type(array) is np.ndarray
        assert array.dtype == str(each.dtype).removeprefix("torch.")
        assert array.tolist() == each.tolist()
        assert array.ctypes.data == each.data_ptr()


def test_tensors_that_numpy_cannot_share_are_copied(torch: Any) -> None:
    tensor = torch.from_numpy(VALUES)
    array = to_host_array(tensor.bfloat16() / 3, "inputs")
    assert array.dtype == np.float32
    assert (array == (tensor.bfloat16() / 3).float().numpy()).all()
    negated = torch.imag(torch.complex(tensor, tensor).conj())
    assert negated.is_neg()
    assert (to_host_array(negated, "inputs") == -VALUES).all()


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state")
def test_sparse_tensors(torch: Any) -> None:
    tensor = torch.from_numpy(VALUES)
    twice = torch.sparse_coo_tensor(
        [[0, 0, 2], [1, 1, 3]], [1.0, 2.0, 4.0], (3, 4), check_invariants=True
    )
    rows = [tensor.to_sparse(), tensor.to_sparse_csr(), tensor.bfloat16().to_sparse_csr()]
    rows += [tensor.double().to_sparse(), tensor.to_sparse().requires_grad_(), twice]
    for each in rows:
        made = Inputs.from_any(each)
        assert made.csr is not None
        assert made.dtype == (np.float64 if each.dtype == torch.float64 else np.float32)
        assert made.csr.toarray().tolist() == each.to_dense().tolist()
    csr = tensor.to_sparse_csr()
    assert to_host_array(csr, "inputs").data.ctypes.data == csr.values().data_ptr()


@pytest.mark.filterwarnings("ignore:Sparse CS[CR] tensor support is in beta state")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_tensors_that_are_refused(torch: Any) -> None:
    tensor = torch.from_numpy(VALUES)
    for each, message in (
        (tensor.to_sparse_csc(), "this Tensor cannot be converted: its layout is torch.sparse_csc"),
        (tensor.to(torch.float8_e4m3fn), "this Tensor cannot be converted: "),
        (torch.rand(2, 3, 4).to_sparse(1), "this Tensor cannot be converted: "),
        (torch.rand(2, 3, 4).to_sparse_csr(), "this Tensor cannot be converted: "),
        (torch.nested.nested_tensor([tensor, tensor]), "this Tensor cannot be converted: "),
        (tensor.to("meta"), "Tensor in the memory of meta; copy it to the CPU first"),
        (tensor[0], "1 dimension; it must have 2"),
        (tensor[0].to_sparse(), "1 dimension; it must have 2"),
        (tensor.to(torch.complex64).conj(), "complex64 values are not real numbers"),
        (tensor / 0, "row 0, column 0 is inf; every value must be finite"),
    ):
        with pytest.raises(InputError) as caught:
            Inputs.from_any(each)
        assert str(caught.value).startswith(f"inputs: {message}")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 200


def test_pytorch_is_not_imported() -> None:
    code = "import sys, numpy as np, kkspdnn as kk; kk.Inputs.from_any(np.ones((2, 3))); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
