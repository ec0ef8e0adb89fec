"""Kokkos for CPUs, built from its sources on PyPI and kept in the cache."""

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
from kkspdnn.pk.build.find_kokkos import Kokkos, look
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
    # CMake compiles eight files as one and reads Kokkos' headers once for them: the build takes two
    # thirds of the time.
    "-DCMAKE_UNITY_BUILD=ON",
    "-Wno-dev",
)

UNITY_CHANGES = (
    # Files that are compiled as one share their declarations. Some declare the namespace
    # Kokkos::Experimental::Impl, which hides Kokkos::Impl here.
    (
        "core/src/impl/Kokkos_Error.cpp",
        "<< Impl::human_memory_size(m_attempted_size)",
        "<< Kokkos::Impl::human_memory_size(m_attempted_size)",
    ),
)

ISOLATED = ("-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF", "-DCMAKE_FIND_PACKAGE_NO_PACKAGE_REGISTRY=ON")
"""CMake looks for packages in ~/.cmake as well; what is built must not depend on it."""


def content(openmp: bool) -> dict[str, str]:
    """What the Kokkos that `build` builds depends on, but for the compiler."""
    return {
        "sdist": SDIST_SHA256,
        "machine": platform.machine(),
        "openmp": str(openmp),
        "options": json.dumps((_CONFIGURE, PATCHES, UNITY_CHANGES, user_options())),
    }


def build(
    cache: Cache, compiler: Compiler, openmp: bool, passed_over: Sequence[str] = ()
) -> Kokkos:
    """Kokkos 3.4.01 from PyPI, built once into the cache (a few seconds to half a minute).

    passed_over: why others are not used, to be logged where this one is built. Raises
    ToolchainError where there is no network, no OpenMP, or the build fails.
    """
    kind = "openmp" if openmp else "serial"
    key = {**content(openmp), **compiler_key(compiler)}
    builder = _Builder(compiler, kind, tuple(passed_over))
    return built(cache.get_or_build("kokkos", kind, key, builder), kind)


def built(place: Path, kind: str) -> Kokkos:
    """The Kokkos that was built into `place`; kind: "openmp" or "serial".

    Raises ToolchainError where there is none that can be used.
    """
    needed = frozenset({"OPENMP", "SERIAL"} if kind == "openmp" else {"SERIAL"})
    found = look(f"built from {SDIST} {SDIST_VERSION}", place, False, needed)
    if found.kokkos is None:
        raise ToolchainError(f"the built Kokkos in {place} is unusable: {found.reason}")
    return replace(found.kokkos, stamp=place.name)


@dataclass(frozen=True)
class _Builder:
    compiler: Compiler
    kind: str
    passed_over: tuple[str, ...]

    def __call__(self, folder: Path) -> None:
        for reason in self.passed_over:
            _LOG.info("passing over %s", reason)
        openmp = self.kind == "openmp"
        if openmp:
            require_openmp(self.compiler)
        # The one without OpenMP may share a process with a Kokkos of the user's, which two
        # libraries of one name, or with the same static objects, cannot.
        separate = () if openmp else self.compiler.private_statics_option
        with scratch_folder() as scratch:
            tell_building()
            source = fetch_sources(scratch, UNITY_CHANGES)
            cmake, ninja = build_tool("cmake"), build_tool("ninja")
            run_tool(
                [cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", *_CONFIGURE, *ISOLATED]
                + [f"-DCMAKE_CXX_COMPILER={self.compiler.path}"]
                + [f"-DCMAKE_CXX_FLAGS={shlex.join([*self.compiler.user_options, *separate])}"]
                + [f"-DKokkos_ENABLE_OPENMP={'ON' if openmp else 'OFF'}"]
                + ([] if openmp else ["-DCMAKE_RELEASE_POSTFIX=_serial"])
                + ["-S", str(source), "-B", str(scratch / "build")],
                "configuring Kokkos",
            )
            run_tool([ninja, "-C", scratch / "build"], "building Kokkos")
            install(scratch / "build", folder)
        built(folder, self.kind)


def tell_building() -> None:
    """Log that Kokkos is being built, which takes a while."""
    log_progress(f"building Kokkos {KOKKOS_VERSION}, once per machine (about a minute)")


def install(build_folder: Path, folder: Path) -> None:
    """Install what was built into a folder, by CMake; copies, which outlive the build folder."""
    run_tool(
        [build_tool("cmake"), "--install", str(build_folder), "--prefix", str(folder)],
        "installing Kokkos into the cache",
    )


@contextmanager
def scratch_folder(wrapper: bool = False) -> Iterator[Path]:
    """A folder to build Kokkos in, gone after the block, even one that SIGTERM or SIGHUP ends;
    wrapper: with its nvcc_wrapper.

    Raises ToolchainError where there is none, or the tools cannot take its name.
    """
    try:
        temporary = tempfile.TemporaryDirectory(prefix="kkspdnn-kokkos-")
    except OSError as error:
        raise ToolchainError(
            f"no folder for temporary files: {error.strerror or error}; set TMPDIR to one"
        ) from error
    with exit_on_signals(), temporary as name:
        odd = unsupported_path(Path(name), wrapper)
        if odd is not None:
            raise ToolchainError(f"the temporary folder {odd}; set TMPDIR to another one")
        yield Path(name)


def require_openmp(compiler: Compiler) -> None:
    """Raise ToolchainError where the compiler cannot compile and link OpenMP."""
    with tempfile.TemporaryDirectory(prefix="kkspdnn-openmp-") as folder:
        source = Path(folder) / "probe.cpp"
        source.write_text("#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n")
        try:
            run_tool(
                [
                    compiler.path,
                    *compiler.user_options,
                    "-fopenmp",
                    source,
                    "-o",
                    Path(folder) / "probe",
                ],
                "compiling OpenMP",
            )
        except ToolchainError as error:
            raise ToolchainError(
                f"{compiler.path} has no OpenMP: install it (Debian: libgomp1 comes with g++), "
                "set CXX to a compiler that has it, or use --space serial"
            ) from error
