"""The CUDA context that workunits are launched in, whichever thread launches."""

from __future__ import annotations

import ctypes

from kkspdnn.errors import SpaceError
from kkspdnn.pk.system.cuda_driver import DRIVER_LIBRARY


class DeviceContext:
    """The primary context of a GPU, and making it current in the calling thread.

    The current context belongs to a thread. Kokkos calls `cudaSetDevice` once, in the thread that
    starts it (`CudaInternal::initialize`); a launch does not call it again. So in any other thread,
    or after another library chose another device in the same thread, a launch would go to the
    device that is current there, by default device 0.

    The CUDA runtime is linked statically: Kokkos, the runtime library and every workunit have a
    copy of it, and CuPy has its own. A copy uses the context that the driver has as current in the
    calling thread, whoever made it current (CUDA C++ Programming Guide, "Interoperability between
    Runtime and Driver APIs"). So it is set once, in the driver, for all copies.
    """

    def __init__(self, number: int) -> None:
        """number: the device's, within CUDA_VISIBLE_DEVICES. Raises SpaceError where the driver
        does not give its context."""
        self._number = number
        self._library = library = ctypes.CDLL(DRIVER_LIBRARY)
        library.cuCtxSetCurrent.argtypes = [ctypes.c_void_p]
        handle, own = ctypes.c_int(0), ctypes.c_void_p(0)
        self._check(library.cuDeviceGet(ctypes.byref(handle), number))
        # Never released: Kokkos keeps the device to the end of the process.
        self._check(library.cuDevicePrimaryCtxRetain(ctypes.byref(own), handle))
        self._own = own.value

    def enter(self) -> int | None:
        """Make it current, and give the context that was, for `leave`."""
        current = ctypes.c_void_p(0)
        self._check(self._library.cuCtxGetCurrent(ctypes.byref(current)))
        if current.value != self._own:
            self._check(self._library.cuCtxSetCurrent(self._own))
        return current.value

    def leave(self, before: int | None) -> None:
        """Make the context current that was before `enter`.

        An error is ignored: after a failed launch the launch reports it, with its reason.
        """
        if before != self._own:
            self._library.cuCtxSetCurrent(before)

    def _check(self, error: int) -> None:
        if error:
            raise SpaceError(
                f"device {self._number} cannot be used: the driver reports CUDA error {error}; "
                "see nvidia-smi"
            )
