"""Building the runtime library of an execution space, and the query for it in the cache."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kkspdnn.pk.build import kokkos_cuda
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.cache_lookup import CacheQuery
from kkspdnn.pk.build.compiler_flags import user_options
from kkspdnn.pk.build.find_kokkos import Kokkos, SearchResult
from kkspdnn.pk.build.runtime_library import (
    CPP_FOLDER,
    DESCRIPTION_FILE,
    BuildTools,
    RuntimeLibrary,
)
from kkspdnn.pk.build.toolchain import COMPILER_OPTIONS, build_tool, run_tool
from kkspdnn.pk.system.instruction_sets import Processor
from kkspdnn.pk.system.progress_log import log_progress

_SOURCES = ("CMakeLists.txt", "runtime.cpp")

GPU_OPTIONS = ("--fmad=false", "-fPIC", "-fno-gnu-unique")
"""Options for nvcc_wrapper, which passes those that nvcc does not know to the host compiler.

--fmad=false: products and sums are rounded separately, as with COMPILER_OPTIONS.
-fno-gnu-unique: a Kokkos for GPUs and one for CPUs in a process do not share static objects.
"""


@dataclass(frozen=True)
class RuntimeSpec:
    """A runtime library to find in the cache, or else to build.

    kokkos_name: of Kokkos in the cache: `openmp`, `serial`, or for example `cuda-sm_90`
    kokkos_key: the key of Kokkos in the cache, without compilers
    user: the search result with the user's Kokkos, which is used instead, or None
    arch: the GPU architecture, or None
    is_second: another runtime library may be in the same process
    skipped: the user's installations that are not usable
    """

    kokkos_name: str
    kokkos_key: Mapping[str, str]
    user: SearchResult | None = None
    arch: str | None = None
    is_second: bool = False
    skipped: tuple[str, ...] = ()

    @property
    def user_kokkos(self) -> Kokkos | None:
        """The user's Kokkos, or None."""
        return self.user.kokkos if self.user is not None else None

    @property
    def file_name(self) -> str:
        """The file name of the library; libraries in one process need different names."""
        suffix = "_cuda" if self.arch is not None else "_serial" if self.is_second else ""
        return f"libkkspdnn_runtime{suffix}.so"

    def query(self, compiler: Mapping[str, str] | None, processor: Processor | None) -> CacheQuery:
        """Return the query for its entry in the cache; parameters as for `CacheQuery`."""
        kokkos = json.dumps(dict(self.kokkos_key), sort_keys=True)
        if self.user_kokkos is not None:
            kokkos = f"{self.user_kokkos.config}\n{self.user_kokkos.stamp}"
        sources = [(CPP_FOLDER / name).read_text(encoding="utf-8") for name in _SOURCES]
        content = {
            "sources": "\n".join(sources),
            "options": " ".join(COMPILER_OPTIONS if self.arch is None else GPU_OPTIONS),
            "flags": shlex.join(user_options()),
            "library": self.file_name,
            "kokkos": kokkos,
        }
        return CacheQuery("runtime", self.kokkos_name, content, compiler, processor)

    def library(self, store: Cache, folder: Path, key: Mapping[str, str]) -> RuntimeLibrary:
        """Return the library in an entry of the cache."""
        return RuntimeLibrary(
            store, folder, tuple(sorted(key.items())), self.arch, self.user_kokkos
        )


def build_runtime(
    store: Cache, spec: RuntimeSpec, tools: BuildTools, processor: Processor | None
) -> RuntimeLibrary:
    """Return the library with exactly this key from the cache; build it first if it is missing."""
    key = spec.query(tools.compiler_key, processor).key()
    build = partial(_build_files, spec, tools, _cmake_options(spec, tools, processor))
    return spec.library(store, store.get_or_build("runtime", spec.kokkos_name, key, build), key)


def _cmake_options(spec: RuntimeSpec, tools: BuildTools, processor: Processor | None) -> list[str]:
    """Return the options that select the compiler, its flags and Kokkos."""
    options, compiler = list(GPU_OPTIONS), str(tools.kokkos.wrapper)
    if processor is not None:
        compiler = tools.compiler.path
        options = processor.compiler_options(COMPILER_OPTIONS)
    options += tools.compiler.user_options
    if spec.is_second:
        options += tools.compiler.private_statics_option
    cmake = [f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
    cmake += ["-DCMAKE_BUILD_TYPE=Release", f"-DKokkos_DIR={tools.kokkos.config}"]
    cmake += [f"-DKKSPDNN_NAME={Path(spec.file_name).stem.removeprefix('lib')}"]
    cmake += [f"-DKKSPDNN_OPTIONS={';'.join(options)}"]
    cmake += [f"-DCMAKE_SHARED_LINKER_FLAGS={shlex.join(tools.compiler.user_options)}"]
    if spec.arch is not None and tools.nvcc is not None:
        target = tools.nvcc.target(spec.arch)
        cmake.append(f"-DCMAKE_CXX_FLAGS={kokkos_cuda.architecture_flag(target)}")
    if spec.user_kokkos is None:
        # Kokkos's library is copied into the same folder, so that the entry may be moved. nvcc's
        # shell would expand the $; RuntimeLibrary.load needs no run path.
        origin = ["-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON", "-DCMAKE_INSTALL_RPATH=$ORIGIN"]
        cmake += origin if spec.arch is None else ["-DCMAKE_SKIP_RPATH=ON"]
    return cmake


def _build_files(
    spec: RuntimeSpec, tools: BuildTools, cmake_options: Sequence[str], folder: Path
) -> None:
    """Build the library into a folder and write its description."""
    log_progress("building the runtime library")
    for name in _SOURCES:
        shutil.copy(CPP_FOLDER / name, folder)
    build_folder, config = folder / "build", tools.kokkos.config
    # The dependencies of the user's Kokkos may be in CMAKE_PREFIX_PATH, too.
    prefixes = {k: v for k, v in os.environ.items() if k == "CMAKE_PREFIX_PATH" and v}
    run_tool(
        [build_tool("cmake"), "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={build_tool('ninja')}"]
        + [*cmake_options, "-S", folder, "-B", build_folder],
        f"configuring with the Kokkos in {config}",
        environment={**tools.environment, **prefixes},
    )
    run_tool(
        [build_tool("ninja"), "-C", build_folder],
        f"linking with the Kokkos in {config}",
        environment=tools.environment,
    )
    shutil.move(build_folder / spec.file_name, folder / spec.file_name)
    commands = json.loads((build_folder / "compile_commands.json").read_text())
    copied = [] if spec.user_kokkos is not None else _copy_kokkos(tools.kokkos, folder)
    command = _compiler_and_flags(shlex.split(commands[0]["command"]))
    description = {
        "kokkos": spec.kokkos_name,
        "kokkos_entry": tools.kokkos.stamp,
        "kokkos_version": tools.kokkos.version,
        "devices": sorted(tools.kokkos.devices),
        "libraries": [*copied, spec.file_name],
        "command": _insert_placeholders(command, tools),
    }
    (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1), encoding="utf-8")
    shutil.rmtree(build_folder)


def _copy_kokkos(kokkos: Kokkos, folder: Path) -> list[str]:
    """Copy the libraries of Kokkos by the names that other libraries refer to; return the names."""
    names = []
    for library in sorted((kokkos.config.parents[2] / "lib").glob("libkokkoscore*.so.*")):
        # The name is a symbolic link: libkokkoscore.so.3.4 leads to libkokkoscore.so.3.4.01.
        if library.is_symlink():
            shutil.copy(library, folder)
            names.append(library.name)
    return names


def _insert_placeholders(command: Sequence[str], tools: BuildTools) -> list[str]:
    """Replace the paths of this machine in a command, see `BuildTools.placeholders`."""
    words = list(command)
    if words[0] == tools.compiler.path:
        words[0] = "{compiler}"
    for placeholder, path in tools.placeholders().items():
        if placeholder != "{compiler}":
            words = [re.sub(f"{re.escape(path)}(?=/|$)", placeholder, word) for word in words]
    return words


def _compiler_and_flags(command: Sequence[str]) -> tuple[str, ...]:
    """Return a compile command without input, output and dependency files."""
    words: list[str] = []
    skip = False
    for word in command:
        if skip:
            skip = False
        elif word in ("-o", "-c", "-MF", "-MT", "-MQ"):
            skip = True
        elif word != "-MD" and not word.startswith("-Dkkspdnn_runtime"):
            words.append(word)
    return tuple(words)
