"""Rates of three storage formats of balanced matrices, in hand-written C++ (`cpp/balanced.cpp`)."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from kkspdnn.pk.build.toolchain import COMPILER_OPTIONS, host_compiler, run_tool

_SOURCE = Path(__file__).parents[1] / "cpp" / "balanced.cpp"


def measure_storage_formats() -> dict[str, float]:
    """Return edges/s of one thread by format. Raises ToolchainError if compiling fails."""
    with TemporaryDirectory(prefix="kkspdnn-formats-") as folder:
        program = Path(folder) / "balanced"
        command = [host_compiler().path, "-std=c++17", *COMPILER_OPTIONS]
        run_tool(
            [*command, _SOURCE, "-o", program], "compiling the storage formats of balanced matrices"
        )
        printed = run_tool(
            [program], "measuring the storage formats of balanced matrices", inherit=True
        )
    return {name: float(rate) for name, rate in map(str.split, printed.splitlines())}
