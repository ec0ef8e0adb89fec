"""A stand-in for CuPy whose arrays lie in host memory, but are no NumPy arrays."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


class FakeCupyArray(NDArrayOperatorsMixin):
    """Like `cupy.ndarray`: it has no implicit conversion to NumPy's."""

    def __init__(self, array: Any) -> None:
        self.array = np.asarray(array)
        self.dtype, self.shape = self.array.dtype, self.array.shape
        self.ndim, self.size, self.strides = self.array.ndim, self.array.size, self.array.strides

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.array.ctypes.data, device_id=0)

    @property
    def device(self) -> Any:
        return SimpleNamespace(id=0)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        data = self.array.ctypes.data, False
        return {"shape": self.shape, "typestr": self.dtype.str, "data": data, "version": 3}

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __getitem__(self, key: Any) -> Any:
        return FakeCupyArray(self.array[key])

    def __setitem__(self, key: Any, value: Any) -> None:
        assert not isinstance(value, np.ndarray)
        self.array[key] = value.array if isinstance(value, FakeCupyArray) else value

    def __len__(self) -> int:
        return len(self.array)

    def fill(self, value: Any) -> None:
        self.array.fill(value)

    def item(self) -> Any:
        return self.array.item()

    def view(self, dtype: Any) -> Any:
        return FakeCupyArray(self.array.view(dtype))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        inputs = tuple(x.array if isinstance(x, FakeCupyArray) else x for x in inputs)
        outputs = options.get("out", ())
        if outputs:
            options["out"] = tuple(each.array for each in outputs)
        return FakeCupyArray(getattr(ufunc, method)(*inputs, **options))


def _asarray(value: Any) -> FakeCupyArray:
    """Like `cupy.asarray`: an array on the GPU is shared, any other copied."""
    return value if isinstance(value, FakeCupyArray) else FakeCupyArray(np.array(value))


fake_cupy: Any = SimpleNamespace(
    ndarray=FakeCupyArray,
    zeros=lambda shape, dtype: FakeCupyArray(np.zeros(shape, dtype)),
    asarray=_asarray,
    from_dlpack=lambda value: FakeCupyArray(value.on_gpu),
    asnumpy=lambda array: array.array.copy(),
    cuda=SimpleNamespace(Device=lambda number: nullcontext()),
)
