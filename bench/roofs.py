"""The machine's ceilings, measured by `bench/cpp/roofs.cpp`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from kkspdnn.pk.build.toolchain import COMPILER_OPTIONS, host_compiler, run_tool
from kkspdnn.records.comparison import Ceilings

_SOURCE = Path(__file__).parent / "cpp" / "roofs.cpp"


def roofs(threads: int) -> Ceilings:
    """Compile and run it with so many threads, a few seconds; ToolchainError where that fails."""
    compiler = host_compiler()
    with TemporaryDirectory(prefix="kkspdnn-roofs-") as folder:
        program = Path(folder) / "roofs"
        command = [compiler.path, "-std=c++17", *COMPILER_OPTIONS, "-fopenmp"]
        run_tool([*command, _SOURCE, "-o", program], "compiling the measurement of ceilings")
        placed = {"OMP_NUM_THREADS": str(threads), "OMP_PROC_BIND": "spread", "OMP_PLACES": "cores"}
        printed = run_tool([program], "measuring ceilings", environment=placed, inherit=True)
    rates = [float(line.split()[-1]) for line in printed.splitlines()]
    return Ceilings(int(rates[0]), *rates[1:])
