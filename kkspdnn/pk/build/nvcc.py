"""Finding nvcc, and which architectures and drivers its programs run on."""

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
from kkspdnn.pk.build.toolchain import Compiler, run_tool
from kkspdnn.pk.system.cuda_driver import Device, devices, driver_version

OLDEST_CUDA_ON_PYPI = 13
"""The oldest CUDA whose nvcc is on PyPI; NVIDIA's packages for CUDA 12 have no nvcc."""

ARCHS_DROPPED_BY_CUDA_13 = range(50, 75)
"""The numbers of the architectures that CUDA 12 supports and CUDA 13 does not."""


@dataclass(frozen=True)
class Nvcc:
    """A CUDA compiler.

    path: the program; home: the folder of its CUDA toolkit, with bin, include and lib
    version: from the output of `--version`, such as `release 12.4, V12.4.131`
    architectures: those that it generates machine code for, such as `sm_75`
    """

    path: str
    home: Path
    version: str
    architectures: tuple[str, ...]

    @property
    def cuda(self) -> tuple[int, int]:
        """The version of CUDA, such as (12, 4)."""
        return parse_cuda_version(self.version)

    def driver_conflict(self, driver: tuple[int, int] | None) -> str | None:
        """Return why its programs do not run with a driver, and what to do; None if they run.

        A driver runs programs of its own major version of CUDA and of all earlier ones.

        driver: see `driver_version`; None if it is unknown
        """
        if driver is None or self.cuda[0] <= driver[0]:
            return None
        return (
            f"{self.path} is of CUDA {format_version(self.cuda)}, and the driver runs up to CUDA "
            f"{format_version(driver)}: set CUDA_HOME to a toolkit of CUDA {driver[0]}, or update "
            "the driver"
        )

    def check_arch(self, arch: str) -> str:
        """Return `arch`; raise ToolchainError if nvcc has no machine code for it."""
        if arch not in self.architectures:
            other = "CUDA 12" if arch_number(arch) in ARCHS_DROPPED_BY_CUDA_13 else "another CUDA"
            raise ToolchainError(
                f"{self.path} ({self.version}) does not compile for {arch}, only for "
                f"{', '.join(self.architectures)}; choose one of them, or set CUDA_HOME to {other}"
            )
        return arch

    def target(self, arch: str) -> str:
        """Return the value of `-arch` for a device of this architecture.

        It is the architecture itself, such as `sm_90`, if this nvcc supports it. For a newer one it
        is PTX of the newest supported architecture before it, such as `compute_90`, which the
        driver compiles for the device. Raises ToolchainError for an architecture that is older
        than all supported ones.
        """
        if arch in self.architectures:
            return arch
        # There is a compute_XX for each sm_XX. Code for an architecture with a letter, such as
        # sm_90a, does not run on newer devices.
        supported = (arch_number(each) or 0 for each in self.architectures)
        newest = max((n for n in supported if 0 < n < (arch_number(arch) or 0)), default=None)
        return f"compute_{newest}" if newest is not None else self.check_arch(arch)

    def compiles_for(self, arch: str) -> bool:
        """Return whether `target` finds machine code or PTX for this architecture."""
        try:
            self.target(arch)
        except ToolchainError:
            return False
        return True

    def environment(self, host: Compiler) -> dict[str, str]:
        """Return the variables by which CMake and nvcc_wrapper use this nvcc and host compiler."""
        return {
            "CUDA_ROOT": str(self.home),
            "CUDAToolkit_ROOT": str(self.home),
            "NVCC_WRAPPER_DEFAULT_COMPILER": host.path,
            "PATH": f"{self.home / 'bin'}:{os.environ.get('PATH', '')}",
        }


def parse_cuda_version(version: str) -> tuple[int, int]:
    """Return the version of CUDA in an nvcc's version, such as (12, 4); (0, 0) if it has none."""
    match = re.search(r"release (\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match is not None else (0, 0)


def format_version(cuda: tuple[int, int]) -> str:
    """Return a version of CUDA as text, such as 12.4."""
    return f"{cuda[0]}.{cuda[1]}"


def arch_number(arch: str) -> int | None:
    """Return 90 for `sm_90`; None for any other text, also for `sm_90a`."""
    match = re.fullmatch(r"sm_([1-9][0-9]{0,3})", arch, re.ASCII)
    return int(match[1]) if match else None


def newest_usable_cuda(driver: tuple[int, int] | None, devices: Iterable[Device]) -> int | None:
    """Return the newest major version of CUDA that this driver and these devices support.

    None if there is no driver.
    """
    if driver is None:
        return None
    dropped = any(arch_number(each.arch) in ARCHS_DROPPED_BY_CUDA_13 for each in devices)
    return min(driver[0], 12) if dropped else driver[0]


def install_hint() -> str:
    """Return how to install an nvcc for this machine's driver and devices."""
    usable = newest_usable_cuda(driver_version(), devices())
    if usable is not None and usable < OLDEST_CUDA_ON_PYPI:
        return (
            f"put the nvcc of CUDA {usable} on the PATH or set CUDA_HOME (Debian: apt-get install "
            f"nvidia-cuda-toolkit); the one on PyPI is of CUDA {OLDEST_CUDA_ON_PYPI}"
        )
    return 'put nvcc on the PATH, set CUDA_HOME, or run pip install ".[cuda]" in a clone of kkspdnn'


def nvcc_path() -> str | None:
    """Find nvcc in CUDA_HOME, CUDA_PATH, the PATH, or NVIDIA's PyPI packages; None if missing."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        home = os.environ.get(variable)
        if home and os.path.isfile(Path(home) / "bin" / "nvcc"):
            return str(Path(home) / "bin" / "nvcc")
    on_path = shutil.which("nvcc")
    if on_path is not None:
        return on_path
    for folder in sys.path:
        # glob skips folders that this user may not read.
        matches = glob.glob(f"{glob.escape(folder or '.')}/nvidia/cu*/bin/nvcc")
        if matches:
            return os.path.abspath(max(matches))
    return None


def find_nvcc() -> Nvcc:
    """Return the nvcc to use; raise ToolchainError if it is missing or does not run."""
    path = nvcc_path()
    if path is None:
        raise ToolchainError(f"no nvcc: {install_hint()}")
    printed = run_tool([path, "--version"], f"asking {path} for its version")
    version = re.search(r"release \d+\.\d+.*", printed)
    # The nvcc on the PATH may be a script or a link; --dryrun prints the folder of its toolkit.
    dry_run = [path, "--dryrun", "-E", "-x", "cu", os.devnull]
    home = _toolkit_folder(run_tool(dry_run, f"asking {path} for its toolkit"))
    if version is None or home is None:
        raise ToolchainError(
            f"{path} does not print the version and the toolkit of nvcc; {install_hint()}"
        )
    codes = run_tool([path, "--list-gpu-code"], f"asking {path} for its architectures")
    return Nvcc(path, home, version[0], tuple(codes.split()))


def _toolkit_folder(dry_run: str) -> Path | None:
    """Return the folder of the CUDA toolkit from the output of `nvcc --dryrun`.

    NVIDIA's toolkits print it as TOP. Debian's prints only the folder of nvcc itself.
    """
    for name, relative in (("TOP", ""), ("_HERE_", "..")):
        match = re.search(rf"^#\$ {name}=(.*)$", dry_run, re.MULTILINE)
        if match is not None:
            return Path(match[1].strip(), relative).resolve()
    return None
