"""Kokkos for NVIDIA GPUs, built from its sources on PyPI into the cache.

Kokkos 3.4.01 was released in 2021. The patches below let it compile with CUDA 13 and for newer
GPUs.
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
    NO_PACKAGE_REGISTRY,
    UNITY_PATCHES,
    install,
    log_building,
    scratch_folder,
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

REQUIRED_DEVICES = frozenset({"CUDA"})
"""The devices that a Kokkos of the user must have. Any Kokkos also has a host space."""

_CUDA_PATCHES = (
    # Half precision is not used, and its header does not compile with CUDA 13.
    (
        "core/src/Cuda/Kokkos_Cuda_Half.hpp",
        "#ifndef KOKKOS_CUDA_HALF_HPP_\n",
        "#define KOKKOS_CUDA_HALF_HPP_\n#ifndef KOKKOS_CUDA_HALF_HPP_\n",
    ),
    # In CUDA 13 the parameter is a location instead of a device.
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
    # A launch over teams requests the maximum of shared memory, which is taken from the L1 cache.
    # Workunits use no shared memory and need the L1 cache.
    (
        "core/src/Cuda/Kokkos_Cuda_KernelLaunch.hpp",
        "(prefer_shmem ? cudaFuncCachePreferShared : cudaFuncCachePreferL1)",
        "cudaFuncCachePreferL1",
    ),
    # The build uses the name AMPERE80 for all architectures: Kokkos 3.4 knows names up to sm_86,
    # and its code depends on those of Kepler and Maxwell only. nvcc_wrapper gets this -arch.
    ("cmake/kokkos_arch.cmake", "(AMPERE80  sm_80)", "(AMPERE80  {arch})"),
    *UNITY_PATCHES,
    # As in UNITY_PATCHES: Kokkos::Impl::Experimental hides Kokkos::Experimental.
    (
        "core/src/impl/Kokkos_HostSpace.cpp",
        "catch (Experimental::RawMemoryAllocationFailure const &failure) {\n"
        "    if (failure.failure_mode() == Experimental::RawMemoryAllocationFailure::\n",
        "catch (Kokkos::Experimental::RawMemoryAllocationFailure const &failure) {\n"
        "    if (failure.failure_mode() == Kokkos::Experimental::RawMemoryAllocationFailure::\n",
    ),
)
"""Applied in addition to PATCHES."""

_NEWEST_WITHOUT_PTX = 90
"""The newest architecture that all versions of nvcc from 12.0 on generate machine code for."""

_PTX_PATCHES = (
    # Kokkos aborts if the major version of the device differs from the one that it was compiled
    # for, as machine code does not run there. PTX runs on all later devices.
    (
        "core/src/Cuda/Kokkos_Cuda_Instance.cpp",
        "if (compiled_major != cudaProp.major || compiled_minor > cudaProp.minor) {",
        "if (compiled_major > cudaProp.major ||\n"
        "        (compiled_major == cudaProp.major && compiled_minor > cudaProp.minor)) {",
    ),
)
"""Applied for newer architectures, for which nvcc may generate PTX."""

_WRAPPER_PATCH = ("bin/nvcc_wrapper", 'default_arch="sm_35"', 'default_arch="{arch}"')
"""CUDA 12 refuses even `nvcc_wrapper --version` if it does not support the default architecture.

The patch is not in the cache key, as every compile sets its own -arch.
"""

_FIND_CUDA = "KOKKOS_CREATE_IMPORTED_TPL(CUDA INTERFACE)\nset(TPLCUDA_FOUND TRUE)\n"
"""The contents of FindTPLCUDA.cmake, which adds no libraries to link with.

nvcc links CUDA's runtime by itself. The driver's library is not used, and is missing on machines
that only compile.
"""

_CONFIGURE = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_INSTALL_LIBDIR=lib",
    "-DCMAKE_POLICY_VERSION_MINIMUM=3.5",
    "-DBUILD_SHARED_LIBS=ON",
    # As for CPUs: Kokkos's headers are read once for eight files.
    "-DCMAKE_UNITY_BUILD=ON",
    "-DCMAKE_RELEASE_POSTFIX=_cuda",  # libraries in one process need different names
    "-DKokkos_ENABLE_CUDA=ON",
    "-DKokkos_ENABLE_CUDA_LAMBDA=ON",
    "-DKokkos_ENABLE_SERIAL=ON",
    "-DKokkos_ARCH_AMPERE80=ON",
    "-DKokkos_CXX_STANDARD=17",
    "-Wno-dev",
)


_PRIVATE_STATICS = "-fno-gnu-unique"
"""Libraries in one process must not share static objects either."""


def architecture_flag(target: str) -> str:
    """Return the -arch option for nvcc_wrapper, in the same form as Kokkos adds it.

    target: see `Nvcc.target`. If it is PTX, nvcc generates only PTX.
    """
    return f"-arch={target}"


def _patches(arch: str) -> tuple[Patch, ...]:
    newer = (arch_number(arch) or 0) > _NEWEST_WITHOUT_PTX
    return _CUDA_PATCHES + (_PTX_PATCHES if newer else ())


def key_content(arch: str) -> dict[str, str]:
    """Return the cache key of the Kokkos that `build` builds, without the compilers.

    The version of nvcc, which decides between machine code and PTX, belongs to the compilers.
    """
    options = (_CONFIGURE, PATCHES, _patches(arch), _FIND_CUDA, _PRIVATE_STATICS, user_options())
    return {
        "sdist": SDIST_SHA256,
        "machine": platform.machine(),
        "arch": arch,
        "options": json.dumps(options),
    }


def build(
    cache: Cache, host: Compiler, nvcc: Nvcc, arch: str, skipped: Sequence[str] = ()
) -> Kokkos:
    """Return Kokkos 3.4.01 for an architecture from the cache; build it first if it is missing.

    A build takes about a minute. Raises ToolchainError if it fails, for example without a network.

    skipped: the user's installations that are not usable, which a build logs
    """
    key = {**key_content(arch), **compiler_key(host, nvcc.version)}
    builder = _Builder(host, nvcc, arch, tuple(skipped))
    return read_built(cache.get_or_build("kokkos", f"cuda-{arch}", key, builder), arch)


def read_built(folder: Path, arch: str) -> Kokkos:
    """Return the Kokkos in an entry of the cache; raise ToolchainError if there is none."""
    file = folder / "lib" / "cmake" / "Kokkos" / "KokkosConfig.cmake"
    try:
        kokkos, _ = read_config(file, f"built from {SDIST} {SDIST_VERSION}")
    except OSError as error:
        raise ToolchainError(f"the built Kokkos in {folder} is unusable: {error}") from error
    return replace(kokkos, arch=arch, stamp=folder.name)


@dataclass(frozen=True)
class _Builder:
    """Builds Kokkos into a folder; see `build`."""

    host: Compiler
    nvcc: Nvcc
    arch: str
    skipped: tuple[str, ...]

    def __call__(self, folder: Path) -> None:
        environment = self.nvcc.environment(self.host)
        for installation in self.skipped:
            _LOG.info("skipping %s", installation)
        with scratch_folder(nvcc_wrapper=True) as scratch:
            log_building()
            target = self.nvcc.target(self.arch)
            patches = [
                (name, old, new.replace("{arch}", target))
                for name, old, new in (*_patches(self.arch), _WRAPPER_PATCH)
            ]
            source = fetch_sources(scratch, patches)
            (source / "cmake" / "Modules" / "FindTPLCUDA.cmake").write_text(_FIND_CUDA)
            cmake, ninja = build_tool("cmake"), build_tool("ninja")
            flags = shlex.join(
                [*self.host.user_options, _PRIVATE_STATICS, architecture_flag(target)]
            )
            run_tool(
                [cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", *_CONFIGURE]
                + [*NO_PACKAGE_REGISTRY]
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
        read_built(folder, self.arch)
