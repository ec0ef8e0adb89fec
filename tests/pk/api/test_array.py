"""`pk.array` and `pk.asarray`: what they share and what they copy."""

from __future__ import annotations

import sys
from array import array as python_array
from types import SimpleNamespace
from typing import Any

import numpy as np
import pykokkos as pk
import pytest

from kkspdnn.errors import InputError


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([1, 2], pk.int64, [1, 2]),
        ([1.5, 2], pk.double, [1.5, 2]),
        (((1, 2), (3, 4)), pk.int64, [[1, 2], [3, 4]]),
        ([np.zeros(2, np.float32), np.ones(2, np.float32)], pk.float, [[0, 0], [1, 1]]),
        (range(3), pk.int64, [0, 1, 2]),
        ([True, False], pk.uint8, [1, 0]),
    ],
)
def test_lists_are_copied(value: Any, dtype: Any, expected: Any) -> None:
    view = pk.array(value)
    assert (view.dtype, view.data.tolist()) == (dtype, expected)


def test_memory_is_shared() -> None:
    numbers = np.arange(6.0)
    flags = np.array([True, False])
    buffer = python_array("i", [1, 2])
    other = SimpleNamespace(
        __dlpack__=numbers.__dlpack__, __dlpack_device__=numbers.__dlpack_device__
    )
    for value, memory in [
        (numbers, numbers),
        (numbers[::2], numbers),
        (numbers.reshape(2, 3).T, numbers),
        (numbers.view(np.recarray), numbers),
        (flags, flags),
        (buffer, np.asarray(buffer)),
        (other, numbers),
    ]:
        assert np.shares_memory(pk.array(value).data, memory)
    assert type(pk.array(numbers.view(np.recarray)).data) is np.ndarray
    assert pk.array(flags).dtype is pk.uint8


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (3, InputError, "pk.array: 0 dimensions; a view has 1 to 3: put the number into a list"),
        (np.zeros(()), InputError, "pk.array: 0 dimensions"),
        (np.zeros((1,) * 4), InputError, "pk.array: 4 dimensions"),
        (None, TypeError, "pk.array takes numbers or an array, not None"),
        ({1: 2}, TypeError, "pk.array takes numbers or an array, not {1: 2}"),
        ([[1], [2, 3]], InputError, "pk.array: setting an array element with a sequence"),
        (["a"], InputError, "pk.View: a view has no elements of <U1; choose"),
        (np.zeros(2, complex), InputError, "a view has no elements of complex128; keep the real"),
        (np.ma.zeros(2), TypeError, "pk.array: a masked array; pass its values"),
    ],
)
def test_values_that_are_refused(value: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        pk.array(value)
    assert "\n" not in str(caught.value)


def test_asarray_converts_and_copies() -> None:
    x = np.arange(3.0)
    assert pk.asarray(x, dtype=pk.double).data is not x.astype(float)
    assert np.shares_memory(pk.asarray(x, dtype=float).data, x)
    assert pk.asarray(x, dtype=pk.int32).data.tolist() == [0, 1, 2]
    assert pk.asarray([1, 2], dtype=pk.float).dtype is pk.float
    assert not np.shares_memory(pk.asarray(x, copy=True).data, x)
    assert np.shares_memory(pk.asarray(x, copy=False, device=pk.HostSpace).data, x)
    for value, options in ((x, {"dtype": pk.float}), ([1], {})):
        with pytest.raises(InputError, match="copy=False, but this needs a copy"):
            pk.asarray(value, copy=False, **options)


class FakeTensor:
    """The attributes of a PyTorch tensor that kkspdnn uses."""

    def __init__(self, array: Any, *, requires_grad: bool = False, is_cuda: bool = False) -> None:
        self.array, self.requires_grad, self.is_cuda = array, requires_grad, is_cuda

    def numpy(self) -> Any:
        if self.array is None:
            raise TypeError("can't convert Sparse layout tensor to numpy.\nmore")
        return self.array


@pytest.fixture
def tensors(monkeypatch: pytest.MonkeyPatch) -> type[FakeTensor]:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(Tensor=FakeTensor))  # type: ignore[arg-type]
    return FakeTensor


def test_tensors_share_their_memory(tensors: type[FakeTensor]) -> None:
    x = np.zeros(3)
    assert np.shares_memory(pk.array(tensors(x)).data, x)
    view = pk.View([3])
    view[:] = tensors(np.ones(3))
    assert view.data.tolist() == [1, 1, 1]
    with pytest.raises(TypeError, match=r"requires gradients is no argument: pass tensor.detach"):
        pk.array(tensors(x, requires_grad=True))
    with pytest.raises(TypeError, match=r"no argument: can't convert Sparse layout .* numpy.$"):
        pk.array(tensors(None))


def test_tensors_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="no PyTorch here")
    tensor = torch.zeros(3, dtype=torch.float32)
    view = pk.array(tensor)
    view[1] = 2
    assert (view.dtype, tensor.tolist()) == (pk.float, [0, 2, 0])
    assert torch.from_dlpack(view).data_ptr() == tensor.data_ptr()
    with pytest.raises(TypeError, match=r"pass tensor.detach\(\)"):
        pk.array(tensor.requires_grad_())
    with pytest.raises(TypeError, match="a tensor without a NumPy array is no argument"):
        pk.array(torch.zeros(3, dtype=torch.bfloat16))
