"""Arrays on a GPU as launches take them; their description is all that is looked at here."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kkspdnn.pk.runtime.program import _device_packer
from kkspdnn.pk.types import FLOAT, INT32, View, on_gpu, type_of_argument


@dataclass
class Described:
    """An array that says it is on a GPU."""

    shape: tuple[int, ...]
    typestr: str = "<f4"
    strides: tuple[int, ...] | None = None
    data: tuple[int, bool] = (4096, False)
    device: Any = field(default_factory=lambda: SimpleNamespace(id=1))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.typestr,
            "strides": self.strides,
            "data": self.data,
            "version": 3,
        }


def pack(value: Any, written: bool = True) -> tuple[Any, ...]:
    return _device_packer("w: argument `x`", View(FLOAT, 2), written, 1)(value)


def test_types_are_inferred_from_the_description() -> None:
    assert type_of_argument(Described((3, 4))) == View(FLOAT, 2)
    assert type_of_argument(Described((3,), "<i4")) == View(INT32, 1)
    assert type_of_argument(Described((3,), "<c8")) is None
    assert on_gpu(Described((3,)))
    assert not on_gpu(np.zeros(3))


@pytest.mark.parametrize(
    ("array", "packed"),
    [
        (Described((3, 4)), (4096, 3, 4)),
        (Described((3, 4), strides=(16, 4)), (4096, 3, 4)),
        (Described((1, 4), strides=(999, 4)), (4096, 1, 4)),
        (Described((0, 4), strides=(7, 7), data=(0, False)), (0, 0, 4)),
        (Described((3, 4), device=None), (4096, 3, 4)),
    ],
)
def test_what_is_passed(array: Described, packed: tuple[int, ...]) -> None:
    assert pack(array) == packed


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4), np.float32), "must be an array on the GPU, not ndarray: pass cupy.asarr"),
        (3.0, "must be an array on the GPU, not float"),
        (Described((3, 4), "<f8"), "must be 2-dimensional float32, not 2-dimensional float64"),
        (Described((3,)), "must be 2-dimensional float32, not 1-dimensional float32"),
        (Described((3, 4), strides=(4, 12)), "is not C-contiguous: pass cupy.ascontiguousarray"),
        (Described((3, 4), data=(4098, False)), "is not aligned to its dtype"),
        (Described((3, 4), data=(4096, True)), "is written by the workunit but is read-only"),
        (Described((3, 4), device=SimpleNamespace(id=0)), "is on device 0, but Kokkos runs on de"),
    ],
)
def test_what_is_refused(array: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"w: argument `x` {words}"):
        pack(array)


def test_what_is_only_read_may_be_read_only() -> None:
    assert pack(Described((3, 4), data=(8192, True)), written=False) == (8192, 3, 4)
