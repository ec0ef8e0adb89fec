"""The NVIDIA driver: its version, and the GPUs that this process may use.

The functions call the driver's library directly, so that no CUDA package is needed.
"""

from __future__ import annotations

import ctypes
import os
import uuid
from dataclasses import dataclass

from kkspdnn.errors import SpaceError

DRIVER_LIBRARY = "libcuda.so.1"
DEVICE_VARIABLE = "KOKKOS_DEVICE_ID"
"""Kokkos's variable for the device number, counted within CUDA_VISIBLE_DEVICES."""

_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


@dataclass(frozen=True)
class Device:
    """A GPU.

    number: counted within CUDA_VISIBLE_DEVICES; arch: its architecture, such as `sm_90`
    uuid: identifies the GPU in every process, as `nvidia-smi -L` prints it after `GPU-` or `MIG-`;
    empty if the driver has none
    """

    number: int
    name: str
    arch: str
    uuid: str = ""


def has_driver() -> bool:
    """Return whether the driver's library can be loaded."""
    return _load_driver() is not None


def driver_version() -> tuple[int, int] | None:
    """Return the newest CUDA version that the driver supports, such as (12, 4).

    None if there is no driver.
    """
    driver = _load_driver()
    version = ctypes.c_int(0)
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    return version.value // 1000, version.value % 1000 // 10


def devices() -> tuple[Device, ...]:
    """Return all devices that this process may use; empty if there is no driver."""
    driver = _load_driver()
    count = ctypes.c_int(0)
    if driver is None or driver.cuInit(0) != 0:
        return ()
    if driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    return tuple(_query_device(driver, number) for number in range(count.value))


def selected_device() -> Device:
    """Return the device that KOKKOS_DEVICE_ID names, else the first one.

    Raises SpaceError if there is no device, or if the variable names none.
    """
    available = devices()
    chosen = os.environ.get(DEVICE_VARIABLE, "").strip() or "0"
    if not (chosen.isascii() and chosen.isdecimal()):
        raise SpaceError(f"{DEVICE_VARIABLE}={chosen}: set it to a device number, or unset it")
    if not available:
        raise SpaceError("no NVIDIA device: run on a machine with a GPU, or use space='openmp'")
    check_device_number(int(chosen))
    return available[int(chosen)]


def check_device_number(number: int) -> None:
    """Raise SpaceError if this machine has devices, but none with this number."""
    count = len(devices())
    if 0 < count <= number:
        raise SpaceError(
            f"device {number}: this process may use {count} device(s), numbered from 0; "
            "choose one of them; see also CUDA_VISIBLE_DEVICES"
        )


def _query_device(driver: ctypes.CDLL, number: int) -> Device:
    handle, major, minor = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0)
    name = ctypes.create_string_buffer(256)
    driver.cuDeviceGet(ctypes.byref(handle), number)
    driver.cuDeviceGetName(name, len(name), handle)
    driver.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, handle)
    driver.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, handle)
    arch = f"sm_{major.value}{minor.value}"
    return Device(number, name.value.decode(errors="replace"), arch, _query_uuid(driver, handle))


def _query_uuid(driver: ctypes.CDLL, handle: ctypes.c_int) -> str:
    """Return the UUID; only the newer of the two functions has the UUIDs of MIG instances."""
    for function in ("cuDeviceGetUuid_v2", "cuDeviceGetUuid"):
        query = getattr(driver, function, None)
        buffer = ctypes.create_string_buffer(16)
        if query is not None and query(buffer, handle) == 0:
            return str(uuid.UUID(bytes=buffer.raw))
    return ""


def _load_driver() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return None
