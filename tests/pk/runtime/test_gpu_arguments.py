"""Arguments of a launch that are arrays on a GPU, passed by their CUDA Array Interface."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kkspdnn.pk.runtime.packers import gpu_array_packer
from kkspdnn.pk.types import FLOAT, INT32, View, infer_type, is_gpu_array


@dataclass
class GpuArray:
    """An object with the CUDA Array Interface, but without memory."""

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
    return gpu_array_packer("w: argument `x`", View(FLOAT, 2), written, 1)(value)


def test_types_are_inferred_from_the_interface() -> None:
    assert infer_type(GpuArray((3, 4))) == View(FLOAT, 2)
    assert infer_type(GpuArray((3,), "<i4")) == View(INT32, 1)
    assert infer_type(GpuArray((3,), "<c8")) is None
    assert is_gpu_array(GpuArray((3,)))
    assert not is_gpu_array(np.zeros(3))


@pytest.mark.parametrize(
    ("array", "packed"),
    [
        (GpuArray((3, 4)), (4096, 3, 4)),
        (GpuArray((3, 4), strides=(16, 4)), (4096, 3, 4)),
        (GpuArray((1, 4), strides=(999, 4)), (4096, 1, 4)),
        (GpuArray((0, 4), strides=(7, 7), data=(0, False)), (0, 0, 4)),
        (GpuArray((3, 4), device=None), (4096, 3, 4)),
    ],
)
def test_address_and_shape_are_passed(array: GpuArray, packed: tuple[int, ...]) -> None:
    assert pack(array) == packed


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4), np.float32), "must be an array on the GPU, not ndarray: pass cupy.asarr"),
        (3.0, "must be an array on the GPU, not float"),
        (GpuArray((3, 4), "<f8"), "must be 2-dimensional float32, not 2-dimensional float64"),
        (GpuArray((3,)), "must be 2-dimensional float32, not 1-dimensional float32"),
        (GpuArray((3, 4), strides=(4, 12)), "is not C-contiguous: pass cupy.ascontiguousarray"),
        (GpuArray((3, 4), data=(4098, False)), "is not aligned to its dtype"),
        (GpuArray((3, 4), data=(4096, True)), "is written by the workunit but is read-only"),
        (GpuArray((3, 4), device=SimpleNamespace(id=0)), "is on device 0, but Kokkos runs on de"),
    ],
)
def test_arrays_that_do_not_match_are_refused(array: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"w: argument `x` {words}"):
        pack(array)


def test_an_argument_that_is_only_read_may_be_read_only() -> None:
    assert pack(GpuArray((3, 4), data=(8192, True)), written=False) == (8192, 3, 4)
