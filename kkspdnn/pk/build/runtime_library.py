"""The runtime library, which starts Kokkos, and the compilation of workunits that link with it.

Loading from the cache needs no compiler. It needs no Kokkos either, as Kokkos's library is copied
beside the runtime library.
"""

from __future__ import annotations

import ctypes
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import kokkos_cpu, kokkos_cuda
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.cache_lookup import compiler_key, compiler_key_of, processor_of
from kkspdnn.pk.build.find_kokkos import Kokkos
from kkspdnn.pk.build.nvcc import Nvcc, find_nvcc
from kkspdnn.pk.build.nvcc_host import find_nvcc_host
from kkspdnn.pk.build.toolchain import Compiler, host_compiler, run_tool
from kkspdnn.pk.codegen.emit import CHECKS_HEADER, Generated, lanes_header
from kkspdnn.pk.system.instruction_sets import Processor

CPP_FOLDER = Path(__file__).parents[1] / "cpp"
DESCRIPTION_FILE = "toolkit.json"
"""A file in the entry of a runtime library: its compile command, its Kokkos, its libraries."""


@dataclass(frozen=True)
class BuildTools:
    """The compilers and the Kokkos to compile with.

    compiler: the host compiler; nvcc: for a GPU, else None
    kokkos: whose headers are included
    kokkos_folder: the entry of a Kokkos in the cache; None for the user's Kokkos
    """

    compiler: Compiler
    kokkos: Kokkos
    nvcc: Nvcc | None
    kokkos_folder: Path | None

    @classmethod
    def with_built_kokkos(
        cls,
        cache: Cache,
        compiler: Compiler,
        nvcc: Nvcc | None,
        kokkos_name: str,
        skipped: Sequence[str] = (),
    ) -> BuildTools:
        """Use the Kokkos in the cache; build it first if it is missing.

        Raises ToolchainError if the build fails.

        kokkos_name: `openmp`, `serial`, or for example `cuda-sm_90`
        skipped: see `kokkos_cpu.build`
        """
        if nvcc is not None:
            arch = kokkos_name.removeprefix("cuda-")
            kokkos = kokkos_cuda.build(cache, compiler, nvcc, arch, skipped)
        else:
            kokkos = kokkos_cpu.build(cache, compiler, kokkos_name == "openmp", skipped)
        return cls(compiler, kokkos, nvcc, kokkos.config.parents[2])

    @property
    def compiler_key(self) -> dict[str, str]:
        """The fields of a cache key that identify the compilers, see `cache_lookup`."""
        return compiler_key(self.compiler, self.nvcc.version if self.nvcc is not None else None)

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment variables to run the compiler with."""
        return self.nvcc.environment(self.compiler) if self.nvcc is not None else {}

    def placeholders(self) -> dict[str, str]:
        """Return placeholders for paths that differ between machines, and their values here."""
        paths = {"{compiler}": self.compiler.path}
        if self.kokkos_folder is not None:
            paths["{kokkos}"] = str(self.kokkos_folder)
        if self.nvcc is not None:
            paths["{cuda}"] = str(self.nvcc.home)
        return paths


@dataclass(frozen=True)
class RuntimeLibrary:
    """The runtime library of an execution space in the cache; compiles workunits to link with it.

    folder: its entry in the cache; key: the key of the entry, as sorted pairs
    arch: the architecture of a GPU, such as `sm_90`; None on a CPU
    user_kokkos: the user's Kokkos; None for a Kokkos in the cache
    """

    cache: Cache
    folder: Path
    key: tuple[tuple[str, str], ...]
    arch: str | None = None
    user_kokkos: Kokkos | None = None

    @property
    def path(self) -> Path:
        """The file of the runtime library."""
        return self.load_order[-1]

    @property
    def load_order(self) -> tuple[Path, ...]:
        """The libraries that a process loads: Kokkos's, if it is in the entry, then this one."""
        return tuple(self.folder / name for name in self._description["libraries"])

    @property
    def kokkos_version(self) -> str:
        """The version of its Kokkos."""
        return str(self._description["kokkos_version"])

    @property
    def compiled_by(self) -> str:
        """The compiler of the workunits and its version."""
        compiler = compiler_key_of(dict(self.key))
        return compiler["compiler"] if self.arch is None else f"nvcc {compiler['nvcc']}"

    @property
    def devices(self) -> frozenset[str]:
        """The devices of its Kokkos, in Kokkos's names, such as OPENMP and SERIAL."""
        return frozenset(self._description["devices"])

    @property
    def processor(self) -> Processor | None:
        """The processor that workunits are compiled for; None on a GPU."""
        return processor_of(dict(self.key))

    @cached_property
    def tools(self) -> BuildTools:
        """The compilers and the Kokkos to compile with; Kokkos is built if the cache lacks it.

        Raises ToolchainError if a tool is missing or the build fails.
        """
        compiler, nvcc = host_compiler(), None
        if self.arch is not None:
            nvcc = find_nvcc()
            nvcc.target(self.arch)
            compiler = find_nvcc_host(nvcc, compiler)
        if self.user_kokkos is not None:
            return BuildTools(compiler, self.user_kokkos, nvcc, None)
        name, used = self._description["kokkos"], self._description["kokkos_entry"]
        # The Kokkos that the runtime library was built with, whichever compiler built it.
        for key in self.cache.keys("kokkos", name):
            entry = self.cache.find("kokkos", name, key)
            if entry is not None and entry.name == used:
                kokkos = (
                    kokkos_cpu.read_built(entry, name)
                    if self.arch is None
                    else kokkos_cuda.read_built(entry, self.arch)
                )
                return BuildTools(compiler, kokkos, nvcc, entry)
        return BuildTools.with_built_kokkos(self.cache, compiler, nvcc, name)

    @property
    def compiler(self) -> Compiler:
        """This machine's C++ compiler; raises the errors of `tools`."""
        return self.tools.compiler

    @property
    def kokkos(self) -> Kokkos:
        """The Kokkos whose headers workunits include; raises the errors of `tools`."""
        return self.tools.kokkos

    @property
    def compile_command(self) -> tuple[str, ...]:
        """The command that compiled the runtime library, without its file names."""
        command: list[str] = self._description["command"]
        for placeholder, path in self.tools.placeholders().items():
            command = [word.replace(placeholder, path) for word in command]
        return tuple(command)

    def load(self) -> ctypes.CDLL:
        """Load the libraries and return the runtime library.

        Raises ToolchainError if one cannot be loaded.
        """
        for path in self.load_order:
            try:
                library = ctypes.CDLL(str(path))
            except OSError as error:
                raise ToolchainError(f"cannot load {path}: {error}") from error
        return library

    def find_workunit(self, generated: Generated) -> Path | None:
        """Return the shared library of a workunit, or None if the cache lacks it."""
        entry = self.cache.find("workunits", generated.name, self._own_key(generated))
        return entry / "workunit.so" if entry is not None else None

    def compile_workunit(self, generated: Generated) -> Path:
        """Return the shared library of a workunit; compile it first if the cache lacks it.

        Raises ToolchainError if it cannot be compiled.
        """
        library = self.find_workunit(generated)
        if library is not None:
            return library
        try:
            key = {**self._key_content(generated), **self.tools.compiler_key}
        except ToolchainError as error:
            raise ToolchainError(
                f"workunit {generated.name} is not in the cache: {error}"
            ) from error

        def build(folder: Path) -> None:
            source = folder / "workunit.cpp"
            source.write_text(generated.text, encoding="utf-8", errors="surrogateescape")
            # Headers are copied because nvcc_wrapper does not support spaces in an include path.
            shutil.copy(self._lanes_header, folder)
            if generated.debug:
                shutil.copy(CPP_FOLDER / CHECKS_HEADER, folder)
            try:
                run_tool(
                    [*self.compile_command, "-shared", "workunit.cpp", "-o", "workunit.so"]
                    + [str(self.path), *self._run_path()],
                    f"compiling workunit {generated.name}",
                    cwd=folder,
                    environment=self.tools.environment,
                )
            except ToolchainError as error:
                raise ToolchainError(_with_full_path(str(error), generated)) from error

        entry = self.cache.get_or_build("workunits", generated.name, key, build)
        return entry / "workunit.so"

    def _run_path(self) -> list[str]:
        """Return the linker option for the folder of the runtime library.

        Only tools such as ldd need it: a process has already loaded the runtime library, and the
        dynamic linker finds it by its name. With nvcc, whose shell expands the $, it is left out.
        """
        if self.arch is not None:
            return []
        return [f"-Wl,-rpath,$ORIGIN/../../{self.folder.parent.name}/{self.folder.name}"]

    def _own_key(self, generated: Generated) -> dict[str, str]:
        """Return the key of a workunit compiled by the compiler of the runtime library."""
        return {**self._key_content(generated), **compiler_key_of(dict(self.key))}

    def _key_content(self, generated: Generated) -> dict[str, str]:
        content = {
            "source": generated.text,
            "lanes": self._lanes_header.read_text(encoding="utf-8"),
            "runtime": self.folder.name,
        }
        if generated.debug:
            content["checks"] = (CPP_FOLDER / CHECKS_HEADER).read_text(encoding="utf-8")
        return content

    @property
    def _lanes_header(self) -> Path:
        return CPP_FOLDER / lanes_header(self.arch is not None)

    @cached_property
    def _description(self) -> dict[str, Any]:
        description: dict[str, Any] = json.loads((self.folder / DESCRIPTION_FILE).read_bytes())
        return description


def _with_full_path(message: str, generated: Generated) -> str:
    """Replace the short name of the workunit's file by its path in a compiler's message."""
    return re.sub(
        rf"(?<![\w/.]){re.escape(generated.file)}(?=:\d)",
        lambda _: generated.path,
        message,
    )
