"""Kokkos in this process: the runtime library, its threads, and the workunits compiled for it."""

from __future__ import annotations

import atexit
import ctypes
import json
import logging
import os
import shlex
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kkspdnn.errors import SpaceError, ToolchainError
from kkspdnn.pk import kokkos as kokkos_module
from kkspdnn.pk import kokkos_cuda
from kkspdnn.pk.cache import Cache, default_cache
from kkspdnn.pk.cpu_quota import cpu_quota
from kkspdnn.pk.driver import Device, device
from kkspdnn.pk.emit import Generated, lanes_header
from kkspdnn.pk.kokkos import Kokkos
from kkspdnn.pk.nvcc import Nvcc, find_nvcc
from kkspdnn.pk.openmp import openmp_is_loaded, starting_openmp, was_forked
from kkspdnn.pk.paths import misread
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.process import ProcessLock, kokkos_process
from kkspdnn.pk.toolchain import (
    OPTIONS,
    Compiler,
    build_tool,
    host_compiler,
    omp_num_threads,
    run,
)

_CPP = Path(__file__).parent / "cpp"

GPU_OPTIONS = ("--fmad=false", "-fPIC", "-fno-gnu-unique")
"""For nvcc_wrapper, which gives the host compiler what it does not know itself.

--fmad=false: products and sums are rounded apart on the GPU as well, see OPTIONS. Without
-fno-gnu-unique a Kokkos for GPUs and one for CPUs in the same process would share static objects.
"""


@dataclass(frozen=True)
class Gpu:
    """What compiling for a GPU needs besides: nvcc, and the architecture, `sm_90`."""

    nvcc: Nvcc
    arch: str

    @property
    def key(self) -> dict[str, str]:
        """What of it a cache entry depends on."""
        return {"nvcc": f"{self.nvcc.home}\n{self.nvcc.version}", "arch": self.arch}


@dataclass(frozen=True)
class Toolkit:
    """All that compiling a workunit needs, found or built, nothing loaded yet.

    compiler: of the host; compile: the command that compiled the runtime library, without its
    file names; gpu: None on a CPU; environment: what the compiler needs to be run with
    """

    cache: Cache
    compiler: Compiler
    kokkos: Kokkos
    library: Path
    compile: tuple[str, ...]
    gpu: Gpu | None = None
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def compiled_by(self) -> str:
        """The compiler of the workunits and its version."""
        return self.compiler.version if self.gpu is None else f"nvcc {self.gpu.nvcc.version}"

    def workunit(self, generated: Generated) -> Path:
        """The shared library of one workunit, compiled where the cache has none."""
        lanes = _CPP / lanes_header(self.gpu is not None)
        key = {
            "source": generated.text,
            "lanes": lanes.read_text(),
            "compile": shlex.join(self.compile),
            "compiler": self.compiler.version,
            "native": self.compiler.native,
            "kokkos": self.kokkos.stamp,
            "runtime": str(self.library),
            **(self.gpu.key if self.gpu is not None else {}),
        }

        def build(folder: Path) -> None:
            source = folder / "workunit.cpp"
            source.write_text(generated.text, encoding="utf-8", errors="surrogateescape")
            # Beside it: Kokkos' nvcc_wrapper could not take a space in the path of a folder.
            shutil.copy(lanes, folder)
            run(
                [*self.compile, "-shared", "workunit.cpp", "-o", "workunit.so"]
                + [str(self.library), f"-Wl,-rpath,{self.library.parent}"],
                f"compiling workunit {generated.name}",
                cwd=folder,
                environment=self.environment,
            )

        return self.cache.entry("workunits", generated.name, key, build) / "workunit.so"


_ONE_AT_A_TIME = ProcessLock()
"""Two threads must not both start Kokkos."""


def toolkit(space: ExecutionSpace, arch: str | None = None) -> Toolkit:
    """Find or build Kokkos and the runtime library for `space`.

    Serial runs on the OpenMP build where the compiler has OpenMP, so that both share one cache
    entry. arch: what to compile for on a GPU, `sm_90`; None: what the device is. Raises
    ToolchainError, CacheError, or SpaceError for a space that cannot be had.
    """
    with _ONE_AT_A_TIME:
        if space is ExecutionSpace.Cuda:
            return _gpu_toolkit(arch or device().arch)
        return _toolkit(space)


@cache
def _gpu_toolkit(arch: str) -> Toolkit:
    host, nvcc = host_compiler(), find_nvcc()
    nvcc.check(arch)
    store = default_cache()
    _refuse_spaces(host, nvcc, store)
    found = kokkos_module.find(kokkos_cuda.DEVICES, arch) or kokkos_cuda.build(
        store, host, nvcc, arch
    )
    return _runtime_library(store, host, found, Gpu(nvcc, arch))


def _refuse_spaces(host: Compiler, nvcc: Nvcc, store: Cache) -> None:
    """Raise ToolchainError where Kokkos' nvcc_wrapper would part a path in two."""
    for what, path, remedy in (
        ("the cache", store.root, "set KKSPDNN_CACHE to another folder"),
        ("the CUDA toolkit", nvcc.home, "set CUDA_HOME to a toolkit elsewhere"),
        ("the C++ compiler", Path(host.path), "set CXX to one elsewhere"),
    ):
        odd = misread(path, wrapper=True)
        if odd is not None:
            raise ToolchainError(f"{what} {odd} for a GPU; {remedy}")


@cache
def _toolkit(space: ExecutionSpace) -> Toolkit:
    store = default_cache()
    compiler = host_compiler()
    openmp = space is ExecutionSpace.OpenMP or _has_openmp(compiler)
    needed = frozenset({"OPENMP", "SERIAL"} if openmp else {"SERIAL"})
    found = kokkos_module.find(needed) or kokkos_module.build(store, compiler, openmp)
    return _runtime_library(store, compiler, found)


def _has_openmp(compiler: Compiler) -> bool:
    try:
        kokkos_module.require_openmp(compiler)
    except ToolchainError:
        return False
    return True


def _runtime_library(
    store: Cache, compiler: Compiler, found: Kokkos, gpu: Gpu | None = None
) -> Toolkit:
    sources = ("CMakeLists.txt", "runtime.cpp")
    options = OPTIONS if gpu is None else GPU_OPTIONS
    # Two libraries of one name cannot be in one process.
    name = "kkspdnn_runtime" if gpu is None else "kkspdnn_runtime_cuda"
    library = f"lib{name}.so"
    key = {
        "sources": "\n".join((_CPP / source).read_text() for source in sources),
        "options": " ".join(options),
        "compiler": f"{compiler.path}\n{compiler.version}\n{compiler.native}",
        "kokkos": f"{found.config}\n{found.stamp}",
        **(gpu.key if gpu is not None else {}),
    }
    environment: dict[str, str] = {}
    path, flags = compiler.path, []
    if gpu is not None:
        environment = gpu.nvcc.environment(compiler)
        path = str(found.wrapper)
        flags = [f"-DCMAKE_CXX_FLAGS={kokkos_cuda.architecture_flag(gpu.arch)}"]

    def build(folder: Path) -> None:
        for source in sources:
            shutil.copy(_CPP / source, folder)
        cmake = build_tool("cmake")
        build_folder = folder / "build"
        run(
            [cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={build_tool('ninja')}"]
            + [f"-DCMAKE_CXX_COMPILER={path}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
            + ["-DCMAKE_BUILD_TYPE=Release", f"-DKokkos_DIR={found.config}", *flags]
            + [f"-DKKSPDNN_NAME={name}", f"-DKKSPDNN_OPTIONS={';'.join(options)}"]
            + ["-S", folder, "-B", build_folder],
            f"configuring with the Kokkos in {found.config}",
            environment=environment,
        )
        run(
            [build_tool("ninja"), "-C", build_folder],
            f"linking with the Kokkos in {found.config}",
            environment=environment,
        )
        shutil.move(build_folder / library, folder / library)
        shutil.move(build_folder / "compile_commands.json", folder / "compile_commands.json")
        shutil.rmtree(build_folder)

    kind = "" if gpu is None else f"-{gpu.arch}"
    place = store.entry("runtime", f"kokkos-{found.version}{kind}", key, build)
    commands = json.loads((place / "compile_commands.json").read_text())
    command = _flags(shlex.split(commands[0]["command"]))
    return Toolkit(store, compiler, found, place / library, command, gpu, environment)


def _flags(command: Sequence[str]) -> tuple[str, ...]:
    """The compiler and its flags, without input, output and dependency files."""
    kept: list[str] = []
    skip = False
    for word in command:
        if skip:
            skip = False
        elif word in ("-o", "-c", "-MF", "-MT", "-MQ"):
            skip = True
        elif word != "-MD" and not word.startswith("-Dkkspdnn_runtime"):
            kept.append(word)
    return tuple(kept)


MOST_THREADS = 512
"""OpenMP threads that Kokkos 3.4 has room for; it dies of more without a word."""

_PATIENCE = 5
"""Seconds after which OpenMP is taken to be dead, see `_check_openmp`."""


class Runtime:
    """Kokkos, started. One for a process: Kokkos cannot be started twice."""

    def __init__(self, kit: Toolkit, threads: int | None, device: Device | None = None) -> None:
        """threads: as for `runtime`."""
        self.toolkit = kit
        self.device = device
        self.lock = threading.Lock()
        self._process = os.getpid()
        self._thread = threading.get_ident()
        self._entered = threading.local()
        inherited = was_forked() and openmp_is_loaded()
        try:
            self._library = ctypes.CDLL(str(kit.library))
        except OSError as error:
            raise ToolchainError(f"cannot load {kit.library}: {error}") from error
        self._library.kkspdnn_last_error.restype = ctypes.c_char_p
        wanted = self._allowed(threads)
        if inherited:
            self._check_openmp(wanted)
        number = device.number if device is not None else -1
        kokkos_process().claim()
        if self._library.kkspdnn_initialize(wanted, number) != 0:
            raise ToolchainError(f"Kokkos did not start: {self.last_error()}")
        self._entered.done = True
        self.threads: int = self._library.kkspdnn_concurrency()
        self._run = self._library.kkspdnn_run
        self._run.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
        atexit.register(self._finalize)

    def _allowed(self, threads: int | None) -> int:
        """The threads to start Kokkos with, no more than OpenMP gives."""
        limit: int = self._library.kkspdnn_thread_limit()
        if threads is not None:
            if threads > limit:
                raise SpaceError(
                    f"{threads} threads: OMP_THREAD_LIMIT allows {limit}; ask for at most {limit}, "
                    "or raise OMP_THREAD_LIMIT"
                )
            return threads
        said = omp_num_threads()
        if said is None:
            # OpenMP counts the cores that it may run on, but knows no quota.
            most = min(limit, MOST_THREADS, cpu_quota() or MOST_THREADS)
            default: int = self._library.kkspdnn_default_threads()
            return min(most, default)
        if said > limit:
            logging.getLogger("kkspdnn").warning(
                "OMP_NUM_THREADS=%d, but OMP_THREAD_LIMIT allows %d: running with %d threads",
                said,
                limit,
                limit,
            )
        return min(said, limit)

    def _check_openmp(self, threads: int) -> None:
        """Raise SpaceError if OpenMP waits for threads that a fork has left behind."""
        if not self._library.kkspdnn_openmp_answers(threads, _PATIENCE):
            raise SpaceError(
                "this process was forked after a library in it had used OpenMP, whose threads "
                "were not: start processes with the `spawn` method "
                "(multiprocessing.get_context('spawn'))"
            )

    def _finalize(self) -> None:
        """Stop Kokkos when the process ends. A process that was forked from it leaves it alone."""
        if os.getpid() == self._process:
            self._library.kkspdnn_finalize()

    def launch(self, function: int, label: bytes, arguments: bytes) -> bool:
        """Run the compiled workunit at the address `function`; False if it failed.

        Raises SpaceError in a process that was forked after Kokkos was started.
        """
        if os.getpid() != self._process:
            kokkos_process().check()
        with self.lock:
            self._enter()
            return not self._run(function, label, arguments)

    def reset_modes(self) -> None:
        """Let all threads of OpenMP compute as IEEE 754 says, whatever other libraries set.

        Cheap: to be called before each computation.
        """
        kokkos_process().check()
        with self.lock:
            self._enter()
            self._library.kkspdnn_reset_modes()

    def _enter(self) -> None:
        """Make OpenMP know the thread that launches, and has the lock."""
        if hasattr(self._entered, "done"):
            return
        before = os.sched_getaffinity(0)
        try:
            self._library.kkspdnn_enter()
        finally:
            # See starting_openmp: what else this thread of Python does is not OpenMP's business.
            os.sched_setaffinity(0, before)
        self._entered.done = True

    def last_error(self) -> str:
        text: bytes = self._library.kkspdnn_last_error()
        first = text.decode(errors="replace").partition("\n")[0]
        if threading.get_ident() != self._thread:
            # Kokkos 3.5 to 3.7 refuse others.
            first += "; launch from the thread that started Kokkos"
        return first


class _Runtimes:
    """Those of this process: a Runtime for each library and device."""

    def __init__(self) -> None:
        self._started: dict[tuple[Toolkit, Device | None], Runtime] = {}

    def get(self, kit: Toolkit, device: Device | None, threads: int | None) -> Runtime:
        """threads: only for the first call"""
        found = self._started.get((kit, device))
        if found is None:
            with starting_openmp(threads or omp_num_threads()):
                found = self._started[kit, device] = Runtime(kit, threads, device)
        return found


@cache
def _runtimes() -> _Runtimes:
    return _Runtimes()


def runtime(space: ExecutionSpace, threads: int | None = None) -> Runtime:
    """Kokkos for `space`, started on the first call; later calls give the same Runtime.

    threads: how many OpenMP threads it is started with; None: OMP_NUM_THREADS, else as many as
    there are cores for this process. OMP_THREAD_LIMIT is obeyed. On a GPU it runs on the device
    that KOKKOS_DEVICE_ID names.

    Raises SpaceError if OpenMP does not allow so many threads, if Kokkos runs on another device of
    this process already, and in a process that was forked after Kokkos was started.
    """
    kokkos_process().check()
    with _ONE_AT_A_TIME:
        if space is not ExecutionSpace.Cuda:
            return _runtimes().get(toolkit(space), None, threads)
        return _on_device(device())


@cache
def _device_of_process() -> Device:
    """The first that was asked for: Kokkos keeps it to the end."""
    return device()


def _on_device(wanted: Device) -> Runtime:
    first = _device_of_process()
    if first != wanted:
        raise SpaceError(
            f"Kokkos runs on device {first.number} in this process already; "
            f"start a new process for device {wanted.number}"
        )
    return _runtimes().get(toolkit(ExecutionSpace.Cuda, wanted.arch), wanted, None)
