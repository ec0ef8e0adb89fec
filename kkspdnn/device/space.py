"""Execution spaces: their start, their arrays, and the shapes of tiles and teams in them."""

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
from kkspdnn.device.aligned import aligned_empty
from kkspdnn.device.cuda_check import cuda_requirements, detect_versions
from kkspdnn.device.cuda_versions import cupy_conflicts
from kkspdnn.device.gpu_vendors import unsupported_gpu_vendors
from kkspdnn.device.launch_parameters import LaunchParameters
from kkspdnn.device.multiprocessors import Multiprocessors
from kkspdnn.device.space_names import unknown_space
from kkspdnn.device.transfer import CupyTransfer
from kkspdnn.errors import SpaceError, ToolchainError, first_line, is_whole, short_repr
from kkspdnn.pk import (
    IMPLEMENTATION_VARIABLE,
    Implementation,
    active_implementation,
    language,
    warn_debug_mode,
    warn_fallback,
)
from kkspdnn.pk.build.toolchain import omp_num_threads, usable_cores
from kkspdnn.pk.dispatch import compile_ahead, kernel_registers
from kkspdnn.pk.installed.start import start_pykokkos
from kkspdnn.pk.policy import INT32_MAX, ExecutionSpace
from kkspdnn.pk.runtime.kokkos_runtime import MAX_THREADS, get_runtime
from kkspdnn.pk.system.cuda_driver import (
    DEVICE_VARIABLE,
    Device,
    check_device_number,
    selected_device,
)
from kkspdnn.pk.system.fork import kokkos_process

EXECUTION_SPACES = {"serial": "Serial", "openmp": "OpenMP", "cuda": "Cuda"}
"""The names of `--space`, with the names of their execution spaces in PyKokkos."""


@dataclass(frozen=True)
class Space:
    """An execution space in which Kokkos runs.

    name: serial, openmp or cuda
    implementation: of PyKokkos: builtin (the built-in compiler) or pykokkos (the real package)
    pk: the module of that PyKokkos
    execution_space: such as `pk.OpenMP`
    threads: the number of threads that run concurrently
    launch: the shapes of tiles and teams
    xp: the array module of the workunits: NumPy, or CuPy on a GPU
    device: the GPU; None on a CPU
    multiprocessors: of the GPU; None on a CPU
    prepare_thread: to be called before each computation, in the thread that computes. It selects
    IEEE 754 arithmetic in all threads, and on a GPU makes the device CuPy's current one. It raises
    SpaceError if the process was forked after Kokkos was started.
    """

    name: SpaceName
    implementation: Implementation
    pk: ModuleType
    execution_space: Any
    threads: int
    kokkos_version: str
    compiler: str
    launch: LaunchParameters
    xp: ModuleType = np
    device: Device | None = None
    multiprocessors: Multiprocessors | None = None
    prepare_thread: Callable[[], None] = field(
        default=lambda: kokkos_process().check(), compare=False
    )

    @property
    def gpu(self) -> bool:
        """True if workunits run on a GPU."""
        return self.name == "cuda"

    @property
    def device_name(self) -> str:
        """The name of the GPU; empty on a CPU."""
        return self.device.name if self.device is not None else ""

    def concurrent_teams(self, workunit: Any = None) -> int:
        """Return the number of teams of a launch over tiles that run concurrently.

        workunit: determines the registers of a thread on a GPU; None, or if it is not compiled:
        as many as `LaunchBounds` allows
        """
        if self.multiprocessors is None:
            return self.threads
        registers = None
        if workunit is not None and self.implementation == "builtin":
            registers = kernel_registers(workunit, self.execution_space)
        return self.multiprocessors.concurrent_teams(self.launch.team_threads, registers)

    def for_rows(self, rows: int, dtype: np.dtype[Any]) -> Space:
        """Return this space with narrower tiles if there are few rows."""
        launch = self.launch.for_rows(rows, dtype)
        return self if launch == self.launch else replace(self, launch=launch)

    def range(self, end: int) -> Any:
        """Return a RangePolicy over 0 … end - 1."""
        return self.pk.RangePolicy(self.execution_space, 0, end)

    def teams(self, league_size: int, width: int = INT32_MAX) -> Any:
        """Return a TeamPolicy over tiles; vector lanes are SIMD lanes on a CPU.

        width: the number of work items of a team; a team has no more threads of its own
        """
        launch = self.launch
        return self.row_teams(league_size, min(launch.team_size, width), launch.vector_length)

    def row_teams(self, league_size: int, team_size: int, vector_length: int) -> Any:
        """Return a TeamPolicy over rows; on a CPU a team is one thread."""
        if not self.gpu:
            return self.pk.TeamPolicy(self.execution_space, league_size, 1)
        return self.pk.TeamPolicy(self.execution_space, league_size, team_size, vector_length)

    def empty(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return an uninitialised array for workunits; on a CPU it starts at a page."""
        return aligned_empty(shape, dtype) if self.xp is np else self.xp.empty(shape, dtype)

    def zeros(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> Any:
        """Return an array of zeros for workunits."""
        return self.xp.zeros(shape, dtype)

    def to_device(self, array: NDArray[Any]) -> Any:
        """Return a NumPy array for workunits: C-contiguous, and on a GPU a copy in its memory."""
        return self.xp.ascontiguousarray(self.xp.asarray(array))

    def device_memory(self) -> tuple[int, int]:
        """Return the free bytes of the GPU and the bytes of this process's arrays on it.

        Memory that CuPy's pool keeps for later arrays is free.
        """
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
        """Compile and load workunits by launching each of them.

        They are compiled in parallel on all cores.
        """
        compile_all = compile_ahead if self.implementation == "builtin" else self.pk.compile_ahead
        compile_all(launch_each)
        launch_each()
        self.synchronize()  # keeps the launches out of later timings

    def synchronize(self) -> None:
        """Wait until all launches are done; on a GPU a launch is asynchronous."""
        if self.xp is not np:
            self.xp.cuda.runtime.deviceSynchronize()


def open_space(name: str, threads: int | None = None, device: int | None = None) -> Space:
    """Start Kokkos in an execution space; on first use Kokkos is built.

    threads: for openmp; None means OMP_NUM_THREADS, else all cores of this process
    device: for cuda, a number within CUDA_VISIBLE_DEVICES; None means KOKKOS_DEVICE_ID, else 0

    Raises SpaceError for an unknown space or device, for a device with a CPU space, for missing
    requirements, for more threads than OMP_THREAD_LIMIT, if Kokkos already runs in this process
    with another number of threads or another device, and in a process that was forked after Kokkos
    was started. Raises ToolchainError and CacheError if a build fails.
    """
    kokkos_process().check()
    check_device(device, check_space_name(name))
    choose_device(device)
    name = check_space(name)
    requested = _requested_threads(name, threads)
    implementation = active_implementation()
    execution_space = ExecutionSpace[EXECUTION_SPACES[name]]
    xp = _cupy() if name == "cuda" else np
    prepare_thread = kokkos_process().check
    pk: Any = language
    if implementation == "pykokkos":
        kokkos_process().claim()
        try:
            pk, running = start_pykokkos(execution_space, requested or usable_cores())
            version, compiler = pk.modules.kokkos_version, pk.modules.compiler.version
        except ToolchainError as error:
            if os.environ.get(IMPLEMENTATION_VARIABLE):
                raise
            warn_fallback(str(error))
            implementation = "builtin"
    if implementation == "builtin":
        started = get_runtime(execution_space, threads if name == "openmp" else None)
        started.reset_float_modes()
        prepare_thread = started.reset_float_modes
        running = started.threads
        version = started.library.kokkos_version
        compiler = started.library.compiled_by
    warn_debug_mode(implementation)
    multiprocessors = None
    if name == "serial":
        running = 1
    elif name == "cuda":
        prepare_thread = _prepare_on_device(xp, selected_device().number, prepare_thread)
        multiprocessors = Multiprocessors.of_device(xp)
        running = multiprocessors.count * multiprocessors.threads
    elif threads is not None and running != threads:
        raise SpaceError(
            f"Kokkos runs with {running} threads in this process already; "
            f"start a new process for {threads}"
        )
    return Space(
        name=name,
        implementation=implementation,
        pk=pk,
        execution_space=execution_space,
        threads=running,
        kokkos_version=version,
        compiler=compiler,
        launch=LaunchParameters.native(name),
        xp=xp,
        device=selected_device() if name == "cuda" else None,
        multiprocessors=multiprocessors,
        prepare_thread=prepare_thread,
    )


def _requested_threads(name: SpaceName, threads: int | None) -> int | None:
    """Return the number of threads of the call or of OMP_NUM_THREADS; raise SpaceError if it cannot
    be had."""
    if threads is not None and not is_whole(threads):
        raise SpaceError(f"threads {short_repr(threads)}: it must be a whole number")
    if threads is not None and threads < 1:
        raise SpaceError(f"{threads} threads: at least 1 is needed")
    requested = threads if name == "openmp" and threads is not None else omp_num_threads()
    if requested is not None and requested > MAX_THREADS:
        raise SpaceError(f"{requested} threads: Kokkos supports at most {MAX_THREADS}")
    return requested


def check_device(number: int | None, space: SpaceName) -> None:
    """Raise SpaceError if the space is not cuda, or if there is no device of this number.

    On a machine without devices any number passes: `check_space` reports what is missing.
    """
    if number is None:
        return
    if not is_whole(number) or number < 0:
        raise SpaceError(f"device {short_repr(number)}: it must be a whole number from 0")
    if space != "cuda":
        raise SpaceError(f"device {number} is for space cuda; leave it out for {space}")
    check_device_number(int(number))


def choose_device(number: int | None) -> None:
    """Select the GPU of this process; None keeps the current choice."""
    if number is not None:
        os.environ[DEVICE_VARIABLE] = str(int(number))


def check_space_name(name: str) -> SpaceName:
    """Return the name; raise SpaceError if it is not an execution space."""
    if not isinstance(name, str) or name not in SPACES:
        raise SpaceError(unknown_space(name))
    return name


def check_space(name: str) -> SpaceName:
    """Return the name; raise SpaceError if it is unknown or if this machine lacks a requirement.

    Fast: nothing is built or started.
    """
    space = check_space_name(name)
    if space != "cuda":
        return space
    # No compiler is needed if the cache has all compiled workunits.
    requirements = [each for each in cuda_requirements() if each.name != "compiler"]
    missing = [each for each in requirements if each.detected is None]
    remedies = [f"{each.name} ({each.remedy})" for each in missing]
    no_driver = any(each.name == "driver" for each in missing)
    vendors = " and ".join(unsupported_gpu_vendors()) if no_driver else ""
    if vendors:
        remedies[-1] += f"; it has a GPU of {vendors}, but only NVIDIA GPUs are supported"
    if remedies:
        raise SpaceError(
            f"space='cuda': this machine has no {', no '.join(remedies)}; or use space='openmp'"
        )
    for conflict in cupy_conflicts(detect_versions()):
        raise SpaceError(f"space='cuda': {conflict}; or use space='openmp'")
    selected_device()
    return space


def _cupy() -> ModuleType:
    """Import CuPy and select Kokkos's device in it; raise SpaceError if that fails."""
    number = selected_device().number
    try:
        cupy = import_module("cupy")
        _use_device(cupy, number)
    except Exception as error:  # The libraries that CuPy loads raise exceptions of any type.
        raise SpaceError(
            f"CuPy cannot use device {number}: {first_line(error)}; see kkspdnn info, or run "
            f"{detect_versions().install_command}"
        ) from error
    return cupy


def _use_device(cupy: ModuleType, number: int) -> None:
    """Select the device and the stream of CuPy in the calling thread.

    The stream is ordered with the launches of Kokkos, see CupyTransfer; another one would not be.
    """
    cupy.cuda.Device(number).use()
    cupy.cuda.Stream.null.use()


def _prepare_on_device(
    cupy: ModuleType, number: int, prepare_thread: Callable[[], None]
) -> Callable[[], None]:
    """Return a function that calls `prepare_thread` and selects CuPy's device.

    CuPy's current device and stream are per thread, and so far only the thread that opened the
    space has selected them.
    """

    def prepare() -> None:
        prepare_thread()
        _use_device(cupy, number)

    return prepare
