"""Rows in the memory of a GPU stay there, on the fake GPU of `tests.fake_cupy`."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import kkspdnn as kk
from kkspdnn.device.space import Space
from kkspdnn.engines.device_inputs import DeviceInputs
from kkspdnn.engines.fused.row_loader import RowLoader
from tests.cupy_on_host import OnDevice, fake_gpu
from tests.test_predictor import random_network, random_rows


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Space:
    """A space with the arrays of a GPU, for Predictors too."""
    made = fake_gpu()
    monkeypatch.setattr("kkspdnn.predictor.open_space", lambda *_: made)
    return made


class Tensor:
    """A dense tensor of PyTorch on the GPU `number`."""

    def __init__(self, array: Any, dtype: str = "", number: int = 0) -> None:
        self.array, self.dtype, self.number = array, dtype or str(array.dtype), number
        self.is_cpu = False

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.number

    def detach(self) -> Tensor:
        return self

    def resolve_neg(self) -> Tensor:
        return self

    def float(self) -> Tensor:
        return Tensor(self.array.astype(np.float32))


@pytest.fixture
def torch(device: Space, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A part of PyTorch with the DLPack of the fake CuPy."""

    def from_dlpack(tensor: Tensor) -> OnDevice:
        if tensor.dtype not in ("float32", "float64", "int8"):
            raise RuntimeError(f"no {tensor.dtype} in CuPy\nand more")
        return OnDevice(tensor.array)

    monkeypatch.setattr(device.xp, "from_dlpack", from_dlpack, raising=False)
    made = SimpleNamespace(
        Tensor=Tensor, bfloat16="bfloat16", from_dlpack=lambda array: Tensor(array.array)
    )
    monkeypatch.setitem(sys.modules, "torch", made)  # type: ignore[arg-type]
    return made


@pytest.fixture
def no_copies(device: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rows are copied to the GPU, and no matrix of floating-point numbers from it."""

    def to_host(array: Any) -> Any:
        assert array.ndim == 1 or array.dtype.kind != "f"
        return array.array.copy()

    def no_transfer(_loader: RowLoader) -> None:
        pytest.fail("rows were copied to the GPU")

    monkeypatch.setattr(device.xp, "asnumpy", to_host)
    monkeypatch.setattr(RowLoader, "_block_transfer", no_transfer)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exits", ["none", "all"])
@pytest.mark.parametrize("count", [0, 1, 31, 700])
def test_a_device_array_in_a_device_array_out(
    device: Space, dtype: Any, exits: Any, count: int, request: pytest.FixtureRequest
) -> None:
    predict = kk.Predictor(random_network(), space="cuda", dtype=dtype, exits=exits)
    rows = random_rows(count, 70, dtype)
    expected = predict(rows)
    assert type(expected) is np.ndarray
    request.getfixturevalue("no_copies")
    for each in (rows, np.asfortranarray(rows), np.repeat(rows, 2, axis=1)[:, ::2]):
        outputs = predict(OnDevice(each))
        assert type(outputs) is OnDevice
        assert outputs.dtype == dtype
        assert outputs.shape == (count, 9)
        assert (outputs.array == expected).all()


def test_rows_of_other_dtypes(device: Space) -> None:
    predict = kk.Predictor(random_network(), space="cuda")
    rows = random_rows(40, 70).round()
    expected = predict(rows)
    for dtype in ("float64", "float16", "int8", "int64", "uint8"):
        given = rows.astype(dtype)
        right = predict(given) if dtype == "uint8" else expected
        assert (predict(OnDevice(given)).array == right).all()
    assert (predict(OnDevice(rows > 0)).array == predict(rows > 0)).all()


def test_rows_that_exit_early(device: Space) -> None:
    net, images = kk.radixnet(64, 24), kk.images(64, 700)
    predict = kk.Predictor(net, space="cuda", exits="all")
    expected = kk.reference(net, images, dtype=np.float32).toarray()
    assert (expected == 0).all(axis=1).any()
    assert (predict(OnDevice(images.to_dense())).array == expected).all()


def test_chunks_of_rows(device: Space, request: pytest.FixtureRequest) -> None:
    predict = kk.Predictor(random_network(), space="cuda")
    request.getfixturevalue("no_copies")
    rows = OnDevice(random_rows(700, 70))
    expected = predict(rows).array
    predict._layers.max_rows = 256
    assert (predict(rows).array == expected).all()


def test_a_tensor_on_the_gpu(device: Space, torch: Any) -> None:
    predict = kk.Predictor(random_network(), space="cuda")
    rows = random_rows(40, 70).round()
    expected = predict(rows)
    for each in (Tensor(rows), Tensor(rows.astype(np.int8)), Tensor(rows, "bfloat16")):
        outputs = predict(each)
        assert type(outputs) is Tensor
        assert (outputs.array == expected).all()


def test_the_gpu_is_shown(device: Space) -> None:
    shown = repr(kk.Predictor(random_network(), space="cuda"))
    assert shown.endswith("edges; cuda on GPU 0, fake, float32, exits all>")


def test_rows_on_another_gpu_are_refused(device: Space, torch: Any) -> None:
    predict = kk.Predictor(random_network(), space="cuda")
    with pytest.raises(kk.InputError) as caught:
        predict(Tensor(random_rows(4, 70), number=1))
    assert str(caught.value) == (
        "inputs: Tensor in the memory of GPU 1, but the Predictor computes on cuda on GPU 0, fake; "
        "copy it there"
    )


def test_a_tensor_on_a_gpu_is_refused_on_a_cpu(torch: Any) -> None:
    net, rows = random_network(), Tensor(random_rows(4, 70))
    message = "inputs: Tensor in the memory of a device; copy it to the CPU first, as with .cpu()"
    for call in (lambda: kk.Inputs.from_any(rows), lambda: kk.infer(net, rows)):
        with pytest.raises(kk.InputError) as caught:
            call()
        assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((2, 3)), "the input rows have 3 neurons but the network takes 70"),
        (np.full((3, 70), np.nan), "inputs: row 0, column 0 is nan; every value must be finite"),
        (np.full((3, 70), -np.inf, "f4"), "inputs: row 0, column 0 is -inf; every value must"),
        (np.full((3, 70), 1e300), "inputs: row 0: 1e[+]300 is too large for float32; scale it"),
        (np.full((3, 70), 3e38, "f4"), "layer 1: the activations overflow float32"),
        (np.ones((3, 70), complex), "inputs: complex128 values are not real numbers"),
        (np.ones(70), "inputs: 1 dimension; it must have 2"),
        (np.ones((3, 0)), "at least one column is needed"),
    ],
)
def test_invalid_rows_are_refused_and_change_nothing(
    device: Space, rows: Any, message: str
) -> None:
    predict = kk.Predictor(random_network(), space="cuda")
    good = OnDevice(random_rows(100, 70))
    expected = predict(good).array
    for given in (OnDevice(rows), rows):
        with pytest.raises(kk.InputError, match=message):
            predict(given)
        assert (predict(good).array == expected).all()


def test_an_array_that_cupy_refuses(device: Space, torch: Any) -> None:
    predict = kk.Predictor(random_network(), space="cuda")
    message = "inputs: this Tensor cannot be converted: no float8 in CuPy; give a dense array of"
    with pytest.raises(kk.InputError, match=message):
        predict(Tensor(random_rows(4, 70), "float8"))


def test_inputs_on_the_device(device: Space) -> None:
    rows = random_rows(9, 70)
    inputs = DeviceInputs.from_array(device, OnDevice(rows), np.dtype(np.float32))
    assert inputs.dense is not None
    assert inputs.dense.array is rows  # type: ignore[attr-defined]
    assert inputs.largest == np.abs(rows).max()
    part = inputs.slice(2, 5)
    assert (part.rows, part.largest) == (3, inputs.largest)
    almost = np.nextafter(float(np.finfo(np.float32).max), np.inf)
    rounded = DeviceInputs.from_array(device, OnDevice(np.full((1, 2), almost)), np.dtype("f4"))
    assert rounded.dense is not None
    assert (rounded.dense.array == np.finfo(np.float32).max).all()  # type: ignore[attr-defined]
