"""What a CUDA run needs, and what of it this machine has."""

from __future__ import annotations

import ctypes
import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """One thing that CUDA needs: where it was found, or what to do about it."""

    name: str
    found: str | None
    remedy: str


def cuda_parts() -> list[Part]:
    """Driver, device, compiler and CuPy, each looked for."""
    driver, devices = _driver()
    return [
        Part("driver", driver, "install the NVIDIA driver (libcuda.so.1)"),
        Part("device", f"{devices} device(s)" if devices else None, "run on a machine with a GPU"),
        Part("compiler", _nvcc(), "put nvcc on the PATH or set CUDA_HOME"),
        Part("CuPy", "installed" if find_spec("cupy") else None, "pip install cupy-cuda13x"),
    ]


def _driver() -> tuple[str | None, int]:
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None, 0
    count = ctypes.c_int(0)
    if library.cuInit(0) != 0 or library.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return "libcuda.so.1", 0
    return "libcuda.so.1", count.value


def _nvcc() -> str | None:
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH")):
        if home and (Path(home) / "bin" / "nvcc").is_file():
            return str(Path(home) / "bin" / "nvcc")
    return shutil.which("nvcc")
