"""Code for GPUs, compiled for the host, which runs it one thread after the other."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.toolchain import host_compiler, run_tool


def compiled(source: Path, target: Path, *options: str) -> ctypes.CDLL:
    """The shared library of a C++ source, where products and sums round apart as on a GPU; skips
    where there is no compiler."""
    try:
        compiler = host_compiler()
    except ToolchainError as error:
        pytest.skip(str(error))
    run_tool(
        [compiler.path, "-O1", "-ffp-contract=off", "-shared", "-fPIC", *options]
        + [str(source), "-o", str(target)],
        f"compiling {source.name} for the host",
    )
    return ctypes.CDLL(str(target))
