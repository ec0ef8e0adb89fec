"""The start of the real PyKokkos in this process, with a number of OpenMP threads."""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from kkspdnn.errors import ToolchainError
from kkspdnn.pk import import_failure
from kkspdnn.pk.build.cache import Cache, default_cache
from kkspdnn.pk.build.toolchain import run_tool
from kkspdnn.pk.installed.compiled_modules import PyKokkosModules
from kkspdnn.pk.installed.launcher import PyKokkosLauncher
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime.openmp import openmp_start_settings
from kkspdnn.pykokkos_finder import real_package_only

_OPENMP = "libgomp.so.1"
"""The OpenMP library of g++, which PyKokkos compiles with."""

_TESTED_VERSION = "commit b42c805 of github.com/kokkos/pykokkos"


def start_pykokkos(space: ExecutionSpace, threads: int) -> tuple[PyKokkosLauncher, int]:
    """Import PyKokkos, which starts Kokkos; return its launcher and the number of OpenMP threads.

    threads: their number, unless the program has imported PyKokkos before

    Raises ToolchainError if it cannot be imported, lacks the execution space, or is a version with
    other internals.
    """
    running = _import_pykokkos(threads)
    try:
        return _launcher(space, default_cache()), running
    except (ImportError, AttributeError, LookupError, TypeError) as error:
        raise ToolchainError(
            f"this version of PyKokkos is not supported ({type(error).__name__}: {error}); "
            f"kkspdnn was tested with {_TESTED_VERSION}"
        ) from error


@cache
def _launcher(space: ExecutionSpace, store: Cache) -> PyKokkosLauncher:
    """Return the launcher of the imported PyKokkos, whose internals may be others."""
    manager = import_module("pykokkos.kokkos_manager")
    names = [each.value for each in manager.get_available_execution_spaces()]
    if space.value not in names:
        raise ToolchainError(
            f"PyKokkos has no execution space {space.value}, only {', '.join(names)}; build "
            f"pykokkos-base with -DENABLE_{space.value.upper()}=ON"
        )
    libraries, headers = _kokkos_folders(space)
    launcher = PyKokkosLauncher(PyKokkosModules(store, space, libraries, headers))
    atexit.register(launcher.close)  # runs before PyKokkos's handler, which ends Kokkos
    return launcher


def check_import() -> None:
    """Import PyKokkos in another process; raise ToolchainError if that fails."""
    command = [sys.executable, "-c", "import pykokkos"]
    run_tool(command, "importing PyKokkos", inherit=True)


def _import_pykokkos(threads: int) -> int:
    if "pykokkos.kokkos_manager" in sys.modules:
        return _openmp_threads() or threads
    added = {} if "OMP_NUM_THREADS" in os.environ else {"OMP_NUM_THREADS": str(threads)}
    # The module may be the built-in compiler's, if workunits have been imported with it.
    loaded = sys.modules.pop("pykokkos", None)
    try:
        with openmp_start_settings(threads), real_package_only():
            os.environ.update(added)
            _set_openmp_threads(threads)
            import_module("pykokkos")
    except (Exception, SystemExit) as error:
        if loaded is not None:
            sys.modules["pykokkos"] = loaded
        raise ToolchainError(import_failure(error)) from error
    finally:
        for name in added:
            os.environ.pop(name, None)
    return threads


def _openmp_library() -> Any:
    with suppress(OSError):
        return ctypes.CDLL(_OPENMP)
    return None


def _set_openmp_threads(threads: int) -> None:
    """Set the number of threads in an OpenMP library that has read OMP_NUM_THREADS before."""
    library = _openmp_library()
    if library is not None:
        library.omp_set_num_threads(threads)


def _openmp_threads() -> int | None:
    library = _openmp_library()
    return int(library.omp_get_max_threads()) if library is not None else None


def _kokkos_folders(space: ExecutionSpace) -> tuple[Path, Path]:
    """Return the folders of libraries and headers of the Kokkos that PyKokkos links with."""
    setup = import_module("pykokkos.core.cpp_setup").CppSetup("", [])
    compiler = import_module("pykokkos.runtime").runtime_singleton.runtime.compiler.get_compiler()
    pk = import_module("pykokkos")
    try:
        libraries, headers, _ = setup.get_kokkos_paths(pk.ExecutionSpace[space.value], compiler)
    except RuntimeError as error:
        raise ToolchainError(f"PyKokkos does not find its Kokkos: {error}") from error
    return Path(libraries), Path(headers)
