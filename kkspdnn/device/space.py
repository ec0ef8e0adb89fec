"""`--space NAME`: the execution space, the PyKokkos that runs it, and the shapes that suit it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kkspdnn.choices import SPACES, SpaceName
from kkspdnn.device.cuda_check import cuda_parts, found_versions
from kkspdnn.device.cuda_versions import cupy_misfits
from kkspdnn.device.other_gpus import other_gpus
from kkspdnn.device.space_names import refusal
from kkspdnn.device.transfer import CupyTransfer
from kkspdnn.errors import SpaceError, shown
from kkspdnn.pk import Front, chosen, provide_pykokkos
from kkspdnn.pk.build.toolchain import omp_num_threads, usable_cores
from kkspdnn.pk.dispatch import compile_ahead
from kkspdnn.pk.runtime.kokkos_runtime import MOST_THREADS, runtime
from kkspdnn.pk.system.cuda_driver import DEVICE_VARIABLE, Device, check_number
from kkspdnn.pk.system.cuda_driver import device as chosen_device
from kkspdnn.pk.system.fork import kokkos_process

_WARP = 32
"""Threads of a GPU that run in step, whose loads of neighbouring lanes are then full lines."""

_MOST_LANES_A_THREAD = 4
"""As the built-in compiler's packs have them: an index is loaded once for all of them."""

_FEW_ROWS = 512
"""Up to so many input rows, a lane for each thread makes more tiles, and so work for more of a
GPU."""

_WARPS_A_TEAM = 16
"""Warps that share a tile: a team of 512 threads, which all GPUs have the registers for."""

EXECUTION_SPACES = {"serial": "Serial", "openmp": "OpenMP", "cuda": "Cuda"}
"""`--space NAME` to `pk.NAME`."""


@dataclass(frozen=True)
class Space:
    """An execution space with Kokkos started in it.

    pk: the PyKokkos module; front: which one that is; execution_space: `pk.OpenMP` and the like
    threads: how many run at once
    tile_bytes: how many bytes of one neuron a tile holds side by side on a CPU: four SIMD registers
    lanes_a_thread: how many lanes of a tile each thread of a GPU's warp has
    warps_a_team: how many warps of a GPU share a tile
    xp: NumPy, or CuPy on a GPU: whose arrays the workunits take; device_name: the GPU's
    begin: to be called before each computation, in the thread that computes. It raises SpaceError
    in a process that was forked after Kokkos was started, and lets all threads compute as IEEE 754
    says; on a GPU it makes the device CuPy's current one
    device: the GPU; None on a CPU
    """

    name: SpaceName
    front: Front
    pk: ModuleType
    execution_space: Any
    threads: int
    kokkos_version: str
    compiler: str
    tile_bytes: int = 256
    lanes_a_thread: int = _MOST_LANES_A_THREAD
    warps_a_team: int = _WARPS_A_TEAM
    xp: ModuleType = np
    device: Device | None = None
    begin: Callable[[], None] = field(default=lambda: kokkos_process().check(), compare=False)

    @property
    def gpu(self) -> bool:
        """Do workunits run on a GPU?"""
        return self.name == "cuda"

    @property
    def device_name(self) -> str:
        """The name of the GPU; empty on a CPU."""
        return self.device.name if self.device is not None else ""

    @property
    def teams_at_once(self) -> int:
        """How many teams of a launch over tiles run at the same time."""
        return max(1, self.threads // (_WARP * self.warps_a_team)) if self.gpu else self.threads

    @property
    def team_size(self) -> int:
        """Threads of a team, each with lanes of its own, that share a tile."""
        return self.warps_a_team if self.gpu else 1

    def lanes(self, dtype: np.dtype[Any]) -> int:
        """Input rows in a tile."""
        return _WARP * self.lanes_a_thread if self.gpu else self.tile_bytes // dtype.itemsize

    def for_rows(self, rows: int, dtype: np.dtype[Any]) -> Space:
        """This space, with narrower tiles for few rows: on a CPU of one SIMD register where they
        fit into it, on a GPU of a lane a thread."""
        if self.gpu:
            return replace(self, lanes_a_thread=1) if rows <= _FEW_ROWS else self
        narrow = self.tile_bytes // 4
        return replace(self, tile_bytes=narrow) if rows * dtype.itemsize <= narrow else self

    def range(self, end: int) -> Any:
        """A RangePolicy over 0 … end - 1."""
        return self.pk.RangePolicy(self.execution_space, 0, end)

    def teams(self, league_size: int) -> Any:
        """A TeamPolicy over tiles, whose lanes are SIMD on a CPU and a warp's on a GPU."""
        if not self.gpu:
            return self.pk.TeamPolicy(self.execution_space, league_size, 1)
        return self.pk.TeamPolicy(self.execution_space, league_size, self.warps_a_team, _WARP)

    def empty(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
        """An array for workunits, not initialised."""
        return self.xp.empty(shape, dtype)

    def zeros(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
        """An array of zeros for workunits."""
        return self.xp.zeros(shape, dtype)

    def to_device(self, array: NDArray[Any]) -> Any:
        """Return a NumPy array for workunits: C-contiguous, and on a GPU a copy in its memory."""
        return self.xp.ascontiguousarray(self.xp.asarray(array))

    def device_memory(self) -> tuple[int, int]:
        """Bytes that are free on the GPU, those that CuPy keeps for later arrays too; and bytes
        that this process's arrays there have."""
        pool = self.xp.get_default_memory_pool()
        free = int(self.xp.cuda.runtime.memGetInfo()[0]) + int(pool.free_bytes())
        return free, int(pool.used_bytes())

    def transfer(self) -> CupyTransfer:
        """Return a stream for copies to the GPU that overlap with launches."""
        return CupyTransfer(self.xp)

    def to_host(self, array: Any) -> NDArray[Any]:
        """Return a workunit's array as a NumPy array: the same array, or a copy from the GPU."""
        copy: NDArray[Any] = array if self.xp is np else self.xp.asnumpy(array)
        return copy

    def warm_up(self, launch_each: Callable[[], object]) -> None:
        """Run some launches so that later ones find their workunits compiled and loaded.

        The built-in compiler compiles them all at once; the real PyKokkos one after the other.
        """
        if self.front == "builtin":
            compile_ahead(launch_each)
        launch_each()
        self.synchronize()  # what follows is timed

    def synchronize(self) -> None:
        """Return once all that was launched is done: a launch on a GPU only begins."""
        if self.xp is not np:
            self.xp.cuda.runtime.deviceSynchronize()


def open_space(name: str, threads: int | None = None, device: int | None = None) -> Space:
    """Start Kokkos in a space, building what is missing.

    threads: for openmp; None means OMP_NUM_THREADS, else all cores of this process. device: for
    cuda, its number within CUDA_VISIBLE_DEVICES; None means KOKKOS_DEVICE_ID, else 0. Raises
    SpaceError for an unknown space or device, a device for a CPU, for what this machine lacks, for
    more threads than OMP_THREAD_LIMIT allows, for another number of threads or another device than
    Kokkos already runs with in this process, and in a process that was forked after Kokkos was
    started; ToolchainError and CacheError where something cannot be built.
    """
    kokkos_process().check()
    check_device(device, check_space_name(name))
    choose_device(device)
    name = check_space(name)
    if threads is not None and not isinstance(threads, int | np.integer):
        raise SpaceError(f"threads {shown(threads)}: it must be a whole number")
    if threads is not None and threads < 1:
        raise SpaceError(f"{threads} threads: at least 1 is needed")
    wanted = threads if name == "openmp" and threads is not None else omp_num_threads()
    if wanted is not None and wanted > MOST_THREADS:
        raise SpaceError(f"{wanted} threads: Kokkos takes at most {MOST_THREADS}")
    front = chosen()
    pk = provide_pykokkos()
    execution_space = getattr(pk, EXECUTION_SPACES[name])
    xp = _cupy() if name == "cuda" else np
    begin = kokkos_process().check
    if front == "builtin":
        started = runtime(execution_space, threads if name == "openmp" else None)
        started.reset_modes()
        begin = started.reset_modes
        running = started.threads
        version = started.toolkit.kokkos_version
        compiler = started.toolkit.compiled_by
    else:
        kokkos_process().claim()
        if threads is not None and name == "openmp":
            os.environ["OMP_NUM_THREADS"] = str(threads)
        running = wanted or usable_cores()
        version = _pykokkos_version(pk)
        compiler = os.environ.get("CXX", "g++")
    if name == "serial":
        running = 1
    elif name == "cuda":
        begin = _on_device(xp, chosen_device().number, begin)
        running = _resident_threads(xp)
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
        xp=xp,
        device=chosen_device() if name == "cuda" else None,
        begin=begin,
    )


def check_device(number: int | None, space: SpaceName) -> None:
    """Raise SpaceError where a device of this number cannot be used in this space.

    On a machine without devices every number may be: what is missing there is told elsewhere.
    """
    if number is None:
        return
    if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
        raise SpaceError(f"device {shown(number)}: it must be a whole number from 0")
    if space != "cuda":
        raise SpaceError(f"device {number} is for space cuda; leave it out for {space}")
    check_number(int(number))


def choose_device(number: int | None) -> None:
    """Make this GPU the one of this process; None leaves the choice as it is."""
    if number is not None:
        os.environ[DEVICE_VARIABLE] = str(int(number))


def check_space_name(name: str) -> SpaceName:
    """The name itself; SpaceError where it is no space."""
    if not isinstance(name, str) or name not in SPACES:
        raise SpaceError(refusal(name))
    return name


def check_space(name: str) -> SpaceName:
    """The name itself; SpaceError where it is no space, or one that this machine has not all for.

    Takes no time: nothing is built or started.
    """
    space = check_space_name(name)
    if space != "cuda":
        return space
    # The compiler is not needed where the cache has all.
    parts = [part for part in cuda_parts() if part.name != "compiler"]
    missing = [f"{part.name} ({part.remedy})" for part in parts if part.found is None]
    no_driver = any(part.name == "driver" and part.found is None for part in parts)
    others = " and ".join(other_gpus()) if no_driver else ""
    if others:
        missing[-1] += f"; it has a GPU of {others}, but only NVIDIA GPUs are supported"
    if missing:
        raise SpaceError(
            f"--space cuda: this machine has no {', no '.join(missing)}; or use --space openmp"
        )
    for line in cupy_misfits(found_versions()):
        raise SpaceError(f"--space cuda: {line}; or use --space openmp")
    chosen_device()
    return space


def _cupy() -> ModuleType:
    """CuPy, on the device that Kokkos runs on. Raises SpaceError where it cannot be used."""
    number = chosen_device().number
    try:
        cupy = import_module("cupy")
        _use_device(cupy, number)
    except Exception as error:  # Its own errors come from libraries that it loads.
        said = str(error).strip().partition("\n")[0]
        raise SpaceError(
            f"CuPy cannot use device {number}: {said}; "
            f'see kkspdnn info, or run pip install "kkspdnn[{found_versions().extra}]"'
        ) from error
    return cupy


def _use_device(cupy: ModuleType, number: int) -> None:
    """Let CuPy use this device, in the calling thread, and the stream in which Kokkos launches, see
    CupyTransfer: what CuPy does in another stream is in no order with the launches."""
    cupy.cuda.Device(number).use()
    cupy.cuda.Stream.null.use()


def _on_device(cupy: ModuleType, number: int, begin: Callable[[], None]) -> Callable[[], None]:
    """As `begin`, and CuPy uses this device: its current device and stream are those of a thread,
    and only the thread that opens the space has chosen them."""

    def begin_here() -> None:
        begin()
        _use_device(cupy, number)

    return begin_here


def _resident_threads(cupy: ModuleType) -> int:
    """How many threads the GPU keeps at once: those of all its multiprocessors."""
    attributes = cupy.cuda.Device().attributes
    return int(attributes["MultiProcessorCount"] * attributes["MaxThreadsPerMultiProcessor"])


def _pykokkos_version(pk: ModuleType) -> str:
    """The version of the Kokkos under the real PyKokkos, as far as it tells."""
    manager = getattr(pk, "kokkos_manager", None)
    version = getattr(manager, "get_kokkos_version", None)
    return str(version()) if callable(version) else "unknown"
