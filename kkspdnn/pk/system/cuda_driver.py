"""The NVIDIA driver's own answers: which devices there are, and what they compute with.

Asked through the driver's library itself, so that nothing of CUDA needs to be installed.
"""

from __future__ import annotations

import ctypes
import os
import uuid
from dataclasses import dataclass

from kkspdnn.errors import SpaceError

LIBRARY = "libcuda.so.1"
DEVICE_VARIABLE = "KOKKOS_DEVICE_ID"
"""Kokkos's own variable for the number of the device, counted within CUDA_VISIBLE_DEVICES."""

_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


@dataclass(frozen=True)
class Device:
    """A GPU: its number within CUDA_VISIBLE_DEVICES, its name, and its architecture, `sm_90`.

    uuid: the same in every process, as `nvidia-smi -L` lists it after `GPU-` or `MIG-`; empty if
    the driver has none
    """

    number: int
    name: str
    arch: str
    uuid: str = ""


def has_driver() -> bool:
    """Can the driver's library be loaded?"""
    return _library() is not None


def driver_version() -> tuple[int, int] | None:
    """The newest CUDA that the driver runs, (12, 4); None where there is no driver."""
    library = _library()
    number = ctypes.c_int(0)
    if library is None or library.cuDriverGetVersion(ctypes.byref(number)) != 0:
        return None
    return number.value // 1000, number.value % 1000 // 10


def devices() -> tuple[Device, ...]:
    """All devices that this process may use; none where there is no driver."""
    library = _library()
    count = ctypes.c_int(0)
    if library is None or library.cuInit(0) != 0:
        return ()
    if library.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return ()
    return tuple(_device(library, number) for number in range(count.value))


def device() -> Device:
    """The device that KOKKOS_DEVICE_ID names, else the first one.

    Raises SpaceError where there is none.
    """
    found = devices()
    chosen = os.environ.get(DEVICE_VARIABLE, "").strip() or "0"
    if not (chosen.isascii() and chosen.isdecimal()):
        raise SpaceError(f"{DEVICE_VARIABLE}={chosen}: set it to a device's number, or unset it")
    if not found:
        raise SpaceError("no NVIDIA device: run on a machine with a GPU, or use --space openmp")
    check_number(int(chosen))
    return found[int(chosen)]


def check_number(number: int) -> None:
    """Raise SpaceError where this machine has devices, but none of this number."""
    count = len(devices())
    if 0 < count <= number:
        raise SpaceError(
            f"device {number}: this process may use {count} device(s), numbered from 0; "
            "see --device and CUDA_VISIBLE_DEVICES"
        )


def _device(library: ctypes.CDLL, number: int) -> Device:
    handle, major, minor = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_int(0)
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGet(ctypes.byref(handle), number)
    library.cuDeviceGetName(name, len(name), handle)
    library.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, handle)
    library.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, handle)
    arch = f"sm_{major.value}{minor.value}"
    return Device(number, name.value.decode(errors="replace"), arch, _uuid(library, handle))


def _uuid(library: ctypes.CDLL, handle: ctypes.c_int) -> str:
    """The first version knows a GPU, the second also a part of one (MIG)."""
    for version in ("cuDeviceGetUuid_v2", "cuDeviceGetUuid"):
        get = getattr(library, version, None)
        found = ctypes.create_string_buffer(16)
        if get is not None and get(found, handle) == 0:
            return str(uuid.UUID(bytes=found.raw))
    return ""


def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError:
        return None
