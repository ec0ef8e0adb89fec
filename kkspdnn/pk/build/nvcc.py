"""nvcc: the one that the user has, else the one of NVIDIA's packages on PyPI."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.toolchain import Compiler, run
from kkspdnn.pk.system.cuda_driver import Device, devices, driver_version

FIRST_ON_PYPI = 13
"""The oldest CUDA whose nvcc is on PyPI; its packages for CUDA 12 have no nvcc."""

DROPPED_BY_13 = range(50, 75)
"""Architectures that CUDA 12 compiles for and CUDA 13 does not."""


@dataclass(frozen=True)
class Nvcc:
    """A CUDA compiler.

    path: how it was found; home: the toolkit it belongs to, with bin, include and lib
    version: what `--version` says, without the year
    architectures: what it compiles for, `sm_75` and so on
    """

    path: str
    home: Path
    version: str
    architectures: tuple[str, ...]

    @property
    def cuda(self) -> tuple[int, int]:
        """The version of CUDA, (12, 4)."""
        return cuda_of(self.version)

    def misfit(self, driver: tuple[int, int] | None) -> str | None:
        """Why its programs do not run with this driver, and what to do; None where they do.

        driver: see `driver_version`; one runs programs of its own major version of CUDA and of all
        before. None: not known.
        """
        if driver is None or self.cuda[0] <= driver[0]:
            return None
        return (
            f"{self.path} is of CUDA {dotted(self.cuda)}, and the driver runs up to CUDA "
            f"{dotted(driver)}: set CUDA_HOME to a toolkit of CUDA {driver[0]}, or update the "
            "driver"
        )

    def check(self, arch: str) -> str:
        """The architecture itself; ToolchainError where this nvcc has no machine code for it."""
        if arch not in self.architectures:
            other = "CUDA 12" if number_of(arch) in DROPPED_BY_13 else "another CUDA"
            raise ToolchainError(
                f"{self.path} ({self.version}) does not compile for {arch}, only for "
                f"{', '.join(self.architectures)}; choose one of them, or set CUDA_HOME to {other}"
            )
        return arch

    def target(self, arch: str) -> str:
        """What `-arch` gets for a device of this architecture.

        The architecture itself, `sm_90`. For one that this nvcc does not know yet, the newest
        before it as PTX, `compute_90`, which the driver compiles for the device. Raises
        ToolchainError for an architecture that is older than all that this nvcc knows.
        """
        if arch in self.architectures:
            return arch
        # Every sm_XX that nvcc lists has its compute_XX. Those with a letter, as sm_90a, run on no
        # other device.
        listed = (number_of(each) or 0 for each in self.architectures)
        newest = max((n for n in listed if 0 < n < (number_of(arch) or 0)), default=None)
        return f"compute_{newest}" if newest is not None else self.check(arch)

    def compiles_for(self, arch: str) -> bool:
        """Does `target` give one, machine code or PTX?"""
        try:
            self.target(arch)
        except ToolchainError:
            return False
        return True

    def environment(self, host: Compiler) -> dict[str, str]:
        """What makes CMake and Kokkos's nvcc_wrapper use this nvcc, and it this host compiler."""
        return {
            "CUDA_ROOT": str(self.home),
            "CUDAToolkit_ROOT": str(self.home),
            "NVCC_WRAPPER_DEFAULT_COMPILER": host.path,
            "PATH": f"{self.home / 'bin'}:{os.environ.get('PATH', '')}",
        }


def cuda_of(version: str) -> tuple[int, int]:
    """The version of CUDA in what an nvcc says of itself, (12, 4); (0, 0) where there is none."""
    found = re.search(r"release (\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found is not None else (0, 0)


def dotted(cuda: tuple[int, int]) -> str:
    """A version of CUDA for people: 12.4."""
    return f"{cuda[0]}.{cuda[1]}"


def number_of(arch: str) -> int | None:
    """90 for `sm_90`; None for any other text, `sm_90a` too."""
    found = re.fullmatch(r"sm_([1-9][0-9]{0,3})", arch, re.ASCII)
    return int(found[1]) if found else None


def fitting_cuda(driver: tuple[int, int] | None, devices: Iterable[Device]) -> int | None:
    """The newest major version of CUDA that runs with this driver and has code for these devices;
    None where there is no driver."""
    if driver is None:
        return None
    dropped = any(number_of(each.arch) in DROPPED_BY_13 for each in devices)
    return min(driver[0], 12) if dropped else driver[0]


def remedy() -> str:
    """How to get an nvcc that fits this machine's driver and devices."""
    fitting = fitting_cuda(driver_version(), devices())
    if fitting is not None and fitting < FIRST_ON_PYPI:
        return (
            f"put the nvcc of CUDA {fitting} on the PATH or set CUDA_HOME (Debian: apt-get install "
            f"nvidia-cuda-toolkit); the one on PyPI is of CUDA {FIRST_ON_PYPI}"
        )
    return 'put nvcc on the PATH, set CUDA_HOME, or run pip install "kkspdnn[cuda]"'


def nvcc_path() -> str | None:
    """Where nvcc is: CUDA_HOME, CUDA_PATH, the PATH, NVIDIA's packages on PyPI; or None."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        home = os.environ.get(variable)
        if home and os.path.isfile(Path(home) / "bin" / "nvcc"):
            return str(Path(home) / "bin" / "nvcc")
    on_path = shutil.which("nvcc")
    if on_path is not None:
        return on_path
    for folder in sys.path:
        # Passes over folders that this user may not read.
        found = glob.glob(f"{glob.escape(folder or '.')}/nvidia/cu*/bin/nvcc")
        if found:
            return os.path.abspath(max(found))
    return None


def find_nvcc() -> Nvcc:
    """The nvcc to use. Raises ToolchainError where there is none, or where it does not run."""
    path = nvcc_path()
    if path is None:
        raise ToolchainError(f"no nvcc: {remedy()}")
    printed = run([path, "--version"], f"asking {path} for its version")
    version = re.search(r"release \d+\.\d+.*", printed)
    # The nvcc on the PATH may be a script or a link into the toolkit; its own plan tells.
    plan = run([path, "--dryrun", "-E", "-x", "cu", os.devnull], f"asking {path} for its toolkit")
    home = _home(plan)
    if version is None or home is None:
        raise ToolchainError(f"{path} is no nvcc that tells its version and toolkit; {remedy()}")
    codes = run([path, "--list-gpu-code"], f"asking {path} what it compiles for")
    return Nvcc(path, home, version[0], tuple(codes.split()))


def _home(plan: str) -> Path | None:
    """The folder of the toolkit, from what `nvcc --dryrun` prints.

    NVIDIA's toolkits name it TOP. That of Debian names only the folder that nvcc itself is in.
    """
    for name, below in (("TOP", ""), ("_HERE_", "..")):
        found = re.search(rf"^#\$ {name}=(.*)$", plan, re.MULTILINE)
        if found is not None:
            return Path(found[1].strip(), below).resolve()
    return None
