"""Kokkos in this process: the runtime library, its threads, and the workunits compiled for it."""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import shlex
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kkspdnn.errors import SpaceError, ToolchainError
from kkspdnn.pk import kokkos as kokkos_module
from kkspdnn.pk.cache import Cache, default_cache
from kkspdnn.pk.emit import Generated
from kkspdnn.pk.kokkos import Kokkos
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

_CPP = Path(__file__).parent / "cpp"
_LIBRARY = "libkkspdnn_runtime.so"


@dataclass(frozen=True)
class Toolkit:
    """All that compiling a workunit needs, found or built, nothing loaded yet.

    compile: the command that compiled the runtime library, without its file names
    """

    cache: Cache
    compiler: Compiler
    kokkos: Kokkos
    library: Path
    compile: tuple[str, ...]

    def workunit(self, generated: Generated) -> Path:
        """The shared library of one workunit, compiled where the cache has none."""
        key = {
            "source": generated.text,
            "lanes": (_CPP / "kkspdnn_lanes.hpp").read_text(),
            "compile": shlex.join(self.compile),
            "compiler": self.compiler.version,
            "native": self.compiler.native,
            "kokkos": self.kokkos.stamp,
            "runtime": str(self.library),
        }

        def build(folder: Path) -> None:
            source = folder / "workunit.cpp"
            source.write_text(generated.text, encoding="utf-8", errors="surrogateescape")
            run(
                [*self.compile, f"-I{_CPP}", "-shared", "workunit.cpp", "-o", "workunit.so"]
                + [str(self.library), f"-Wl,-rpath,{self.library.parent}"],
                f"compiling workunit {generated.name}",
                cwd=folder,
            )

        return self.cache.entry("workunits", generated.name, key, build) / "workunit.so"


_ONE_AT_A_TIME = threading.RLock()
"""Two threads must not both start Kokkos."""


def toolkit(space: ExecutionSpace) -> Toolkit:
    """Find or build Kokkos and the runtime library for `space`.

    Serial runs on the OpenMP build where the compiler has OpenMP, so that both share one cache
    entry. Raises ToolchainError, CacheError, or SpaceError for a space that cannot be had.
    """
    with _ONE_AT_A_TIME:
        return _toolkit(space)


@cache
def _toolkit(space: ExecutionSpace) -> Toolkit:
    if space is ExecutionSpace.Cuda:
        raise SpaceError(
            "the built-in compiler has no Cuda back end: use OpenMP or Serial, "
            "or a PyKokkos with Cuda and KKSPDNN_PK=pykokkos"
        )
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


def _runtime_library(store: Cache, compiler: Compiler, found: Kokkos) -> Toolkit:
    sources = ("CMakeLists.txt", "runtime.cpp")
    key = {
        "sources": "\n".join((_CPP / name).read_text() for name in sources),
        "options": " ".join(OPTIONS),
        "compiler": f"{compiler.path}\n{compiler.version}\n{compiler.native}",
        "kokkos": f"{found.config}\n{found.stamp}",
    }

    def build(folder: Path) -> None:
        for name in sources:
            shutil.copy(_CPP / name, folder)
        cmake = build_tool("cmake")
        build_folder = folder / "build"
        run(
            [cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={build_tool('ninja')}"]
            + [f"-DCMAKE_CXX_COMPILER={compiler.path}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
            + ["-DCMAKE_BUILD_TYPE=Release", f"-DKokkos_DIR={found.config}"]
            + [f"-DKKSPDNN_OPTIONS={';'.join(OPTIONS)}", "-S", folder, "-B", build_folder],
            f"configuring with the Kokkos in {found.config}",
        )
        run([build_tool("ninja"), "-C", build_folder], f"linking with the Kokkos in {found.config}")
        shutil.move(build_folder / _LIBRARY, folder / _LIBRARY)
        shutil.move(build_folder / "compile_commands.json", folder / "compile_commands.json")
        shutil.rmtree(build_folder)

    place = store.entry("runtime", f"kokkos-{found.version}", key, build)
    commands = json.loads((place / "compile_commands.json").read_text())
    command = _flags(shlex.split(commands[0]["command"]))
    return Toolkit(store, compiler, found, place / _LIBRARY, command)


def _flags(command: Sequence[str]) -> tuple[str, ...]:
    """The compiler and its flags, without input, output and dependency files."""
    kept: list[str] = []
    skip = False
    for word in command:
        if skip:
            skip = False
        elif word in ("-o", "-c", "-MF", "-MT", "-MQ"):
            skip = True
        elif word != "-MD" and not word.startswith("-Dkkspdnn_runtime_EXPORTS"):
            kept.append(word)
    return tuple(kept)


class Runtime:
    """Kokkos, started. One for a process: Kokkos cannot be started twice."""

    def __init__(self, kit: Toolkit, threads: int) -> None:
        self.toolkit = kit
        self.lock = threading.Lock()
        self._thread = threading.get_ident()
        try:
            self._library = ctypes.CDLL(str(kit.library))
        except OSError as error:
            raise ToolchainError(f"cannot load {kit.library}: {error}") from error
        self._library.kkspdnn_last_error.restype = ctypes.c_char_p
        if self._library.kkspdnn_initialize(threads) != 0:
            raise ToolchainError(f"Kokkos did not start: {self.last_error()}")
        self.threads: int = self._library.kkspdnn_concurrency()
        atexit.register(self._library.kkspdnn_finalize)

    def last_error(self) -> str:
        text: bytes = self._library.kkspdnn_last_error()
        first = text.decode(errors="replace").partition("\n")[0]
        if threading.get_ident() != self._thread:
            first += "; launch from the thread that started Kokkos"
        return first


@cache
def _started(kit: Toolkit) -> Runtime:
    with _placed_threads():
        return Runtime(kit, omp_num_threads() or 0)


def runtime(space: ExecutionSpace) -> Runtime:
    """Kokkos for `space`, started on the first call with OMP_NUM_THREADS threads."""
    with _ONE_AT_A_TIME:
        return _started(toolkit(space))


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
