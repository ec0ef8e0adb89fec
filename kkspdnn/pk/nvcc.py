"""nvcc: the one that the user has, else the one of NVIDIA's packages on PyPI."""

from __future__ import annotations

import glob
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.toolchain import Compiler, run

REMEDY = 'put nvcc on the PATH, set CUDA_HOME, or run pip install "kkspdnn[cuda]"'


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

    def check(self, arch: str) -> str:
        """The architecture itself; ToolchainError where this nvcc does not compile for it."""
        if arch not in self.architectures:
            raise ToolchainError(
                f"{self.path} does not compile for {arch}, only for "
                f"{', '.join(self.architectures)}; choose one of them, or another CUDA"
            )
        return arch

    def environment(self, host: Compiler) -> dict[str, str]:
        """What makes CMake and Kokkos's nvcc_wrapper use this nvcc, and it this host compiler."""
        return {
            "CUDA_ROOT": str(self.home),
            "CUDAToolkit_ROOT": str(self.home),
            "NVCC_WRAPPER_DEFAULT_COMPILER": host.path,
            "PATH": f"{self.home / 'bin'}:{os.environ.get('PATH', '')}",
        }


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
        raise ToolchainError(f"no nvcc: {REMEDY}")
    printed = run([path, "--version"], f"asking {path} for its version")
    version = re.search(r"release .*", printed)
    # The nvcc on the PATH may be a script or a link into the toolkit; its own plan tells.
    plan = run([path, "--dryrun", "-E", "-x", "cu", os.devnull], f"asking {path} for its toolkit")
    top = re.search(r"^#\$ TOP=(.*)$", plan, re.MULTILINE)
    if version is None or top is None:
        raise ToolchainError(f"{path} is no nvcc that tells its version and toolkit; {REMEDY}")
    codes = run([path, "--list-gpu-code"], f"asking {path} what it compiles for")
    return Nvcc(path, Path(top[1].strip()).resolve(), version[0], tuple(codes.split()))
