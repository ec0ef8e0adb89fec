"""What a CUDA run needs, and what of it this machine has."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec

from kkspdnn.device.cuda_versions import Versions, installed_cupy
from kkspdnn.pk.build.nvcc import Nvcc, dotted, nvcc_path, remedy
from kkspdnn.pk.system.cuda_driver import LIBRARY, devices, driver_version, has_driver


@dataclass(frozen=True)
class Part:
    """One thing that CUDA needs: where it was found, or what to do about it."""

    name: str
    found: str | None
    remedy: str


def cuda_parts() -> list[Part]:
    """Driver, device, compiler and CuPy, each looked for."""
    found = found_versions()
    named = "; ".join(f"{each.number}: {each.name}, {each.arch}" for each in found.devices)
    driver = f"{LIBRARY}, runs up to CUDA {dotted(found.driver)}" if found.driver else LIBRARY
    cupy = ", ".join(f"{name} {version(name)}" for name in found.cupy) or "installed"
    return [
        Part("driver", driver if has_driver() else None, f"install the NVIDIA driver ({LIBRARY})"),
        Part("device", named or None, "run on a machine with a GPU"),
        Part("compiler", nvcc_path(), remedy()),
        Part("CuPy", cupy if find_spec("cupy") else None, f'pip install "kkspdnn[{found.extra}]"'),
    ]


def found_versions(nvcc: Nvcc | None = None) -> Versions:
    """What this machine has; costs no more than asking the driver and looking for files."""
    return Versions(driver_version(), devices(), installed_cupy(), nvcc)
