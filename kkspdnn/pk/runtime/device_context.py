"""Makes the CUDA context of Kokkos current in each thread that launches."""

from __future__ import annotations

import ctypes

from kkspdnn.errors import SpaceError
from kkspdnn.pk.system.cuda_driver import DRIVER_LIBRARY


class DeviceContext:
    """The primary CUDA context of a GPU.

    Each thread has its own current context. Kokkos calls `cudaSetDevice` once, in the thread that
    starts it (`CudaInternal::initialize`), and not in each launch. In any other thread, or after
    another library selected another device in the same thread, a launch would therefore run on the
    device that is current there, by default device 0.

    The CUDA runtime is linked statically: Kokkos, the runtime library and every workunit contain a
    copy of it, and CuPy has its own. All copies use the context that is current in the driver for
    the calling thread, whichever library made it current (CUDA C++ Programming Guide,
    "Interoperability between Runtime and Driver APIs"). One call to the driver is therefore enough
    for all copies.
    """

    def __init__(self, number: int) -> None:
        """Retain the primary context of the device with this number in CUDA_VISIBLE_DEVICES.

        Raises SpaceError if the driver refuses it.
        """
        self._number = number
        self._driver = driver = ctypes.CDLL(DRIVER_LIBRARY)
        driver.cuCtxSetCurrent.argtypes = [ctypes.c_void_p]
        handle, context = ctypes.c_int(0), ctypes.c_void_p(0)
        self._check(driver.cuDeviceGet(ctypes.byref(handle), number))
        # Never released: Kokkos uses the device until the process ends.
        self._check(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), handle))
        self._context = context.value
        # Allocated once, because every launch asks for the current context.
        self._current = ctypes.c_void_p(0)
        self._current_address = ctypes.byref(self._current)

    def activate(self) -> int | None:
        """Make the context current; return the previous one, for `restore`.

        One thread at a time: the caller holds the lock of the Runtime.
        """
        self._check(self._driver.cuCtxGetCurrent(self._current_address))
        previous = self._current.value
        if previous != self._context:
            self._check(self._driver.cuCtxSetCurrent(self._context))
        return previous

    def synchronize(self) -> None:
        """Wait until the device has done all work of the current context.

        Errors are ignored: the next launch reports them.
        """
        self._driver.cuCtxSynchronize()

    def restore(self, previous: int | None) -> None:
        """Make the context current again that `activate` replaced.

        Errors are ignored: a failed launch reports its own error, with the reason.
        """
        if previous != self._context:
            self._driver.cuCtxSetCurrent(previous)

    def _check(self, error: int) -> None:
        if error:
            raise SpaceError(
                f"device {self._number} cannot be used: the driver reports CUDA error {error}; "
                "see nvidia-smi"
            )
