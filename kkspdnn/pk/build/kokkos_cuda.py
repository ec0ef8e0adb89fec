"""Kokkos for NVIDIA GPUs, built from the same source distribution as the one for CPUs.

Kokkos 3.4.01 is of 2021. CUDA 13 and newer GPUs take it with the few changes below.
"""

from __future__ import annotations

import json
import logging
import platform
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.cache_lookup import compiler_key
from kkspdnn.pk.build.compiler_flags import user_options
from kkspdnn.pk.build.find_kokkos import Kokkos, read_config
from kkspdnn.pk.build.kokkos_cpu import (
    ISOLATED,
    UNITY_CHANGES,
    install,
    scratch_folder,
    tell_building,
)
from kkspdnn.pk.build.kokkos_source import (
    PATCHES,
    SDIST,
    SDIST_SHA256,
    SDIST_VERSION,
    Patch,
    fetch_sources,
)
from kkspdnn.pk.build.nvcc import Nvcc, arch_number
from kkspdnn.pk.build.toolchain import Compiler, build_tool, run_tool

_LOG = logging.getLogger("kkspdnn")

NEEDED = frozenset({"CUDA"})
"""What a Kokkos of the user's must have; it has a space of the host whatever that is."""

_CHANGES = (
    # Half precision is not used, and its header does not compile with CUDA 13.
    (
        "core/src/Cuda/Kokkos_Cuda_Half.hpp",
        "#ifndef KOKKOS_CUDA_HALF_HPP_\n",
        "#define KOKKOS_CUDA_HALF_HPP_\n#ifndef KOKKOS_CUDA_HALF_HPP_\n",
    ),
    # CUDA 13 takes a location instead of a device.
    (
        "core/src/Cuda/Kokkos_CudaSpace.cpp",
        "cudaMemPrefetchAsync(ptr, bytes, space.cuda_device(),",
        "cudaMemPrefetchAsync(ptr, bytes,\n"
        "#if CUDART_VERSION >= 13000\n"
        "    cudaMemLocation{cudaMemLocationTypeDevice, space.cuda_device()}, 0,\n"
        "#else\n"
        "    space.cuda_device(),\n"
        "#endif\n",
    ),
    # Launches over teams ask for the largest shared memory, which the L1 cache is then without. No
    # workunit has any of its own: all live from L1.
    (
        "core/src/Cuda/Kokkos_Cuda_KernelLaunch.hpp",
        "(prefer_shmem ? cudaFuncCachePreferShared : cudaFuncCachePreferL1)",
        "cudaFuncCachePreferL1",
    ),
    # AMPERE80 stands for every architecture here: Kokkos knows the names up to sm_86, and its code
    # asks for those of Kepler and Maxwell only. nvcc_wrapper gets the -arch that is written here.
    ("cmake/kokkos_arch.cmake", "(AMPERE80  sm_80)", "(AMPERE80  {arch})"),
    *UNITY_CHANGES,
    # Likewise for Kokkos::Impl::Experimental, which hides Kokkos::Experimental.
    (
        "core/src/impl/Kokkos_HostSpace.cpp",
        "catch (Experimental::RawMemoryAllocationFailure const &failure) {\n"
        "    if (failure.failure_mode() == Experimental::RawMemoryAllocationFailure::\n",
        "catch (Kokkos::Experimental::RawMemoryAllocationFailure const &failure) {\n"
        "    if (failure.failure_mode() == Kokkos::Experimental::RawMemoryAllocationFailure::\n",
    ),
)
"""In addition to what every build needs."""

_NEWEST_OF_ALL = 90
"""The newest architecture that every nvcc from 12.0 on compiles for."""

_PTX_CHANGES = (
    # Kokkos aborts on a device of another major version than it was compiled for, which code of
    # sm_XX could not run on. PTX runs on every later device.
    (
        "core/src/Cuda/Kokkos_Cuda_Instance.cpp",
        "if (compiled_major != cudaProp.major || compiled_minor > cudaProp.minor) {",
        "if (compiled_major > cudaProp.major ||\n"
        "        (compiled_major == cudaProp.major && compiled_minor > cudaProp.minor)) {",
    ),
)
"""For architectures newer than that, which an nvcc may compile for as PTX."""

_WRAPPER_CHANGE = ("bin/nvcc_wrapper", 'default_arch="sm_35"', 'default_arch="{arch}"')
"""CUDA 12 refuses even `nvcc_wrapper --version` where this default is an architecture that it no
longer has. Not in the key: whatever is compiled is given its own -arch."""

_FIND_CUDA = "KOKKOS_CREATE_IMPORTED_TPL(CUDA INTERFACE)\nset(TPLCUDA_FOUND TRUE)\n"
"""Nothing to link with: nvcc adds CUDA's runtime by itself, and no function of the driver's library
is called, which is not there where programs are only compiled."""

_CONFIGURE = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_INSTALL_LIBDIR=lib",
    "-DCMAKE_POLICY_VERSION_MINIMUM=3.5",
    "-DBUILD_SHARED_LIBS=ON",
    # As for CPUs: Kokkos' headers are read once for eight files.
    "-DCMAKE_UNITY_BUILD=ON",
    "-DCMAKE_RELEASE_POSTFIX=_cuda",  # Two libraries of one name cannot be in one process.
    "-DKokkos_ENABLE_CUDA=ON",
    "-DKokkos_ENABLE_CUDA_LAMBDA=ON",
    "-DKokkos_ENABLE_SERIAL=ON",
    "-DKokkos_ARCH_AMPERE80=ON",
    "-DKokkos_CXX_STANDARD=17",
    "-Wno-dev",
)


_FLAGS = "-fno-gnu-unique"
"""Nor may two in one process share static objects."""


def architecture_flag(target: str) -> str:
    """For nvcc_wrapper, as Kokkos itself writes it; its own default may be one that nvcc lacks.

    target: see `Nvcc.target`. With PTX for a target, nvcc writes nothing but PTX.
    """
    return f"-arch={target}"


def _changes(arch: str) -> tuple[Patch, ...]:
    return _CHANGES + (_PTX_CHANGES if (arch_number(arch) or 0) > _NEWEST_OF_ALL else ())


def content(arch: str) -> dict[str, str]:
    """What the Kokkos that `build` builds depends on, but for the compilers.

    Whether it is machine code or PTX follows from the version of nvcc, which is in the key too.
    """
    options = (_CONFIGURE, PATCHES, _changes(arch), _FIND_CUDA, _FLAGS, user_options())
    return {
        "sdist": SDIST_SHA256,
        "machine": platform.machine(),
        "arch": arch,
        "options": json.dumps(options),
    }


def build(
    cache: Cache, host: Compiler, nvcc: Nvcc, arch: str, passed_over: Sequence[str] = ()
) -> Kokkos:
    """Kokkos 3.4.01 from PyPI for one architecture, built once into the cache in about a minute.

    passed_over: why others are not used, to be logged where this one is built. Raises
    ToolchainError where there is no network or the build fails.
    """
    key = {**content(arch), **compiler_key(host, nvcc.version)}
    builder = _Builder(host, nvcc, arch, tuple(passed_over))
    return built(cache.get_or_build("kokkos", f"cuda-{arch}", key, builder), arch)


def built(place: Path, arch: str) -> Kokkos:
    """The Kokkos that was built into `place`. Raises ToolchainError where there is none."""
    file = place / "lib" / "cmake" / "Kokkos" / "KokkosConfig.cmake"
    try:
        found, _ = read_config(file, f"built from {SDIST} {SDIST_VERSION}")
    except OSError as error:
        raise ToolchainError(f"the built Kokkos in {place} is unusable: {error}") from error
    return replace(found, arch=arch, stamp=place.name)


@dataclass(frozen=True)
class _Builder:
    host: Compiler
    nvcc: Nvcc
    arch: str
    passed_over: tuple[str, ...]

    def __call__(self, folder: Path) -> None:
        environment = self.nvcc.environment(self.host)
        for reason in self.passed_over:
            _LOG.info("passing over %s", reason)
        with scratch_folder(wrapper=True) as scratch:
            tell_building()
            target = self.nvcc.target(self.arch)
            changes = [
                (name, old, new.replace("{arch}", target))
                for name, old, new in (*_changes(self.arch), _WRAPPER_CHANGE)
            ]
            source = fetch_sources(scratch, changes)
            (source / "cmake" / "Modules" / "FindTPLCUDA.cmake").write_text(_FIND_CUDA)
            cmake, ninja = build_tool("cmake"), build_tool("ninja")
            flags = shlex.join([*self.host.user_options, _FLAGS, architecture_flag(target)])
            run_tool(
                [cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", *_CONFIGURE, *ISOLATED]
                + [f"-DCMAKE_CXX_COMPILER={source / 'bin' / 'nvcc_wrapper'}"]
                + [f"-DCMAKE_CXX_FLAGS={flags}"]
                + ["-S", str(source), "-B", str(scratch / "build")],
                "configuring Kokkos for CUDA",
                environment=environment,
            )
            run_tool(
                [ninja, "-C", scratch / "build"],
                "building Kokkos for CUDA",
                environment=environment,
            )
            install(scratch / "build", folder)
        built(folder, self.arch)
