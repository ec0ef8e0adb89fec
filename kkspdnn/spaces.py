"""`--space NAME`: the execution space, the PyKokkos that runs it, and the shapes that suit it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np

from kkspdnn.cuda import cuda_parts
from kkspdnn.errors import SpaceError
from kkspdnn.pk import Front, chosen, provide_pykokkos
from kkspdnn.pk.dispatch import compile_ahead
from kkspdnn.pk.runtime import runtime
from kkspdnn.pk.toolchain import omp_num_threads, usable_cores

SpaceName = Literal["serial", "openmp", "cuda"]
SPACES: tuple[SpaceName, ...] = ("serial", "openmp", "cuda")
_MOST_THREADS = 512
"""OpenMP threads that Kokkos 3.4 has room for; it dies of more without a word."""

EXECUTION_SPACES = {"serial": "Serial", "openmp": "OpenMP", "cuda": "Cuda"}
"""`--space NAME` to `pk.NAME`."""


@dataclass(frozen=True)
class Space:
    """An execution space with Kokkos started in it.

    pk: the PyKokkos module; front: which one that is; execution_space: `pk.OpenMP` and the like
    threads: how many run at once
    tile_bytes: how many bytes of one neuron a tile holds side by side: four SIMD registers
    """

    name: SpaceName
    front: Front
    pk: ModuleType
    execution_space: Any
    threads: int
    kokkos_version: str
    compiler: str
    tile_bytes: int = 256

    def lanes(self, dtype: np.dtype[Any]) -> int:
        """Input rows in a tile."""
        return self.tile_bytes // dtype.itemsize

    def range(self, end: int) -> Any:
        """A RangePolicy over 0 … end - 1."""
        return self.pk.RangePolicy(self.execution_space, 0, end)

    def teams(self, league_size: int) -> Any:
        """A TeamPolicy of one thread a team: on a CPU the lanes are SIMD, not threads."""
        return self.pk.TeamPolicy(self.execution_space, league_size, 1)

    def warm_up(self, launch_each: Callable[[], object]) -> None:
        """Run some launches so that later ones find their workunits compiled and loaded.

        The built-in compiler compiles them all at once; the real PyKokkos one after the other.
        """
        if self.front == "builtin":
            compile_ahead(launch_each)
        launch_each()


def open_space(name: str, threads: int | None = None) -> Space:
    """Start Kokkos in a space, building what is missing.

    threads: for openmp; None means OMP_NUM_THREADS, else all cores of this process. Raises
    SpaceError for an unknown space, and for another number of threads than Kokkos already runs
    with in this process; ToolchainError and CacheError where something cannot be built.
    """
    name = check_space(name)
    if threads is not None and threads < 1:
        raise SpaceError(f"{threads} threads: at least 1 is needed")
    wanted = threads if name == "openmp" and threads is not None else omp_num_threads()
    if wanted is not None and wanted > _MOST_THREADS:
        raise SpaceError(f"{wanted} threads: Kokkos takes at most {_MOST_THREADS}")
    if threads is not None and name == "openmp":
        os.environ["OMP_NUM_THREADS"] = str(threads)
    front = chosen()
    pk = provide_pykokkos()
    execution_space = getattr(pk, EXECUTION_SPACES[name])
    if front == "builtin":
        started = runtime(execution_space)
        running = started.threads
        version = started.toolkit.kokkos.version
        compiler = started.toolkit.compiler.version
    else:
        running = wanted or usable_cores()
        version = _pykokkos_version(pk)
        compiler = os.environ.get("CXX", "g++")
    if name == "serial":
        running = 1
    elif threads is not None and running != threads:
        raise SpaceError(
            f"Kokkos runs with {running} threads in this process already; "
            f"start a new process for {threads}"
        )
    return Space(
        name=name,
        front=front,
        pk=pk,
        execution_space=execution_space,
        threads=running,
        kokkos_version=version,
        compiler=compiler,
    )


def check_space(name: str) -> SpaceName:
    """The name itself; SpaceError where it is no space, or one without a back end here."""
    if name not in SPACES:
        raise SpaceError(f"space {name!r} is unknown: choose one of {', '.join(SPACES)}")
    if name != "cuda":
        return name
    missing = [f"{part.name} ({part.remedy})" for part in cuda_parts() if part.found is None]
    here = f"; missing on this machine: {', '.join(missing)}" if missing else ""
    raise SpaceError(f"--space cuda: kkspdnn has no CUDA back end, use --space openmp{here}")


def _pykokkos_version(pk: ModuleType) -> str:
    """The version of the Kokkos under the real PyKokkos, as far as it tells."""
    manager = getattr(pk, "kokkos_manager", None)
    version = getattr(manager, "get_kokkos_version", None)
    return str(version()) if callable(version) else "unknown"
