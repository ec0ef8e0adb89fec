"""The requirements of the space cuda, and which of them this machine meets."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec

from kkspdnn.device.cuda_versions import CudaVersions, installed_cupy
from kkspdnn.pk.build.nvcc import Nvcc, format_version, install_hint, nvcc_path
from kkspdnn.pk.system.cuda_driver import DRIVER_LIBRARY, devices, driver_version, has_driver


@dataclass(frozen=True)
class Requirement:
    """A requirement of the space cuda.

    name: driver, device, compiler or CuPy
    detected: a description with version or path; None if this machine lacks it
    remedy: how to install it
    """

    name: str
    detected: str | None
    remedy: str


def cuda_requirements() -> list[Requirement]:
    """Check for the driver, a device, the compiler and CuPy."""
    versions = detect_versions()
    gpus = "; ".join(f"{gpu.number}: {gpu.name}, {gpu.arch}" for gpu in versions.devices)
    driver = DRIVER_LIBRARY
    if versions.driver:
        driver += f", runs up to CUDA {format_version(versions.driver)}"
    cupy = ", ".join(f"{name} {version(name)}" for name in versions.cupy) or "installed"
    return [
        Requirement(
            "driver",
            driver if has_driver() else None,
            f"install the NVIDIA driver ({DRIVER_LIBRARY})",
        ),
        Requirement("device", gpus or None, "run on a machine with a GPU"),
        Requirement("compiler", nvcc_path(), install_hint()),
        Requirement("CuPy", cupy if find_spec("cupy") else None, versions.install_command),
    ]


def detect_versions(nvcc: Nvcc | None = None) -> CudaVersions:
    """Return the CUDA versions of this machine; only asks the driver and looks for files."""
    return CudaVersions(driver_version(), devices(), installed_cupy(), nvcc)
