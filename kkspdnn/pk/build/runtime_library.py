"""The runtime library, which starts Kokkos and which workunits link with: found, or built."""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import kokkos_cpu, kokkos_cuda
from kkspdnn.pk.build.cache import Cache, default_cache
from kkspdnn.pk.build.cache_lookup import CacheQuery, compiler_key, find_entry, try_find
from kkspdnn.pk.build.compiler_flags import user_options
from kkspdnn.pk.build.find_kokkos import Candidate, Kokkos, candidates, usable
from kkspdnn.pk.build.nvcc import Nvcc, find_nvcc
from kkspdnn.pk.build.nvcc_host import find_nvcc_host
from kkspdnn.pk.build.toolchain import (
    COMPILER_OPTIONS,
    Compiler,
    build_tool,
    host_compiler,
    run_tool,
)
from kkspdnn.pk.build.toolkit import CPP, DESCRIPTION, Toolkit, Tools
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.system.cuda_driver import driver_version, selected_device
from kkspdnn.pk.system.fork import ProcessLock
from kkspdnn.pk.system.instruction_sets import Processor, native_processor, parse_processor
from kkspdnn.pk.system.paths import unsupported_path
from kkspdnn.pk.system.progress_log import log_progress

_LOG = logging.getLogger("kkspdnn")
_SOURCES = ("CMakeLists.txt", "runtime.cpp")

GPU_OPTIONS = ("--fmad=false", "-fPIC", "-fno-gnu-unique")
"""For nvcc_wrapper, which gives the host compiler what it does not know itself.

--fmad=false: products and sums are rounded apart on the GPU as well, see OPTIONS. Without
-fno-gnu-unique a Kokkos for GPUs and one for CPUs in the same process would share static objects.
"""

ONE_AT_A_TIME = ProcessLock()
"""Two threads must not both start Kokkos."""


def toolkit(space: ExecutionSpace, arch: str | None = None, cpu: str | None = None) -> Toolkit:
    """Find or build the runtime library for `space`, and Kokkos where it must be built.

    Serial runs on the Kokkos for OpenMP where the compiler has OpenMP and that Kokkos has Serial,
    so that both share one cache entry. A Kokkos of the user's that cannot be linked with is passed
    over, unless the user named it.

    arch: what to compile for on a GPU, `sm_90`, with this machine's compilers, if it has them;
    None: what the device is, and an entry of any compilers will do. cpu: the processor to compile
    for, see `processor.named`; None: any that this machine runs. Raises ToolchainError, CacheError,
    InputError for an unknown processor, or SpaceError for a space that cannot be had.
    """
    with ONE_AT_A_TIME:
        if space is ExecutionSpace.Cuda:
            return _gpu_toolkit(arch or selected_device().arch, exactly=arch is not None)
        return _toolkit(space, cpu)


@dataclass(frozen=True)
class _Plan:
    """A runtime library to look for, and if it is not there to build.

    kokkos: the name of the Kokkos in the cache, `openmp`, `serial` or `cuda-sm_90`
    key: what that one depends on, without compilers
    user: the user's Kokkos to take in its place, or None
    separate: beside another runtime library in one process
    """

    kokkos: str
    key: Mapping[str, str]
    user: Candidate | None = None
    arch: str | None = None
    separate: bool = False
    passed_over: tuple[str, ...] = ()

    @property
    def installed(self) -> Kokkos | None:
        return self.user.kokkos if self.user is not None else None

    @property
    def library(self) -> str:
        """Two libraries of one name cannot be in one process."""
        suffix = "_cuda" if self.arch is not None else "_serial" if self.separate else ""
        return f"libkkspdnn_runtime{suffix}.so"

    def wanted(self, made_by: Mapping[str, str] | None, processor: Processor | None) -> CacheQuery:
        """What to look for in the cache."""
        kokkos = json.dumps(dict(self.key), sort_keys=True)
        if self.installed is not None:
            kokkos = f"{self.installed.config}\n{self.installed.stamp}"
        content = {
            "sources": "\n".join((CPP / each).read_text(encoding="utf-8") for each in _SOURCES),
            "options": " ".join(COMPILER_OPTIONS if self.arch is None else GPU_OPTIONS),
            "flags": shlex.join(user_options()),
            "library": self.library,
            "kokkos": kokkos,
        }
        return CacheQuery("runtime", self.kokkos, content, made_by, processor)

    def toolkit(self, store: Cache, found: tuple[Path, Mapping[str, str]]) -> Toolkit:
        place, key = found
        return Toolkit(store, place, tuple(sorted(key.items())), self.arch, self.installed)


def _plans(kokkos: str, key: Mapping[str, str], looked: Sequence[Candidate]) -> Iterator[_Plan]:
    """With each usable Kokkos of the user's, and then with the one in the cache."""
    arch = kokkos.removeprefix("cuda-") if kokkos.startswith("cuda-") else None
    for candidate in usable(looked):
        yield _Plan(kokkos, key, candidate, arch)
    passed_over = [each.passed_over for each in looked if each.passed_over is not None]
    yield _Plan(kokkos, key, None, arch, passed_over=tuple(passed_over))


@dataclass(frozen=True)
class _Machine:
    """What a runtime library is looked for, and built, with.

    compiler, nvcc: those of this machine, or None; missing: why one is None
    processor: to compile for; None for a GPU
    exactly: no entry that was made for another processor, or with other compilers, will do
    driver: the newest CUDA that the driver runs; None on a CPU, and where any will do
    """

    store: Cache
    compiler: Compiler | None
    missing: ToolchainError | None
    processor: Processor | None
    nvcc: Nvcc | None = None
    exactly: bool = False
    driver: tuple[int, int] | None = None

    @property
    def made_by(self) -> dict[str, str] | None:
        if self.compiler is None or self.missing is not None:
            return None
        return compiler_key(self.compiler, self.nvcc.version if self.nvcc is not None else None)

    def find(self, plan: _Plan) -> Toolkit | None:
        """The plan's runtime library, if the cache has one that serves."""
        wanted = plan.wanted(self.made_by, self.processor)
        if self.exactly:
            if self.made_by is None:
                return None
            place = self.store.find(wanted.category, wanted.name, wanted.key())
            return plan.toolkit(self.store, (place, wanted.key())) if place is not None else None
        found = find_entry(self.store, replace(wanted, driver=self.driver))
        if found is None:
            return None
        if self.missing is not None and os.environ.get("CXX"):
            _LOG.warning("%s; using what the cache has", self.missing)
        return plan.toolkit(self.store, found)

    def first(self, plans: Iterable[_Plan]) -> Toolkit:
        """The runtime library of the first plan that can be found or built."""
        for plan in plans:
            found = self.find(plan)
            if found is not None:
                return found
            if self.compiler is None or self.missing is not None:
                if plan.user is not None and plan.user.named:
                    break
                continue
            try:
                return self._build(plan, self.compiler)
            except ToolchainError as error:
                if plan.user is None:
                    raise
                if plan.user.named:
                    raise ToolchainError(
                        f"{plan.user.place}: {error}; point it at another Kokkos, or unset it"
                    ) from error
                _LOG.warning("passing over %s: %s", plan.user.place, error)
        assert self.missing is not None
        raise self.missing

    def _build(self, plan: _Plan, compiler: Compiler) -> Toolkit:
        if self.nvcc is not None and plan.arch is not None:
            target = self.nvcc.target(plan.arch)
            if target != plan.arch:
                _LOG.warning(
                    "%s (%s) does not know %s: compiling to PTX (%s), which the driver compiles "
                    "for the device when it loads it",
                    *(self.nvcc.path, self.nvcc.version, plan.arch, target),
                )
            _refuse_spaces(compiler, self.nvcc, self.store)
        if plan.installed is not None:
            tools = Tools(compiler, plan.installed, self.nvcc, None)
        else:
            tools = Tools.of(self.store, compiler, self.nvcc, plan.kokkos, plan.passed_over)
        return _built(self.store, plan, tools, self.processor)


@cache
def _gpu_toolkit(arch: str, exactly: bool) -> Toolkit:
    host, missing = try_find(host_compiler)
    nvcc, no_nvcc = try_find(find_nvcc)
    missing = missing or no_nvcc
    # Compiling for a named GPU is for any driver.
    driver = None if exactly else driver_version()
    looked = candidates(kokkos_cuda.NEEDED, arch)

    def plans() -> Iterator[_Plan]:
        return _plans(f"cuda-{arch}", kokkos_cuda.content(arch), looked)

    if host is not None and nvcc is not None:
        misfit = nvcc.driver_conflict(driver)
        if misfit is not None:
            missing = ToolchainError(misfit)
        else:
            # What both have compiled needs no trial of whether nvcc takes the host compiler.
            own = _Machine(default_cache(), host, None, None, nvcc, exactly=True)
            found = own.find(next(plans()))
            if found is not None:
                return found
            host, missing = try_find(partial(find_nvcc_host, nvcc, host))
    exactly = exactly and missing is None
    machine = _Machine(default_cache(), host, missing, None, nvcc, exactly, driver)
    return machine.first(plans())


def _refuse_spaces(host: Compiler, nvcc: Nvcc, store: Cache) -> None:
    """Raise ToolchainError where Kokkos' nvcc_wrapper would part a path in two."""
    for what, path, remedy in (
        ("the cache", store.root, "set KKSPDNN_CACHE to another folder"),
        ("the CUDA toolkit", nvcc.home, "set CUDA_HOME to a toolkit elsewhere"),
        ("the C++ compiler", Path(host.path), "set CXX to one elsewhere"),
    ):
        odd = unsupported_path(path, nvcc_wrapper=True)
        if odd is not None:
            raise ToolchainError(f"{what} {odd} for a GPU; {remedy}")


@cache
def _toolkit(space: ExecutionSpace, cpu: str | None) -> Toolkit:
    compiler, missing = try_find(host_compiler)
    processor = parse_processor(cpu) if cpu is not None else native_processor()
    machine = _Machine(default_cache(), compiler, missing, processor, exactly=cpu is not None)
    if space is ExecutionSpace.OpenMP:
        return machine.first(_openmp_plans())
    first = next(_openmp_plans())
    if compiler is None or machine.find(first) is not None or _has_openmp(compiler):
        both, failed = try_find(lambda: _toolkit(ExecutionSpace.OpenMP, cpu))
        if both is not None and "SERIAL" in both.devices:
            return both
        if both is not None:
            # Two of them may be in one process, and must not share static objects.
            return machine.first([_Plan("serial", kokkos_cpu.content(False), separate=True)])
        if failed is not None and compiler is not None:
            raise failed
    looked = candidates(frozenset({"SERIAL"}))
    return machine.first(_plans("serial", kokkos_cpu.content(False), looked))


def _openmp_plans() -> Iterator[_Plan]:
    return _plans("openmp", kokkos_cpu.content(True), candidates(frozenset({"OPENMP"})))


def _has_openmp(compiler: Compiler) -> bool:
    try:
        kokkos_cpu.require_openmp(compiler)
    except ToolchainError:
        return False
    return True


def _built(store: Cache, plan: _Plan, tools: Tools, processor: Processor | None) -> Toolkit:
    """The plan's runtime library, built where the cache has none of just this key."""
    key = plan.wanted(tools.compiler_key, processor).key()
    library, options, path = plan.library, list(GPU_OPTIONS), str(tools.kokkos.wrapper)
    if processor is not None:
        path = tools.compiler.path
        options = processor.compiler_options(COMPILER_OPTIONS)
    options += tools.compiler.user_options
    if plan.separate:
        options += tools.compiler.private_statics_option
    config = tools.kokkos.config
    flags = [f"-DKKSPDNN_NAME={library[3:-3]}", f"-DKKSPDNN_OPTIONS={';'.join(options)}"]
    flags.append(f"-DCMAKE_SHARED_LINKER_FLAGS={shlex.join(tools.compiler.user_options)}")
    if plan.arch is not None and tools.nvcc is not None:
        target = tools.nvcc.target(plan.arch)
        flags.append(f"-DCMAKE_CXX_FLAGS={kokkos_cuda.architecture_flag(target)}")
    if plan.installed is None:
        # Kokkos' library is copied beside, so that the entry may be moved. nvcc's shell would not
        # leave the $ alone; Toolkit.load needs none.
        origin = ["-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON", "-DCMAKE_INSTALL_RPATH=$ORIGIN"]
        flags += origin if plan.arch is None else ["-DCMAKE_SKIP_RPATH=ON"]

    prefixes = {k: v for k, v in os.environ.items() if k == "CMAKE_PREFIX_PATH" and v}

    def build(folder: Path) -> None:
        log_progress("building the runtime library")
        for source in _SOURCES:
            shutil.copy(CPP / source, folder)
        build_folder = folder / "build"
        run_tool(
            [build_tool("cmake"), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={build_tool('ninja')}"]
            + [f"-DCMAKE_CXX_COMPILER={path}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
            + ["-DCMAKE_BUILD_TYPE=Release", f"-DKokkos_DIR={config}", *flags]
            + ["-S", folder, "-B", build_folder],
            f"configuring with the Kokkos in {config}",
            # Where Kokkos was found, what it needs may be as well.
            environment={**tools.environment, **prefixes},
        )
        run_tool(
            [build_tool("ninja"), "-C", build_folder],
            f"linking with the Kokkos in {config}",
            environment=tools.environment,
        )
        shutil.move(build_folder / library, folder / library)
        commands = json.loads((build_folder / "compile_commands.json").read_text())
        libraries = [] if plan.installed is not None else _copy_libraries(tools.kokkos, folder)
        description = {
            "kokkos": plan.kokkos,
            "kokkos_entry": tools.kokkos.stamp,
            "kokkos_version": tools.kokkos.version,
            "devices": sorted(tools.kokkos.devices),
            "libraries": [*libraries, library],
            "command": _without_places(_flags(shlex.split(commands[0]["command"])), tools),
        }
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")
        shutil.rmtree(build_folder)

    return plan.toolkit(store, (store.get_or_build("runtime", plan.kokkos, key, build), key))


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
