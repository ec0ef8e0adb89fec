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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from kkspdnn.errors import SpaceError, ToolchainError
from kkspdnn.pk import kokkos_build, kokkos_cuda
from kkspdnn.pk.cache import Cache, default_cache
from kkspdnn.pk.driver import Device, device
from kkspdnn.pk.emit import Generated, lanes_header
from kkspdnn.pk.kokkos import Candidate, Kokkos, candidates, usable
from kkspdnn.pk.nvcc import Nvcc, find_nvcc
from kkspdnn.pk.paths import misread
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.toolchain import (
    OPTIONS,
    Compiler,
    build_tool,
    host_compiler,
    omp_num_threads,
    run,
    usable_cores,
)

_LOG = logging.getLogger("kkspdnn")

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


_ONE_AT_A_TIME = threading.RLock()
"""Two threads must not both start Kokkos."""


def toolkit(space: ExecutionSpace, arch: str | None = None) -> Toolkit:
    """Find or build Kokkos and the runtime library for `space`.

    Serial runs on the Kokkos for OpenMP where the compiler has OpenMP and that Kokkos has Serial,
    so that both share one cache entry. A Kokkos of the user's that cannot be linked with is passed
    over, unless the user named it. arch: what to compile for on a GPU, `sm_90`; None: what the
    device is. Raises ToolchainError, CacheError, or SpaceError for a space that cannot be had.
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
    gpu = Gpu(nvcc, arch)
    looked = candidates(kokkos_cuda.NEEDED, arch)
    return _first_linked(
        usable(looked),
        lambda found: _runtime_library(store, host, found, gpu),
        lambda: kokkos_cuda.build(store, host, nvcc, arch, _passed_over(looked)),
    )


def _passed_over(looked: Sequence[Candidate]) -> list[str]:
    return [each.passed_over for each in looked if each.passed_over is not None]


def _first_linked(
    found: Iterable[Candidate], link: Callable[[Kokkos], Toolkit], build: Callable[[], Kokkos]
) -> Toolkit:
    """The toolkit with the first Kokkos that links, else with the one that `build` gives."""
    for candidate in found:
        assert candidate.kokkos is not None
        try:
            return link(candidate.kokkos)
        except ToolchainError as error:
            if candidate.named:
                raise ToolchainError(
                    f"{candidate.place}: {error}; point it at another Kokkos, or unset it"
                ) from error
            _LOG.warning("passing over %s: %s", candidate.place, error)
    return link(build())


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
    if openmp and space is ExecutionSpace.Serial:
        both = _toolkit(ExecutionSpace.OpenMP)
        if "SERIAL" in both.kokkos.devices:
            return both
        # Two of them may be in one process, and must not share static objects.
        own = kokkos_build.build(store, compiler, openmp=False)
        return _runtime_library(store, compiler, own, suffix="_serial")
    looked = candidates(frozenset({"OPENMP" if openmp else "SERIAL"}))
    return _first_linked(
        usable(looked),
        lambda found: _runtime_library(store, compiler, found),
        lambda: kokkos_build.build(store, compiler, openmp, _passed_over(looked)),
    )


def _has_openmp(compiler: Compiler) -> bool:
    try:
        kokkos_build.require_openmp(compiler)
    except ToolchainError:
        return False
    return True


def _runtime_library(
    store: Cache, compiler: Compiler, found: Kokkos, gpu: Gpu | None = None, suffix: str = ""
) -> Toolkit:
    sources = ("CMakeLists.txt", "runtime.cpp")
    options = (*(OPTIONS if gpu is None else GPU_OPTIONS), *compiler.extra)
    if suffix:
        options = (*options, *compiler.own_statics)
    # Two libraries of one name cannot be in one process.
    name = f"kkspdnn_runtime{suffix if gpu is None else '_cuda'}"
    library = f"lib{name}.so"
    key = {
        "sources": "\n".join((_CPP / source).read_text() for source in sources),
        "options": " ".join(options),
        "compiler": f"{compiler.path}\n{compiler.version}\n{compiler.native}",
        "kokkos": f"{found.config}\n{found.stamp}",
        **(gpu.key if gpu is not None else {}),
    }
    environment: dict[str, str] = {}
    prefixes = os.environ.get("CMAKE_PREFIX_PATH")
    path = compiler.path
    flags = [f"-DCMAKE_SHARED_LINKER_FLAGS={shlex.join(compiler.extra)}"]
    if gpu is not None:
        environment = gpu.nvcc.environment(compiler)
        path = str(found.wrapper)
        flags += [f"-DCMAKE_CXX_FLAGS={kokkos_cuda.architecture_flag(gpu.arch)}"]

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
            # Where Kokkos was found, what it needs may be as well.
            environment={**environment, **({"CMAKE_PREFIX_PATH": prefixes} if prefixes else {})},
        )
        run(
            [build_tool("ninja"), "-C", build_folder],
            f"linking with the Kokkos in {found.config}",
            environment=environment,
        )
        shutil.move(build_folder / library, folder / library)
        shutil.move(build_folder / "compile_commands.json", folder / "compile_commands.json")
        shutil.rmtree(build_folder)

    kind = suffix.replace("_", "-") if gpu is None else f"-{gpu.arch}"
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


class Runtime:
    """Kokkos, started. One for a process: Kokkos cannot be started twice."""

    def __init__(self, kit: Toolkit, threads: int, device: Device | None = None) -> None:
        self.toolkit = kit
        self.device = device
        self.lock = threading.Lock()
        self._thread = threading.get_ident()
        self._entered = threading.local()
        try:
            self._library = ctypes.CDLL(str(kit.library))
        except OSError as error:
            raise ToolchainError(f"cannot load {kit.library}: {error}") from error
        self._library.kkspdnn_last_error.restype = ctypes.c_char_p
        number = device.number if device is not None else -1
        if self._library.kkspdnn_initialize(threads, number) != 0:
            raise ToolchainError(f"Kokkos did not start: {self.last_error()}")
        self._entered.done = True
        self.threads: int = self._library.kkspdnn_concurrency()
        atexit.register(self._library.kkspdnn_finalize)

    def enter(self) -> None:
        """To be called before every launch, by the thread that launches and has the lock."""
        if hasattr(self._entered, "done"):
            return
        before = os.sched_getaffinity(0)
        try:
            self._library.kkspdnn_enter()
        finally:
            # See _placed_threads: what else this thread of Python does is not OpenMP's business.
            os.sched_setaffinity(0, before)
        self._entered.done = True

    def last_error(self) -> str:
        text: bytes = self._library.kkspdnn_last_error()
        first = text.decode(errors="replace").partition("\n")[0]
        if threading.get_ident() != self._thread:
            # Kokkos 3.5 to 3.7 refuse others.
            first += "; launch from the thread that started Kokkos"
        return first


@cache
def _started(kit: Toolkit, device: Device | None) -> Runtime:
    if device is not None:
        return Runtime(kit, 0, device)
    with _placed_threads():
        return Runtime(kit, omp_num_threads() or 0)


def runtime(space: ExecutionSpace) -> Runtime:
    """Kokkos for `space`, started on the first call: with OMP_NUM_THREADS threads, or on the
    device that KOKKOS_DEVICE_ID names.

    Raises SpaceError where it runs on another device of this process already.
    """
    with _ONE_AT_A_TIME:
        if space is not ExecutionSpace.Cuda:
            return _started(toolkit(space), None)
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
    return _started(toolkit(ExecutionSpace.Cuda, wanted.arch), wanted)


@contextmanager
def _placed_threads() -> Iterator[None]:
    """Keep OpenMP's threads on their cores, unless the user or a busy machine has other plans.

    OpenMP reads its variables when its library is loaded, so they need not stay. It also binds the
    thread that starts it; that one goes free again, for else all that Python does later, and every
    tool that it starts, would share one core.
    """
    fits = (omp_num_threads() or 0) <= usable_cores()
    chosen = any(name.startswith(("OMP_PROC_BIND", "OMP_PLACES")) for name in os.environ)
    added = {"OMP_PROC_BIND": "spread", "OMP_PLACES": "cores"} if fits and not chosen else {}
    before = os.sched_getaffinity(0)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
        if added:
            os.sched_setaffinity(0, before)
