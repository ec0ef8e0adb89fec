"""The CUDA versions of driver, toolkit and CuPy, and which of them do not fit together.

The driver decides. It runs programs of its own major version of CUDA and of all earlier ones: a
driver for CUDA 12.4 runs what CUDA 12.8 compiled to machine code, and nothing of CUDA 13. PTX it
compiles only up to its own version.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from kkspdnn.pk.build.nvcc import DROPPED_BY_13, Nvcc, dotted, fitting_cuda, number_of
from kkspdnn.pk.system.cuda_driver import Device

_CUPY = {f"cupy-cuda{major}x": major for major in range(11, 20)}
"""CuPy's distributions on PyPI, and the major version of CUDA that each is for."""


@dataclass(frozen=True)
class Versions:
    """What was found on this machine.

    driver: the newest CUDA that the driver runs, (12, 4); devices: its GPUs
    cupy: CuPy's distributions that are installed, such as `cupy-cuda13x`
    nvcc: the compiler; None: none, or not looked at
    """

    driver: tuple[int, int] | None = None
    devices: tuple[Device, ...] = ()
    cupy: tuple[str, ...] = ()
    nvcc: Nvcc | None = None

    @property
    def extra(self) -> str:
        """The extra of kkspdnn to install here: `cuda12` or `cuda13`."""
        return extra_for(fitting_cuda(self.driver, self.devices))


def extra_for(major: int | None) -> str:
    """The extra of kkspdnn for a major version of CUDA; the newest for an unknown one."""
    return "cuda12" if major is not None and major < 13 else "cuda13"


def installed_cupy() -> tuple[str, ...]:
    """The names of CuPy's installed distributions: `cupy` is one built from source, or conda's."""
    return tuple(name for name in ("cupy", *_CUPY) if _is_installed(name))


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def misfits(found: Versions) -> list[str]:
    """What does not fit, each in one line that says what to install; empty where all fits."""
    return [*cupy_misfits(found), *_nvcc_misfits(found)]


def cupy_misfits(found: Versions) -> list[str]:
    """Those of CuPy, for which no nvcc is needed."""
    install = f'pip install "kkspdnn[{found.extra}]"'
    if len(found.cupy) > 1:
        return [
            f"{' and '.join(found.cupy)} are installed, which overwrite each other's files: "
            f"run pip uninstall {' '.join(found.cupy)}, then {install}"
        ]
    lines = []
    for name in found.cupy:
        major = _CUPY.get(name)
        if major is None:
            continue
        replace = f"run pip uninstall {name}, then {install}"
        if found.driver is not None and found.driver[0] < major:
            newer = f"update the driver to one for CUDA {major}"
            lines.append(
                f"{name} needs a driver for CUDA {major}, and this one runs up to CUDA "
                f"{dotted(found.driver)}: {f'{replace}, or ' if major > 12 else ''}{newer}"
            )
        elif major >= 13 and (dropped := _dropped(found.devices)) is not None:
            lines.append(f"{name} does not run on {dropped.name}, {dropped.arch}: {replace}")
    return lines


def _nvcc_misfits(found: Versions) -> list[str]:
    if found.nvcc is None:
        return []
    nvcc, number = found.nvcc, found.nvcc.cuda
    said = f"{nvcc.path} is of CUDA {dotted(number)}"
    misfit = nvcc.misfit(found.driver)
    if misfit is not None:
        return [misfit]
    lines = []
    for arch in dict.fromkeys(device.arch for device in found.devices):
        if arch in nvcc.architectures:
            continue
        if not nvcc.compiles_for(arch):
            lines.append(
                f"{said}, which no longer compiles for {arch}: set CUDA_HOME to a toolkit of "
                "CUDA 12"
            )
        elif found.driver is not None and found.driver < number:
            lines.append(
                f"{said}, which compiles for {arch} to PTX only, and the driver compiles PTX up to "
                f"CUDA {dotted(found.driver)}: set CUDA_HOME to a toolkit that knows {arch}, or "
                "update the driver"
            )
    return lines


def _dropped(devices: tuple[Device, ...]) -> Device | None:
    """The first device that CUDA 13 has no code for."""
    return next((each for each in devices if number_of(each.arch) in DROPPED_BY_13), None)
