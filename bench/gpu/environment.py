"""`python -m bench.gpu environment`: list the GPU, its driver, tools and packages."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from shutil import which
from typing import Any

from kkspdnn.device.cuda_check import cuda_requirements
from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.toolchain import machine, run_tool
from kkspdnn.pk.system.cuda_driver import devices

_GPU_PROPERTIES = (
    "name,driver_version,clocks.max.sm,clocks.max.mem,clocks.sm,memory.total,memory.used,"
    "power.limit,pcie.link.gen.max,pcie.link.width.max,temperature.gpu"
)

_TOOLS = ("g++", "nvcc", "cmake", "ninja", "ncu", "compute-sanitizer", "cuobjdump")

_PACKAGES = (
    "numpy scipy cupy-cuda13x cupy-cuda12x torch platformdirs psutil rich pytest pytest-xdist "
    "pytest-timeout hypothesis safetensors mpi4py matplotlib cmake ninja"
).split()


def command(arguments: argparse.Namespace) -> int:
    """Print the environment, and write it to environment.json."""
    environment: dict[str, Any] = {
        "machine": machine(),
        "system": platform.platform(),
        "python": f"{sys.version.split()[0]} at {sys.executable}",
        "devices": [asdict(device) for device in devices()],
        "nvidia_smi": _printed(
            "nvidia-smi", f"--query-gpu={_GPU_PROPERTIES}", "--format=csv"
        ).splitlines(),
        "cuda": {
            part.name: part.detected or f"not found: {part.remedy}" for part in cuda_requirements()
        },
        "variables": {n: v for n, v in os.environ.items() if n.startswith(("CUDA", "KKSPDNN"))},
        "tools": {name: _version_line(name) for name in _TOOLS},
        "packages": {name: _package(name) for name in _PACKAGES},
    }
    for name, value in environment.items():
        if name == "packages":
            print("packages:", *(f"{package}={number}" for package, number in value.items()))
        elif isinstance(value, dict):
            for key, text in value.items():
                print(f"{name} {key}: {text}")
        else:
            for item in value if isinstance(value, list) else [value]:
                print(f"{name}: {item}")
    if arguments.records is not None:
        text = json.dumps(environment, indent=1) + "\n"
        (arguments.records / "environment.json").write_text(text, encoding="utf-8")
    return 0


def _printed(program: str, *arguments: str) -> str:
    path = which(program)
    if path is None:
        return "not on the PATH"
    try:
        return run_tool([path, *arguments], f"asking {program}", inherit=True).strip()
    except ToolchainError as error:
        return str(error)


def _version_line(program: str) -> str:
    """Return the line of the output of `program --version` that contains the version."""
    lines = _printed(program, "--version").splitlines()
    matches = [line for line in lines if "elease" in line or "ersion" in line]
    return (matches or lines or ["no output"])[0]


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
