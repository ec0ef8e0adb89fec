"""Views and tensors as arguments of launches."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import kernels
import numpy as np
import pykokkos as pk
import pytest
from fake_cupy import fake_cupy

from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.prepared_launch import PreparedLaunch
from kkspdnn.pk.runtime.fast_packers import fast_packer, remember_last
from kkspdnn.pk.runtime.packers import gpu_array_packer, packer
from kkspdnn.pk.signature import Parameter
from kkspdnn.pk.types import DOUBLE, FLOAT, View, infer_type

SERIAL = pk.RangePolicy(pk.Serial, 0, 4)
GENERATED: Any = SimpleNamespace(name="w", written=frozenset({"x"}))


def host_packer(type_: View) -> Any:
    generated: Generated = GENERATED
    return packer(generated, Parameter("x", type_), None)


def test_views_are_passed_without_a_copy() -> None:
    x, y = pk.array(np.arange(4.0)), pk.View([4])
    y.fill(2)
    for _ in range(3):  # the first launch, and the faster ones
        assert pk.parallel_reduce("dot", SERIAL, kernels.dot, x=x, y=y) == 12.0
    assert pk.parallel_reduce("dot", SERIAL, kernels.dot, x=x.data, y=y) == 12.0
    written = pk.View([4], pk.int64)
    out = pk.View([4], pk.int64)
    ones = pk.array([1, 2, 3, 4])
    total = pk.parallel_scan("w", SERIAL, kernels.running_sum, x=ones, before=written, after=out)
    assert total == 10
    assert written.data.tolist() == [0, 1, 3, 6]
    assert out.data.tolist() == [1, 3, 6, 10]


def test_a_view_that_was_resized() -> None:
    x, y = pk.array(np.arange(4.0)), pk.array(np.ones(4))
    assert pk.parallel_reduce("dot", SERIAL, kernels.dot, x=x, y=y) == 6.0
    x.resize(0, 6)
    y.resize(0, 6)
    x[5] = 100
    y[5] = 1
    policy = pk.RangePolicy(pk.Serial, 0, 6)
    assert pk.parallel_reduce("dot", policy, kernels.dot, x=x, y=y) == 106.0


def test_a_view_for_a_parameter_without_annotation() -> None:
    x, y = pk.array([1.0, 2.0, 3.0, 4.0]), pk.View([4])
    for dtype in (pk.double, pk.float):
        x.set_precision(dtype)
        y.set_precision(dtype)
        assert infer_type(x) == View(DOUBLE if dtype is pk.double else FLOAT, 1)
        pk.parallel_for("w", SERIAL, kernels.generic, x=x, y=y, scale=2.0)
        pk.parallel_for("w", SERIAL, kernels.generic, x=x, y=y, scale=2.0)
        expected = np.zeros(4, x.data.dtype)
        pk.parallel_for("w", SERIAL, kernels.generic, x=x.data, y=expected, scale=2.0)
        pk.parallel_for("w", SERIAL, kernels.generic, x=x.data, y=expected, scale=2.0)
        assert y.data.any()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            pk.View([4], pk.float),
            "must be 1-dimensional float64, not 1-dimensional float32: "
            r"pass x.data.astype\(numpy.float64\)$",
        ),
        (pk.View([4, 4]), "must be 1-dimensional float64, not 2-dimensional float64$"),
        (pk.View([4, 4])[:, 0], "is not C-contiguous: pass numpy.ascontiguousarray of it"),
        (
            np.zeros(4, bool),
            "must be 1-dimensional float64, not 1-dimensional bool: "
            r"pass x.astype\(numpy.float64\)$",
        ),
    ],
)
def test_views_that_do_not_match_are_refused(value: Any, words: str) -> None:
    for _ in range(2):
        assert pk.parallel_reduce("w", SERIAL, kernels.dot, x=pk.View([4]), y=pk.View([4])) == 0
        with pytest.raises(TypeError, match=f"dot: argument `x` {words}"):
            pk.parallel_reduce("w", SERIAL, kernels.dot, x=value, y=pk.View([4]))


def test_the_fast_packer_of_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy)
    type_ = View(DOUBLE, 1)
    checked = host_packer(type_)
    fast = fast_packer(type_, pk.View, checked, True, None)
    assert fast is not None
    assert fast is not checked
    view = pk.View([4])
    assert fast(view) == checked(view) == checked(view.data) == (view.data.ctypes.data, 4)
    empty = pk.View([0])
    assert fast(empty)[1:] == checked(empty)[1:] == (0,)
    for other in (pk.View([4], int), pk.View([2, 2]), pk.array(fake_cupy.asarray(np.zeros(4)))):
        with pytest.raises(TypeError):
            fast(other)
    with pytest.raises(TypeError, match="`x` is in GPU memory, but the workunit runs on the host"):
        checked(pk.array(fake_cupy.asarray(np.zeros(4))))


def test_the_fast_packer_of_views_in_gpu_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy)
    type_ = View(DOUBLE, 1)
    checked = gpu_array_packer("w: argument `x`", type_, True, 0)
    fast = fast_packer(type_, pk.View, checked, True, 0)
    assert fast is not None
    view = pk.array(fake_cupy.zeros(4, np.float64))
    assert fast(view) == checked(view) == (view.data.array.ctypes.data, 4)
    with pytest.raises(TypeError):
        fast(pk.View([4]))
    with pytest.raises(TypeError, match="must be an array on the GPU, not ndarray: pass cupy.asa"):
        checked(pk.View([4]))


def test_a_remembered_view_may_get_another_array() -> None:
    packed: list[Any] = []
    remembering = remember_last(lambda view: packed.append(view.shape) or view.shape, pk.View)
    view = pk.View([2])
    assert [remembering(view), remembering(view)] == [(2,), (2,)]
    view.resize(0, 3)
    assert remembering(view) == (3,)
    assert packed == [(2,), (3,)]


def test_prepared_launches_take_views(space: ExecutionSpace) -> None:
    if space is ExecutionSpace.Cuda:
        pytest.skip("prepared launches of NumPy arrays")
    x, y = pk.View([4], pk.float), pk.View([4], pk.float)
    x.fill(3)
    launch = PreparedLaunch("w", kernels.generic, {"x": x}, ("y", "scale"))
    policy = pk.RangePolicy(space, 0, 4)
    expected = np.zeros(4, np.float32)
    for scale in (2.0, 3.0, 4.0):
        launch(pk, policy, y, scale)
        pk.parallel_for("w", policy, kernels.generic, x=x.data, y=expected, scale=scale)
        assert y.data.tolist() == expected.tolist()
    y.resize(0, 5)
    launch(pk, policy, y, 2.0)
    pk.parallel_for("w", policy, kernels.generic, x=x.data, y=expected, scale=2.0)
    assert y.data.tolist() == [*expected.tolist(), 0]
    x.resize(0, 2)  # the launch keeps the array that the view had
    launch(pk, policy, y, 2.0)


class FakeTensor:
    is_cuda = False

    def __init__(self, array: Any, *, requires_grad: bool = False) -> None:
        self.array, self.requires_grad = array, requires_grad

    def numpy(self) -> Any:
        return self.array


def test_tensors_are_passed_without_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(Tensor=FakeTensor))  # type: ignore[arg-type]
    x, y = FakeTensor(np.arange(4.0)), FakeTensor(np.ones(4))
    for _ in range(3):
        assert pk.parallel_reduce("dot", SERIAL, kernels.dot, x=x, y=y) == 6.0
    assert infer_type(x) == View(DOUBLE, 1)
    words = "dot: argument `x`: a tensor that requires gradients is no argument: pass tensor.det"
    grad = FakeTensor(np.ones(4), requires_grad=True)
    with pytest.raises(TypeError, match=words):
        pk.parallel_reduce("dot", SERIAL, kernels.dot, x=grad, y=y)


def test_tensors_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="no PyTorch here")
    x, y = torch.arange(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    for _ in range(3):
        assert pk.parallel_reduce("dot", SERIAL, kernels.dot, x=x, y=y) == 6.0
