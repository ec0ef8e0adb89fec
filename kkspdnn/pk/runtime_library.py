"""The runtime library, which starts Kokkos and which workunits link with: found, or built."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk import kokkos as kokkos_module
from kkspdnn.pk import kokkos_cuda
from kkspdnn.pk.cache import Cache, default_cache
from kkspdnn.pk.driver import device
from kkspdnn.pk.kokkos import Kokkos
from kkspdnn.pk.lookup import Wanted, attempt, find, maker
from kkspdnn.pk.nvcc import Nvcc, find_nvcc
from kkspdnn.pk.paths import misread
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.processor import Processor, named, native
from kkspdnn.pk.progress_log import tell
from kkspdnn.pk.toolchain import OPTIONS, Compiler, build_tool, host_compiler, run
from kkspdnn.pk.toolkit import CPP, DESCRIPTION, Toolkit, Tools, library_name

_SOURCES = ("CMakeLists.txt", "runtime.cpp")

GPU_OPTIONS = ("--fmad=false", "-fPIC", "-fno-gnu-unique")
"""For nvcc_wrapper, which gives the host compiler what it does not know itself.

--fmad=false: products and sums are rounded apart on the GPU as well, see OPTIONS. Without
-fno-gnu-unique a Kokkos for GPUs and one for CPUs in the same process would share static objects.
"""

ONE_AT_A_TIME = threading.RLock()
"""Two threads must not both start Kokkos."""


def toolkit(space: ExecutionSpace, arch: str | None = None, cpu: str | None = None) -> Toolkit:
    """Find or build the runtime library for `space`, and Kokkos where it must be built.

    Serial runs on the OpenMP build where the compiler has OpenMP, so that both share one cache
    entry. arch: what to compile for on a GPU, `sm_90`; None: what the device is. cpu: the
    processor to compile for, see `processor.named`; None: any that this machine runs. Raises
    ToolchainError, CacheError, InputError for an unknown processor, or SpaceError for a space that
    cannot be had.
    """
    with ONE_AT_A_TIME:
        if space is ExecutionSpace.Cuda:
            return _gpu_toolkit(arch or device().arch)
        return _toolkit(space, cpu)


@dataclass(frozen=True)
class _Plan:
    """A runtime library to look for, and if it is not there to build.

    name: of its entry; installed: the user's Kokkos, or None for the one in the cache
    content: its key, without compilers and processor
    """

    name: str
    content: Mapping[str, str]
    installed: Kokkos | None
    arch: str | None = None

    @classmethod
    def of(
        cls, name: str, built: Mapping[str, str], installed: Kokkos | None, arch: str | None = None
    ) -> _Plan:
        """built: the key of the Kokkos in the cache, without compilers"""
        kokkos = json.dumps(dict(built), sort_keys=True)
        if installed is not None:
            kokkos = f"{installed.config}\n{installed.stamp}"
        content = {
            "sources": "\n".join((CPP / each).read_text(encoding="utf-8") for each in _SOURCES),
            "options": " ".join(OPTIONS if arch is None else GPU_OPTIONS),
            "flags": os.environ.get("KKSPDNN_CXXFLAGS", ""),
            "kokkos": kokkos,
        }
        return cls(name, content, installed, arch)

    def wanted(self, made_by: Mapping[str, str] | None, processor: Processor | None) -> Wanted:
        return Wanted("runtime", self.name, self.content, made_by, processor)

    def toolkit(self, store: Cache, found: tuple[Path, Mapping[str, str]]) -> Toolkit:
        place, key = found
        return Toolkit(store, place, tuple(sorted(key.items())), self.arch, self.installed)


@cache
def _gpu_toolkit(arch: str) -> Toolkit:
    store = default_cache()
    host, no_host = attempt(host_compiler)
    nvcc, no_nvcc = attempt(find_nvcc)
    installed = kokkos_module.find(kokkos_cuda.DEVICES, arch)
    plan = _Plan.of(f"cuda-{arch}", kokkos_cuda.content(arch), installed, arch)
    made_by = maker(host, nvcc.version) if host is not None and nvcc is not None else None
    found = find(store, plan.wanted(made_by, None))
    if found is not None:
        _warn_of(no_host)
        return plan.toolkit(store, found)
    if host is None or nvcc is None:
        missing = no_host or no_nvcc
        assert missing is not None
        raise missing
    nvcc.check(arch)
    _refuse_spaces(host, nvcc, store)
    return _built(store, plan, Tools.of(store, host, nvcc, installed, plan.name), None)


def _warn_of(missing: ToolchainError | None) -> None:
    """Say that the compiler which the user has named cannot be used, though none is needed."""
    if missing is not None and os.environ.get("CXX"):
        logging.getLogger("kkspdnn").warning("%s; using what the cache has", missing)


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
def _toolkit(space: ExecutionSpace, cpu: str | None) -> Toolkit:
    store = default_cache()
    compiler, missing = attempt(host_compiler)
    processor = named(cpu) if cpu is not None else native()
    made_by = maker(compiler) if compiler is not None else None
    serial = space is ExecutionSpace.Serial
    plans = [_cpu_plan(openmp) for openmp in ((True, False) if serial else (True,))]
    for plan in plans if cpu is None else ():
        found = find(store, plan.wanted(made_by, processor))
        if found is not None:
            _warn_of(missing)
            return plan.toolkit(store, found)
    if compiler is None:
        assert missing is not None
        raise missing
    openmp = not serial or _has_openmp(compiler)
    plan = plans[0] if openmp else plans[1]
    return _built(
        store, plan, Tools.of(store, compiler, None, plan.installed, plan.name), processor
    )


def _cpu_plan(openmp: bool) -> _Plan:
    needed = frozenset({"OPENMP", "SERIAL"} if openmp else {"SERIAL"})
    installed = kokkos_module.find(needed)
    return _Plan.of("openmp" if openmp else "serial", kokkos_module.content(openmp), installed)


def _has_openmp(compiler: Compiler) -> bool:
    try:
        kokkos_module.require_openmp(compiler)
    except ToolchainError:
        return False
    return True


def _built(store: Cache, plan: _Plan, tools: Tools, processor: Processor | None) -> Toolkit:
    """The plan's runtime library, built where the cache has none of just this key."""
    key = plan.wanted(tools.maker, processor).key()
    library = library_name(plan.arch)
    options, compiler = list(GPU_OPTIONS), str(tools.kokkos.wrapper)
    if processor is not None:
        options = [f"-march={processor.march}" if "-march" in each else each for each in OPTIONS]
        compiler = tools.compiler.path
    config = tools.kokkos.config
    flags = [f"-DKKSPDNN_NAME={library[3:-3]}", f"-DKKSPDNN_OPTIONS={';'.join(options)}"]
    if plan.arch is not None:
        flags.append(f"-DCMAKE_CXX_FLAGS={kokkos_cuda.architecture_flag(plan.arch)}")
    if plan.installed is None:
        # Kokkos' library is copied beside, so that the entry may be moved. nvcc's shell would not
        # leave the $ alone; Toolkit.load needs none.
        origin = ["-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON", "-DCMAKE_INSTALL_RPATH=$ORIGIN"]
        flags += origin if plan.arch is None else ["-DCMAKE_SKIP_RPATH=ON"]

    def build(folder: Path) -> None:
        tell("building the runtime library")
        for source in _SOURCES:
            shutil.copy(CPP / source, folder)
        build_folder = folder / "build"
        run(
            [build_tool("cmake"), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={build_tool('ninja')}"]
            + [f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
            + ["-DCMAKE_BUILD_TYPE=Release", f"-DKokkos_DIR={config}", *flags]
            + ["-S", folder, "-B", build_folder],
            f"configuring with the Kokkos in {config}",
            environment=tools.environment,
        )
        run(
            [build_tool("ninja"), "-C", build_folder],
            f"linking with the Kokkos in {config}",
            environment=tools.environment,
        )
        shutil.move(build_folder / library, folder / library)
        commands = json.loads((build_folder / "compile_commands.json").read_text())
        libraries = [] if plan.installed is not None else _copy_libraries(tools.kokkos, folder)
        description = {
            "kokkos": plan.name,
            "kokkos_entry": tools.kokkos.stamp,
            "kokkos_version": tools.kokkos.version,
            "libraries": libraries,
            "command": _without_places(_flags(shlex.split(commands[0]["command"])), tools),
        }
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")
        shutil.rmtree(build_folder)

    return plan.toolkit(store, (store.entry("runtime", plan.name, key, build), key))


def _copy_libraries(kokkos: Kokkos, folder: Path) -> list[str]:
    """Copy Kokkos' libraries, each by the name that others ask for; gives these names."""
    names = []
    for library in sorted((kokkos.config.parents[2] / "lib").glob("libkokkoscore*.so.*")):
        # libkokkoscore.so.3.4 leads to libkokkoscore.so.3.4.01.
        if library.is_symlink():
            shutil.copy(library, folder)
            names.append(library.name)
    return names


def _without_places(command: Sequence[str], tools: Tools) -> list[str]:
    """The command with names for what is in another place on another machine."""
    words = list(command)
    if words[0] == tools.compiler.path:
        words[0] = "{compiler}"
    for name, path in tools.places().items():
        if name != "{compiler}":
            words = [re.sub(f"{re.escape(path)}(?=/|$)", name, word) for word in words]
    return words


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
