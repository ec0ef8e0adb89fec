"""Fast packers of CuPy arrays give the same as the packer of any array on a GPU."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kkspdnn.pk.runtime.fast_packers import fast_packer, remember_last
from kkspdnn.pk.runtime.packers import gpu_array_packer
from kkspdnn.pk.types import FLOAT, View

DEVICE = 1


@dataclass
class CupyArray:
    """The attributes of a CuPy array without its memory."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Any = np.dtype(np.float32)  # noqa: RUF009
    address: int = 4096
    on: int = DEVICE

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.address, device_id=self.on)

    @property
    def device(self) -> Any:
        return SimpleNamespace(id=self.on)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        size = int(np.prod(self.shape))
        return {
            "shape": self.shape,
            "strides": self.strides,
            "typestr": np.dtype(self.dtype).str,
            "data": (self.address if size else 0, False),
            "version": 3,
        }


CHECKED = gpu_array_packer("w: argument `x`", View(FLOAT, 2), True, DEVICE)


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(ndarray=CupyArray))  # type: ignore[arg-type]
    fast = fast_packer(View(FLOAT, 2), CupyArray, CHECKED, True, DEVICE)
    assert fast is not None
    assert fast is not CHECKED
    return fast


@pytest.mark.parametrize(
    "array",
    [
        CupyArray((3, 4), (16, 4)),
        CupyArray((1, 4), (16, 4)),
        CupyArray((1, 4), (999, 4)),
        CupyArray((0, 4), (16, 4)),
        CupyArray((3, 0), (4, 4)),
        CupyArray((3, 4), (16, 4), dtype=np.dtype("<f4").newbyteorder("=")),
    ],
)
def test_the_same_fields(array: CupyArray, pack: Any) -> None:
    assert pack(array) == CHECKED(array)


@pytest.mark.parametrize(
    "array",
    [
        CupyArray((3, 4), (4, 12)),
        CupyArray((3, 4), (32, 4)),
        CupyArray((3, 4), (16, 4), address=4098),
        CupyArray((3, 4), (16, 4), on=0),
    ],
)
def test_the_same_errors(array: CupyArray, pack: Any) -> None:
    with pytest.raises(TypeError) as expected:
        CHECKED(array)
    with pytest.raises(TypeError) as caught:
        pack(array)
    assert str(caught.value) == str(expected.value) != ""


@pytest.mark.parametrize(
    "array",
    [
        CupyArray((3, 4), (32, 8), dtype=np.dtype(np.float64)),
        CupyArray((3,), (4,)),
        CupyArray((3, 4, 5), (80, 20, 4)),
    ],
)
def test_another_type_is_left_to_the_launch(array: CupyArray, pack: Any) -> None:
    with pytest.raises(TypeError):
        pack(array)


def test_arrays_that_changed_in_place(pack: Any) -> None:
    array = CupyArray((3, 4), (16, 4))
    assert pack(array) == (4096, 3, 4)
    array.shape, array.strides, array.address = (6, 2), (8, 4), 8192
    assert pack(array) == (8192, 6, 2)


def test_other_arrays_on_a_gpu_have_the_packer_for_any_array(pack: Any) -> None:
    assert fast_packer(View(FLOAT, 2), SimpleNamespace, CHECKED, True, DEVICE) is CHECKED
    assert fast_packer(View(FLOAT, 2), np.ndarray, CHECKED, True, DEVICE) is CHECKED


def test_the_last_array_is_remembered() -> None:
    packed: list[Any] = []

    def pack(value: Any) -> tuple[int, ...]:
        packed.append(value)
        return tuple(value.tolist())

    remembering = remember_last(pack, np.ndarray)
    one, other = np.arange(2), np.arange(3)
    for array in (one, one, other, other, one):
        assert remembering(array) == tuple(array.tolist())
    assert [array.size for array in packed] == [2, 3, 2]
