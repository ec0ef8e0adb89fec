"""Whether a form of its own pays for balanced matrices: by hand, `bench/cpp/balanced.cpp`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from kkspdnn.pk.build.toolchain import COMPILER_OPTIONS, host_compiler, run_tool

_SOURCE = Path(__file__).parents[1] / "cpp" / "balanced.cpp"


def forms() -> dict[str, float]:
    """Edges/s of one thread by form; ToolchainError where it cannot be compiled."""
    with TemporaryDirectory(prefix="kkspdnn-forms-") as folder:
        program = Path(folder) / "balanced"
        command = [host_compiler().path, "-std=c++17", *COMPILER_OPTIONS]
        run_tool([*command, _SOURCE, "-o", program], "compiling the forms of balanced matrices")
        printed = run_tool([program], "measuring forms of balanced matrices", inherit=True)
    return {name: float(rate) for name, rate in map(str.split, printed.splitlines())}
