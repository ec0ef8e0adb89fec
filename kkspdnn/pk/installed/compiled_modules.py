"""Workunits that PyKokkos has compiled: in the cache, and loaded."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.nvcc import find_nvcc
from kkspdnn.pk.build.toolchain import Compiler, compiler_at, run_tool
from kkspdnn.pk.codegen.pykokkos_source import PyKokkosSource
from kkspdnn.pk.installed.requirements import LIBRARY_VARIABLE, search_path
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.system.cuda_driver import selected_device
from kkspdnn.pk.system.import_file import import_file
from kkspdnn.pk.system.instruction_sets import libc_version, native_processor

INTERFACE_VARIABLE = "PK_KOKKOS_INTERFACE"
"""The version of Kokkos whose views PyKokkos generates code for."""

_INHERITED = (LIBRARY_VARIABLE, INTERFACE_VARIABLE, "LD_PRELOAD", "CUDA_VISIBLE_DEVICES")
"""Environment variables of PyKokkos and its libraries. The others of PyKokkos, such as PK_RESTRICT,
would change the generated code."""

_CATEGORY = "pykokkos"
_MODULE = "kernel" + (sysconfig.get_config_var("EXT_SUFFIX") or ".so")


@dataclass(frozen=True)
class PyKokkosModules:
    """Compiles and loads workunits for an execution space.

    libraries, headers: the folders of PyKokkos's Kokkos
    """

    cache: Cache
    space: ExecutionSpace
    libraries: Path
    headers: Path

    def find(self, source: PyKokkosSource) -> Path | None:
        """Return the compiled module of a workunit, or None if the cache lacks it."""
        entry = self.cache.find(_CATEGORY, source.name, self._key(source))
        return self._module(entry) if entry is not None else None

    def compile(self, source: PyKokkosSource) -> Path:
        """Return the compiled module of a workunit; compile it first if the cache lacks it.

        Raises ToolchainError if PyKokkos cannot compile it.
        """

        def build(folder: Path) -> None:
            file = folder / "workunit.py"
            file.write_text(source.text, encoding="utf-8")
            environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
            environment |= {
                "PATH": search_path(),
                "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
                "PYTHONUNBUFFERED": "1",  # the reason of a failure is the last line
                "OMP_NUM_THREADS": "1",
            }
            command = [sys.executable, "-m", "kkspdnn.pk.installed.compile_workunit"]
            run_tool(
                [*command, file, source.function, self.space.value],
                f"compiling workunit {source.name} with PyKokkos",
                cwd=folder,
                environment=environment,
            )
            if not self._module(folder).is_file():
                raise ToolchainError(f"PyKokkos did not compile workunit {source.name}")
            for temporary in [*folder.rglob("*.o"), *folder.rglob("__pycache__")]:
                shutil.rmtree(temporary) if temporary.is_dir() else temporary.unlink()

        entry = self.cache.get_or_build(_CATEGORY, source.name, self._key(source), build)
        return self._module(entry)

    def _module(self, entry: Path) -> Path:
        return entry / self.space.value / _MODULE

    def _key(self, source: PyKokkosSource) -> dict[str, str]:
        return {"source": source.text, **self._environment}

    @cached_property
    def kokkos_version(self) -> str:
        """The version of PyKokkos's Kokkos, or "unknown"."""
        match = re.search(r"^#define KOKKOS_VERSION (\d+)$", self._configuration, re.MULTILINE)
        if match is None:
            return "unknown"
        number = int(match[1])
        return f"{number // 10000}.{number // 100 % 100}.{number % 100:02}"

    @cached_property
    def compiler(self) -> Compiler:
        """The host compiler of PyKokkos's script, which does not look at CXX."""
        path = shutil.which("g++", path=search_path())
        if path is None:
            raise ToolchainError("PyKokkos compiles with g++, which is not on the PATH")
        return compiler_at(path, ())

    @cached_property
    def _configuration(self) -> str:
        """The header with Kokkos's version, devices and options."""
        try:
            return (self.headers / "KokkosCore_config.h").read_text(encoding="utf-8")
        except OSError as error:
            raise ToolchainError(
                f"PyKokkos needs Kokkos's headers, and cannot read {error.filename}; set "
                f"{LIBRARY_VARIABLE} to the lib folder of an installed Kokkos"
            ) from error

    @cached_property
    def _environment(self) -> dict[str, str]:
        """The fields of a key that do not depend on the workunit.

        The path of Kokkos's libraries is one of them, as the module is linked with this path.
        """
        return {
            "space": self.space.value,
            "pykokkos": _digest_of_translator(),
            "kokkos": f"{self.libraries}\n{self._configuration}",
            "interface": os.environ.get(INTERFACE_VARIABLE, ""),
            "python": f"{sys.version_info[:2]} {_MODULE}",
            "compiler": self.compiler.version,
            "libc": libc_version(),
            **native_processor().key,
            **self._gpu,
        }

    @property
    def _gpu(self) -> dict[str, str]:
        """The fields of a key for a GPU: PyKokkos compiles for the current device."""
        if self.space is not ExecutionSpace.Cuda:
            return {}
        return {"arch": selected_device().arch, "nvcc": find_nvcc().version}


def load_wrapper(path: Path, name: str) -> Callable[..., Any]:
    """Load a compiled module and return its function that launches the workunit.

    Raises ToolchainError if it cannot be loaded.
    """
    try:
        module = import_file(name, path)
    except ImportError as error:
        raise ToolchainError(f"cannot load {path}: {error}") from error
    wrapper: Callable[..., Any] = getattr(module, f"wrapper_{name}")
    return wrapper


def _digest_of_translator() -> str:
    """The digest of PyKokkos's translator, whose version does not change with it."""
    folder = Path(import_module("pykokkos").__path__[0]) / "core"
    digest = hashlib.sha256()
    for pattern in ("*.py", "*.sh"):
        for file in sorted(folder.rglob(pattern)):
            digest.update(file.read_bytes())
    return digest.hexdigest()
