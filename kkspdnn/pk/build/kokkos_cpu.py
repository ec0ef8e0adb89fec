"""Kokkos for CPUs, built from its sources on PyPI into the cache."""

from __future__ import annotations

import json
import logging
import platform
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.cache_lookup import compiler_key
from kkspdnn.pk.build.compiler_flags import user_options
from kkspdnn.pk.build.find_kokkos import Kokkos, inspect_prefix
from kkspdnn.pk.build.kokkos_source import (
    PATCHES,
    SDIST,
    SDIST_SHA256,
    SDIST_VERSION,
    fetch_sources,
)
from kkspdnn.pk.build.toolchain import Compiler, build_tool, run_tool
from kkspdnn.pk.system.paths import unsupported_path
from kkspdnn.pk.system.progress_log import log_progress
from kkspdnn.pk.system.termination import exit_on_signals

_LOG = logging.getLogger("kkspdnn")

KOKKOS_VERSION = "3.4.01"

_CONFIGURE = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_INSTALL_LIBDIR=lib",
    "-DCMAKE_POLICY_VERSION_MINIMUM=3.5",
    "-DKokkos_ENABLE_SERIAL=ON",
    "-DKokkos_CXX_STANDARD=17",
    "-DBUILD_SHARED_LIBS=ON",
    # CMake compiles eight files as one, so that Kokkos's headers are read once for eight files.
    # This shortens the build by a third.
    "-DCMAKE_UNITY_BUILD=ON",
    "-Wno-dev",
)

UNITY_PATCHES = (
    # Files that are compiled as one share their declarations. Some declare the namespace
    # Kokkos::Experimental::Impl, which hides Kokkos::Impl in this file.
    (
        "core/src/impl/Kokkos_Error.cpp",
        "<< Impl::human_memory_size(m_attempted_size)",
        "<< Kokkos::Impl::human_memory_size(m_attempted_size)",
    ),
)

NO_PACKAGE_REGISTRY = (
    "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF",
    "-DCMAKE_FIND_PACKAGE_NO_PACKAGE_REGISTRY=ON",
)
"""Otherwise CMake also searches ~/.cmake for packages, and the build would depend on it."""


def key_content(openmp: bool) -> dict[str, str]:
    """Return the cache key of the Kokkos that `build` builds, without the compiler."""
    return {
        "sdist": SDIST_SHA256,
        "machine": platform.machine(),
        "openmp": str(openmp),
        "options": json.dumps((_CONFIGURE, PATCHES, UNITY_PATCHES, user_options())),
    }


def build(cache: Cache, compiler: Compiler, openmp: bool, skipped: Sequence[str] = ()) -> Kokkos:
    """Return Kokkos 3.4.01 from the cache; build it first if it is missing.

    A build takes a few seconds to half a minute. Raises ToolchainError if it fails, for example
    without a network or OpenMP.

    skipped: the user's installations that are not usable, which a build logs
    """
    variant = "openmp" if openmp else "serial"
    key = {**key_content(openmp), **compiler_key(compiler)}
    builder = _Builder(compiler, variant, tuple(skipped))
    return read_built(cache.get_or_build("kokkos", variant, key, builder), variant)


def read_built(folder: Path, variant: str) -> Kokkos:
    """Return the Kokkos in an entry of the cache; variant: "openmp" or "serial".

    Raises ToolchainError if it is not usable.
    """
    needed = frozenset({"OPENMP", "SERIAL"} if variant == "openmp" else {"SERIAL"})
    result = inspect_prefix(f"built from {SDIST} {SDIST_VERSION}", folder, False, needed)
    if result.kokkos is None:
        raise ToolchainError(f"the built Kokkos in {folder} is unusable: {result.reason}")
    return replace(result.kokkos, stamp=folder.name)


@dataclass(frozen=True)
class _Builder:
    """Builds Kokkos into a folder; see `build` and `read_built`."""

    compiler: Compiler
    variant: str
    skipped: tuple[str, ...]

    def __call__(self, folder: Path) -> None:
        for installation in self.skipped:
            _LOG.info("skipping %s", installation)
        openmp = self.variant == "openmp"
        if openmp:
            require_openmp(self.compiler)
        # Kokkos without OpenMP may be loaded beside the user's Kokkos. Their libraries then need
        # different names and must not share static objects.
        private_statics = () if openmp else self.compiler.private_statics_option
        with scratch_folder() as scratch:
            log_building()
            source = fetch_sources(scratch, UNITY_PATCHES)
            cmake, ninja = build_tool("cmake"), build_tool("ninja")
            flags = shlex.join([*self.compiler.user_options, *private_statics])
            run_tool(
                [cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", *_CONFIGURE]
                + [*NO_PACKAGE_REGISTRY]
                + [f"-DCMAKE_CXX_COMPILER={self.compiler.path}"]
                + [f"-DCMAKE_CXX_FLAGS={flags}"]
                + [f"-DKokkos_ENABLE_OPENMP={'ON' if openmp else 'OFF'}"]
                + ([] if openmp else ["-DCMAKE_RELEASE_POSTFIX=_serial"])
                + ["-S", str(source), "-B", str(scratch / "build")],
                "configuring Kokkos",
            )
            run_tool([ninja, "-C", scratch / "build"], "building Kokkos")
            install(scratch / "build", folder)
        read_built(folder, self.variant)


def log_building() -> None:
    """Log that Kokkos is being built."""
    log_progress(f"building Kokkos {KOKKOS_VERSION}, once per machine (about a minute)")


def install(build_folder: Path, folder: Path) -> None:
    """Copy the built files into a folder with `cmake --install`."""
    run_tool(
        [build_tool("cmake"), "--install", str(build_folder), "--prefix", str(folder)],
        "installing Kokkos into the cache",
    )


@contextmanager
def scratch_folder(nvcc_wrapper: bool = False) -> Iterator[Path]:
    """Create a temporary folder to build Kokkos in, and remove it after the block.

    It is also removed if SIGTERM or SIGHUP ends the block. Raises ToolchainError if it cannot be
    created, or if the build tools do not support its path.

    nvcc_wrapper: nvcc_wrapper must support the path too
    """
    try:
        temporary = tempfile.TemporaryDirectory(prefix="kkspdnn-kokkos-")
    except OSError as error:
        raise ToolchainError(
            f"no folder for temporary files: {error.strerror or error}; set TMPDIR to a folder"
        ) from error
    with exit_on_signals(), temporary as name:
        problem = unsupported_path(Path(name), nvcc_wrapper)
        if problem is not None:
            raise ToolchainError(f"the temporary folder {problem}; set TMPDIR to another one")
        yield Path(name)


def require_openmp(compiler: Compiler) -> None:
    """Raise ToolchainError if the compiler cannot compile and link a program with OpenMP."""
    with tempfile.TemporaryDirectory(prefix="kkspdnn-openmp-") as folder:
        source, program = Path(folder) / "probe.cpp", Path(folder) / "probe"
        source.write_text("#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n")
        try:
            run_tool(
                [compiler.path, *compiler.user_options, "-fopenmp", source, "-o", program],
                "compiling OpenMP",
            )
        except ToolchainError as error:
            raise ToolchainError(
                f"{compiler.path} has no OpenMP: install it (Debian: libgomp1 comes with g++), "
                "set CXX to a compiler that has it, or use --space serial"
            ) from error
