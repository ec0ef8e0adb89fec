"""PyKokkos's example scripts of free functions, and small arguments for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Example:
    """An example script and how it is started.

    path: below the folder `examples`
    prints: what its output must have; scripts that check their values themselves say so
    threads: of OpenMP, if the script needs a number of them
    changes: texts and their replacements that make the script run, tried if it does not run
        unchanged
    """

    path: str
    arguments: tuple[str, ...] = ()
    prints: str = ""
    threads: int | None = None
    changes: tuple[tuple[str, str], ...] = ()


_SIZES: Final = ("-N", "6", "-M", "5")
_MATRIX: Final = "Computed result for 64 x 32 is 2048.0"
_ON_HOST: Final = (("ExecutionSpace.Cuda", "ExecutionSpace.OpenMP"),)

EXAMPLES: Final = (
    # Its check of the values passes for long arrays and many runs only.
    Example("BabelStream/standalone/babel_stream.py", ("-s", "10000", "-n", "200"), "Triad"),
    Example("ExaMiniMD/standalone/src/main.py"),
    Example("GPU-Puzzles/puzzle1.py", prints="[10 11 12 13]"),
    Example("GPU-Puzzles/puzzle2.py", prints="[0 2 4 6]"),
    Example("GPU-Puzzles/puzzle3.py", prints="[10 11 12 13]"),
    Example("GPU-Puzzles/puzzle4.py", prints="[[10 11]\n [12 13]]"),
    Example(
        "GPU-Puzzles/puzzle5.py",
        prints="[[0 1]\n [1 2]]",
        changes=(("SIZE * SIZE", "SIZE"), ("b[j][0]", "b[0][j]")),
    ),
    Example("ParRes/standalone/nstream.py", ("10", "1000"), "Solution validates"),
    Example("kokkos/scan_standalone.py", prints="[ 0  1  3  6 10 15 21 28 36 45] total=45.0"),
    Example(
        "kokkos-benchmarks/standalone/bytes_and_flops.py",
        ("2", "100", "32", "2", "1", "8", "4", "1", "0"),
        "GFlop/s",
    ),
    Example(
        "kokkos-benchmarks/standalone/gather.py", ("2", "100", "8", "16", "2", "8", "4"), "GFlop/s"
    ),
    Example(
        "kokkos-benchmarks/standalone/gups.py",
        ("--indices", "100", "--data", "1000", "--repeats", "3"),
        "GUP/s",
    ),
    Example(
        "kokkos-benchmarks/standalone/gups.py",
        ("--indices", "100", "--data", "1000", "--repeats", "3", "--atomics"),
        "GUP/s",
    ),
    Example("kokkos-tutorials/standalone/01.py", _SIZES, _MATRIX),
    Example("kokkos-tutorials/standalone/02.py", _SIZES, _MATRIX),
    Example("kokkos-tutorials/standalone/03.py", _SIZES, _MATRIX),
    Example("kokkos-tutorials/standalone/04.py", _SIZES, _MATRIX, changes=_ON_HOST),
    Example("kokkos-tutorials/standalone/subview.py", _SIZES, _MATRIX),
    Example("kokkos-tutorials/standalone/team_policy.py", _SIZES, _MATRIX),
    Example(
        "kokkos-tutorials/standalone/team_vector_loop.py",
        ("-N", "4", "-M", "4", "-E", "3"),
        "Computed result for 16 x 16 x 8 is 2048.0",
    ),
    Example("pykokkos/from_array.py"),
    Example("pykokkos/multi_gpu.py"),
    Example("pykokkos/streams.py"),
    # Its teams have 16 threads.
    Example("pykokkos/team_thread_mdrange.py", prints="[2. 2. 2. 2.]", threads=16),
)
