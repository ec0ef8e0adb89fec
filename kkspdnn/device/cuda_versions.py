"""The CUDA versions of driver, toolkit and CuPy, and the conflicts between them.

The driver is decisive. It runs machine code of its own major version of CUDA and of all earlier
ones: a driver for CUDA 12.4 runs machine code of CUDA 12.8, but none of CUDA 13. It compiles PTX
of its own version of CUDA and of earlier ones only.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from kkspdnn.pk.build.nvcc import (
    ARCHS_DROPPED_BY_CUDA_13,
    Nvcc,
    arch_number,
    format_version,
    newest_usable_cuda,
)
from kkspdnn.pk.system.cuda_driver import Device

_CUPY = {f"cupy-cuda{major}x": major for major in range(11, 20)}
"""CuPy's distributions on PyPI, with the major version of CUDA that each requires."""


@dataclass(frozen=True)
class CudaVersions:
    """The CUDA software of this machine.

    driver: the newest CUDA that the driver runs, such as (12, 4); None without a driver
    devices: the GPUs
    cupy: the installed distributions of CuPy, such as `cupy-cuda13x`
    nvcc: the compiler; None if there is none or it was not checked
    """

    driver: tuple[int, int] | None = None
    devices: tuple[Device, ...] = ()
    cupy: tuple[str, ...] = ()
    nvcc: Nvcc | None = None

    @property
    def extra(self) -> str:
        """The extra of kkspdnn to install on this machine: `cuda12` or `cuda13`."""
        return extra_for(newest_usable_cuda(self.driver, self.devices))

    @property
    def install_command(self) -> str:
        """The command that installs that extra, with the folder to run it in."""
        return f'pip install ".[{self.extra}]" in a clone of kkspdnn'


def extra_for(major: int | None) -> str:
    """Return the extra of kkspdnn for a major version of CUDA; the newest extra for None."""
    return "cuda12" if major is not None and major < 13 else "cuda13"


def installed_cupy() -> tuple[str, ...]:
    """Return the names of CuPy's installed distributions.

    The name `cupy` is a build from source or conda's package, for an unknown version of CUDA.
    """
    return tuple(name for name in ("cupy", *_CUPY) if _is_installed(name))


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def conflicts(versions: CudaVersions) -> list[str]:
    """Return one line for each version conflict, with its remedy."""
    return [*cupy_conflicts(versions), *_nvcc_conflicts(versions)]


def cupy_conflicts(versions: CudaVersions) -> list[str]:
    """Return the conflicts between CuPy, driver and devices, as `conflicts` does."""
    if len(versions.cupy) > 1:
        return [
            f"{' and '.join(versions.cupy)} are installed, which overwrite each other's files: "
            f"run pip uninstall {' '.join(versions.cupy)}, then {versions.install_command}"
        ]
    lines = []
    for name in versions.cupy:
        major = _CUPY.get(name)
        if major is None:
            continue
        reinstall = f"run pip uninstall {name}, then {versions.install_command}"
        if versions.driver is not None and versions.driver[0] < major:
            newer = f"update the driver to one for CUDA {major}"
            lines.append(
                f"{name} needs a driver for CUDA {major}, and this one runs up to CUDA "
                f"{format_version(versions.driver)}: "
                f"{f'{reinstall}, or ' if major > 12 else ''}{newer}"
            )
        elif major >= 13 and (dropped := _dropped(versions.devices)) is not None:
            lines.append(f"{name} does not run on {dropped.name}, {dropped.arch}: {reinstall}")
    return lines


def _nvcc_conflicts(versions: CudaVersions) -> list[str]:
    if versions.nvcc is None:
        return []
    nvcc, number = versions.nvcc, versions.nvcc.cuda
    compiler = f"{nvcc.path} is of CUDA {format_version(number)}"
    driver_conflict = nvcc.driver_conflict(versions.driver)
    if driver_conflict is not None:
        return [driver_conflict]
    lines = []
    for arch in dict.fromkeys(device.arch for device in versions.devices):
        if arch in nvcc.architectures:
            continue
        if not nvcc.compiles_for(arch):
            lines.append(
                f"{compiler}, which no longer compiles for {arch}: set CUDA_HOME to a toolkit of "
                "CUDA 12"
            )
        elif versions.driver is not None and versions.driver < number:
            lines.append(
                f"{compiler}, which compiles for {arch} to PTX only, and the driver compiles PTX "
                f"up to CUDA {format_version(versions.driver)}: set CUDA_HOME to a toolkit that "
                f"knows {arch}, or update the driver"
            )
    return lines


def _dropped(devices: tuple[Device, ...]) -> Device | None:
    """Return the first device that CUDA 13 does not support."""
    return next((gpu for gpu in devices if arch_number(gpu.arch) in ARCHS_DROPPED_BY_CUDA_13), None)
