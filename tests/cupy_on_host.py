"""A part of CuPy, and an execution space whose arrays are its arrays and whose launches run on the
host.

The arrays raise, like those of CuPy, if they are converted to NumPy arrays or mixed with them, and
launches accept no NumPy arrays.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.multiprocessors import Multiprocessors
from kkspdnn.device.space import Space, open_space
from kkspdnn.pk import provide_pykokkos
from kkspdnn.pk.system.cuda_driver import Device

pk = provide_pykokkos()


class OnDevice:
    """An array that only the functions of the fake CuPy can access."""

    def __init__(self, array: Any) -> None:
        assert type(array) is np.ndarray or np.ndim(array) == 0
        self.array = np.asarray(array)

    shape = property(lambda self: self.array.shape)
    size = property(lambda self: self.array.size)
    ndim = property(lambda self: self.array.ndim)
    dtype = property(lambda self: self.array.dtype)
    nbytes = property(lambda self: self.array.nbytes)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any) -> Any:
        assert method == "__call__"
        return OnDevice(ufunc(*[inner(each) for each in inputs]))

    def __getitem__(self, key: Any) -> Any:
        return OnDevice(self.array[inner(key) if isinstance(key, OnDevice) else key])

    def __setitem__(self, key: Any, value: Any) -> None:
        self.array[inner(key) if isinstance(key, OnDevice) else key] = inner(value)

    def __sub__(self, other: Any) -> Any:
        return OnDevice(self.array - inner(other))

    def __eq__(self, other: object) -> Any:
        return OnDevice(self.array == inner(other))

    def __ne__(self, other: object) -> Any:
        return OnDevice(self.array != inner(other))

    def __ge__(self, other: Any) -> Any:
        return OnDevice(self.array >= inner(other))

    def __le__(self, other: Any) -> Any:
        return OnDevice(self.array <= inner(other))

    def __and__(self, other: Any) -> Any:
        return OnDevice(self.array & inner(other))

    def __or__(self, other: Any) -> Any:
        return OnDevice(self.array | inner(other))

    def __neg__(self) -> Any:
        return OnDevice(-self.array)

    def __bool__(self) -> bool:
        return bool(self.array)

    def __float__(self) -> float:
        return float(self.array)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def all(self) -> Any:
        return OnDevice(self.array.all())

    def min(self, axis: int | None = None) -> Any:
        return OnDevice(self.array.min(axis=axis))

    def max(self, axis: int | None = None) -> Any:
        return OnDevice(self.array.max(axis=axis))

    def astype(self, dtype: Any, *, copy: bool) -> Any:
        # CuPy has no warnings of overflow.
        with np.errstate(over="ignore"):
            return OnDevice(self.array.astype(dtype, copy=copy))

    def fill(self, value: Any) -> None:
        self.array.fill(value)

    def reshape(self, *shape: int) -> Any:
        return OnDevice(self.array.reshape(*shape))

    def view(self, dtype: Any) -> Any:
        return OnDevice(self.array.view(dtype))

    def set(self, array: Any, stream: Any) -> None:
        assert type(array) is np.ndarray
        assert (array.shape, array.dtype) == (self.shape, self.dtype)
        assert stream.options == {"non_blocking": True}
        self.array[...] = array


class Immediate:
    """A stream whose work is done immediately."""

    def __init__(self, **options: bool) -> None:
        self.options = options

    def record(self) -> Immediate:
        return self

    def wait_event(self, event: Immediate) -> None:
        assert isinstance(event, Immediate)

    def synchronize(self) -> None:
        pass

    def use(self) -> None:
        pass


class Stream(Immediate):
    null = Immediate()


def inner(value: Any) -> Any:
    """Return the array of a device array, or a number; TypeError for a NumPy array, as in CuPy."""
    if isinstance(value, OnDevice):
        return value.array
    if np.ndim(value):
        raise TypeError("Unsupported type numpy.ndarray")
    return value


def as_device(array: Any) -> OnDevice:
    return array if isinstance(array, OnDevice) else OnDevice(np.array(array))


def pool_of(free: int, used: int = 0) -> Any:
    return lambda: SimpleNamespace(free_bytes=lambda: free, used_bytes=lambda: used)


def launching(pattern: str) -> Any:
    launch = getattr(pk, f"parallel_{pattern}")

    def run(label: str, policy: Any, workunit: Any, **arguments: Any) -> Any:
        return launch(label, policy, workunit, **{n: inner(v) for n, v in arguments.items()})

    return run


def fake_gpu() -> Space:
    """Return a space with tiles and arrays as on a GPU."""
    front = SimpleNamespace(
        RangePolicy=pk.RangePolicy,
        TeamPolicy=lambda space, league, _size, _vector: pk.TeamPolicy(space, league, 1),
        **{f"parallel_{pattern}": launching(pattern) for pattern in ("for", "reduce", "scan")},
    )
    xp = SimpleNamespace(
        empty=lambda *given: OnDevice(np.empty(*given)),
        zeros=lambda *given: OnDevice(np.zeros(*given)),
        arange=lambda *given: OnDevice(np.arange(*given)),
        asarray=as_device,
        ascontiguousarray=lambda array: OnDevice(np.ascontiguousarray(inner(array))),
        maximum=np.maximum,
        ndarray=OnDevice,
        asnumpy=lambda array: array.array.copy(),
        get_default_memory_pool=pool_of(2**20),
        cuda=SimpleNamespace(
            Stream=Stream,
            get_current_stream=lambda _number: Stream.null,
            alloc_pinned_memory=bytearray,
            runtime=SimpleNamespace(
                memGetInfo=lambda: (2**34, 2**35), deviceSynchronize=lambda: None
            ),
        ),
    )
    made: Any = replace(open_space("openmp"), name="cuda", pk=front, xp=xp, threads=4096)
    made = replace(
        made,
        launch=LaunchParameters.default("cuda"),
        multiprocessors=Multiprocessors(4, 2048, 65_536),
        device=Device(0, "fake", "sm_90"),
    )
    space: Space = made
    return space
