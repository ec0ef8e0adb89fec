"""Waiting for the GPU that this process uses, whichever library launched on it."""

from __future__ import annotations

import ctypes
import os
from functools import cache

from kkspdnn.errors import SpaceError
from kkspdnn.pk.system.cuda_driver import DEVICE_VARIABLE, DRIVER_LIBRARY


def synchronize_device() -> None:
    """Wait until the GPU of this process has done all its work; return at once if none is in use.

    Raises SpaceError if the device reports an error, such as that of an earlier launch.
    """
    driver = _driver()
    if driver is None:
        return
    number = os.environ.get(DEVICE_VARIABLE, "").strip() or "0"
    handle = ctypes.c_int(0)
    # The driver refuses both calls in a process that has not used a GPU.
    if (
        not (number.isascii() and number.isdecimal())
        or driver.cuDeviceGet(ctypes.byref(handle), int(number))
        or not _is_active(driver, handle)
    ):
        return
    error = _synchronize(driver, handle)
    if error:
        raise SpaceError(f"device {number}: an earlier launch failed with CUDA error {error}")


@cache
def _driver() -> ctypes.CDLL | None:
    """The driver; looked for once, because the loader searches many folders for a missing one."""
    try:
        return ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return None


def _is_active(driver: ctypes.CDLL, handle: ctypes.c_int) -> bool:
    """Return whether this process has the primary context of a device."""
    flags, active = ctypes.c_uint(0), ctypes.c_int(0)
    failed = driver.cuDevicePrimaryCtxGetState(handle, ctypes.byref(flags), ctypes.byref(active))
    return not failed and bool(active.value)


def _synchronize(driver: ctypes.CDLL, handle: ctypes.c_int) -> int:
    """Wait for a device in its primary context; return CUDA's error, 0 if there is none."""
    previous, context = ctypes.c_void_p(0), ctypes.c_void_p(0)
    driver.cuCtxGetCurrent(ctypes.byref(previous))
    error: int = driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), handle)
    if not error:
        driver.cuCtxSetCurrent(context)
        error = driver.cuCtxSynchronize()
        driver.cuCtxSetCurrent(previous)
        driver.cuDevicePrimaryCtxRelease_v2(handle)
    return error
