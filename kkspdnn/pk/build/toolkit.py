"""What workunits are compiled with, and compiling them.

What the cache has needs no compiler, and no Kokkos but the library that is copied beside the
runtime library.
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
from kkspdnn.pk.codegen.emit import Generated, lanes_header
from kkspdnn.pk.system.instruction_sets import Processor

CPP = Path(__file__).parents[1] / "cpp"
DESCRIPTION = "toolkit.json"
"""In the entry of a runtime library: how it was compiled, and what is loaded before it."""


@dataclass(frozen=True)
class Tools:
    """What compiling needs.

    compiler: of the host; kokkos: whose headers are compiled; nvcc: for a GPU, else None
    prefix: the folder of a Kokkos in the cache; None for the user's
    """

    compiler: Compiler
    kokkos: Kokkos
    nvcc: Nvcc | None
    prefix: Path | None

    @classmethod
    def of(
        cls,
        store: Cache,
        compiler: Compiler,
        nvcc: Nvcc | None,
        name: str,
        passed_over: Sequence[str] = (),
    ) -> Tools:
        """With the Kokkos in the cache, built where it is not there.

        name: which one, `openmp`, `serial` or `cuda-sm_90`. passed_over: see `kokkos_cpu.build`.
        Raises ToolchainError where the build fails.
        """
        if nvcc is not None:
            arch = name.removeprefix("cuda-")
            kokkos = kokkos_cuda.build(store, compiler, nvcc, arch, passed_over)
        else:
            kokkos = kokkos_cpu.build(store, compiler, name == "openmp", passed_over)
        return cls(compiler, kokkos, nvcc, kokkos.config.parents[2])

    @property
    def compiler_key(self) -> dict[str, str]:
        """What of them a cache entry depends on, see `cache_lookup.compiler_key`."""
        return compiler_key(self.compiler, self.nvcc.version if self.nvcc is not None else None)

    @property
    def environment(self) -> Mapping[str, str]:
        """What the compiler needs to be run with."""
        return self.nvcc.environment(self.compiler) if self.nvcc is not None else {}

    def places(self) -> dict[str, str]:
        """Names for what is in another place on another machine."""
        found = {"{compiler}": self.compiler.path}
        if self.prefix is not None:
            found["{kokkos}"] = str(self.prefix)
        if self.nvcc is not None:
            found["{cuda}"] = str(self.nvcc.home)
        return found


@dataclass(frozen=True)
class Toolkit:
    """The runtime library for an execution space, in the cache and not loaded, and how workunits
    are compiled for it.

    place: the library's entry in the cache; key: that entry's, as sorted pairs
    arch: the architecture of a GPU, `sm_90`; None on a CPU
    installed: the user's Kokkos; None where Kokkos is in the cache
    """

    cache: Cache
    place: Path
    key: tuple[tuple[str, str], ...]
    arch: str | None = None
    installed: Kokkos | None = None

    @property
    def library(self) -> Path:
        """The runtime library."""
        return self.libraries[-1]

    @property
    def libraries(self) -> tuple[Path, ...]:
        """What a process loads, in this order: Kokkos' library where it lies beside, the runtime
        library."""
        return tuple(self.place / name for name in self._description["libraries"])

    @property
    def kokkos_version(self) -> str:
        """The version of the Kokkos that the runtime library starts."""
        return str(self._description["kokkos_version"])

    @property
    def compiled_by(self) -> str:
        """The compiler of the workunits and its version."""
        made_by = compiler_key_of(dict(self.key))
        return made_by["compiler"] if self.arch is None else f"nvcc {made_by['nvcc']}"

    @property
    def devices(self) -> frozenset[str]:
        """What its Kokkos runs on, in Kokkos' names, such as OPENMP and SERIAL."""
        return frozenset(self._description["devices"])

    @property
    def processor(self) -> Processor | None:
        """The processor that workunits are compiled for; None on a GPU."""
        return processor_of(dict(self.key))

    @cached_property
    def tools(self) -> Tools:
        """The compilers and Kokkos' headers, Kokkos built where the cache lacks it.

        Raises ToolchainError where something is missing.
        """
        compiler, nvcc = host_compiler(), None
        if self.arch is not None:
            nvcc = find_nvcc()
            nvcc.target(self.arch)
            compiler = find_nvcc_host(nvcc, compiler)
        if self.installed is not None:
            return Tools(compiler, self.installed, nvcc, None)
        name, made_with = self._description["kokkos"], self._description["kokkos_entry"]
        # The one that the runtime library was built with, whoever built that.
        for key in self.cache.keys("kokkos", name):
            place = self.cache.find("kokkos", name, key)
            if place is not None and place.name == made_with:
                kokkos = (
                    kokkos_cpu.built(place, name)
                    if self.arch is None
                    else kokkos_cuda.built(place, self.arch)
                )
                return Tools(compiler, kokkos, nvcc, place)
        return Tools.of(self.cache, compiler, nvcc, name)

    @property
    def compiler(self) -> Compiler:
        """This machine's C++ compiler. Raises ToolchainError where there is none."""
        return self.tools.compiler

    @property
    def kokkos(self) -> Kokkos:
        """The Kokkos whose headers workunits include; raises as `tools`."""
        return self.tools.kokkos

    @property
    def compile(self) -> tuple[str, ...]:
        """The command that compiled the runtime library, without its file names."""
        command: list[str] = self._description["command"]
        for name, path in self.tools.places().items():
            command = [word.replace(name, path) for word in command]
        return tuple(command)

    def load(self) -> ctypes.CDLL:
        """Load the libraries and give the runtime library.

        Raises ToolchainError where one cannot be loaded.
        """
        for library in self.libraries:
            try:
                loaded = ctypes.CDLL(str(library))
            except OSError as error:
                raise ToolchainError(f"cannot load {library}: {error}") from error
        return loaded

    def find_workunit(self, generated: Generated) -> Path | None:
        """The shared library of one workunit, if the cache has it; None if it must be compiled."""
        found = self.cache.find("workunits", generated.name, self._own_key(generated))
        return found / "workunit.so" if found is not None else None

    def workunit(self, generated: Generated) -> Path:
        """The shared library of one workunit, compiled where the cache has none.

        Raises ToolchainError where it must be compiled and cannot be.
        """
        found = self.find_workunit(generated)
        if found is not None:
            return found
        try:
            key = {**self._content(generated), **self.tools.compiler_key}
        except ToolchainError as error:
            raise ToolchainError(
                f"workunit {generated.name} is not in the cache: {error}"
            ) from error

        def build(folder: Path) -> None:
            source = folder / "workunit.cpp"
            source.write_text(generated.text, encoding="utf-8", errors="surrogateescape")
            # Beside it: Kokkos' nvcc_wrapper could not take a space in the path of a folder.
            shutil.copy(self._lanes, folder)
            try:
                run_tool(
                    [*self.compile, "-shared", "workunit.cpp", "-o", "workunit.so"]
                    + [str(self.library), *self._run_path()],
                    f"compiling workunit {generated.name}",
                    cwd=folder,
                    environment=self.tools.environment,
                )
            except ToolchainError as error:
                raise ToolchainError(_with_path(str(error), generated)) from error

        return self.cache.get_or_build("workunits", generated.name, key, build) / "workunit.so"

    def _run_path(self) -> list[str]:
        """For tools such as ldd: a process has loaded the runtime library already, which the loader
        then finds by its name. nvcc's shell would not leave the $ alone."""
        if self.arch is not None:
            return []
        return [f"-Wl,-rpath,$ORIGIN/../../{self.place.parent.name}/{self.place.name}"]

    def _own_key(self, generated: Generated) -> dict[str, str]:
        """The key of a workunit that the compiler of the runtime library compiled."""
        return {**self._content(generated), **compiler_key_of(dict(self.key))}

    def _content(self, generated: Generated) -> dict[str, str]:
        return {
            "source": generated.text,
            "lanes": self._lanes.read_text(encoding="utf-8"),
            "runtime": self.place.name,
        }

    @property
    def _lanes(self) -> Path:
        return CPP / lanes_header(self.arch is not None)

    @cached_property
    def _description(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.place / DESCRIPTION).read_bytes())
        return found


def _with_path(message: str, generated: Generated) -> str:
    """A compiler's message with the path of the workunit's file instead of its short name."""
    return re.sub(
        rf"(?<![\w/.]){re.escape(generated.file)}(?=:\d)",
        lambda _: generated.path,
        message,
    )
