"""Peak multiply-adds and read bandwidth of the cores, measured by `cpp/machine_ceilings.cpp`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from kkspdnn.pk.build.toolchain import COMPILER_OPTIONS, host_compiler, run_tool
from kkspdnn.records.comparison import Ceilings

_SOURCE = Path(__file__).parent / "cpp" / "machine_ceilings.cpp"


def measure_machine_ceilings(threads: int) -> Ceilings:
    """Compile the C++ program and run it with `threads` threads; takes a few seconds.

    Raises ToolchainError if it does not compile or fails.
    """
    compiler = host_compiler()
    with TemporaryDirectory(prefix="kkspdnn-ceilings-") as folder:
        program = Path(folder) / "machine_ceilings"
        command = [compiler.path, "-std=c++17", *COMPILER_OPTIONS, "-fopenmp"]
        run_tool(
            [*command, _SOURCE, "-o", program], "compiling the measurement of machine ceilings"
        )
        env = {"OMP_NUM_THREADS": str(threads), "OMP_PROC_BIND": "spread", "OMP_PLACES": "cores"}
        printed = run_tool([program], "measuring machine ceilings", environment=env, inherit=True)
    rates = [float(line.split()[-1]) for line in printed.splitlines()]
    return Ceilings(int(rates[0]), *rates[1:])
