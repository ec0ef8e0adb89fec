"""Kokkos for NVIDIA GPUs, built from the same source distribution as the one for CPUs.

Kokkos 3.4.01 is of 2021. CUDA 13 and newer GPUs take it with the few changes below.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.cache import Cache
from kkspdnn.pk.kokkos import (
    SDIST_SHA256,
    Kokkos,
    in_cache,
    scratch_folder,
    sdist,
    unpack,
)
from kkspdnn.pk.lookup import maker
from kkspdnn.pk.nvcc import Nvcc
from kkspdnn.pk.progress_log import tell
from kkspdnn.pk.toolchain import Compiler, build_tool, run

DEVICES = frozenset({"CUDA", "SERIAL"})
"""What is built, and what a Kokkos of the user's must have: CUDA needs one space of the host."""

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
    # sm_86 is the newest that it knows by name; it treats all from sm_80 on alike.
    ("cmake/kokkos_arch.cmake", "(AMPERE80  sm_80)", "(AMPERE80  {arch})"),
)
"""File, text that is there once, and text in its place."""

_FIND_CUDA = "KOKKOS_CREATE_IMPORTED_TPL(CUDA INTERFACE)\nset(TPLCUDA_FOUND TRUE)\n"
"""Nothing to link with: nvcc adds CUDA's runtime by itself, and no function of the driver's library
is called, which is not there where programs are only compiled."""

_CONFIGURE = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_INSTALL_LIBDIR=lib",
    "-DCMAKE_POLICY_VERSION_MINIMUM=3.5",
    "-DBUILD_SHARED_LIBS=ON",
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


def architecture_flag(arch: str) -> str:
    """For nvcc_wrapper, as Kokkos itself writes it; its own default may be one that nvcc lacks."""
    return f"-arch={arch}"


def content(arch: str) -> dict[str, str]:
    """What the Kokkos that `build` builds depends on, but for the compilers."""
    return {
        "sdist": SDIST_SHA256,
        "machine": platform.machine(),
        "arch": arch,
        "options": json.dumps((_CONFIGURE, _CHANGES, _FIND_CUDA, _FLAGS)),
        "flags": os.environ.get("KKSPDNN_CXXFLAGS", ""),
    }


def build(cache: Cache, host: Compiler, nvcc: Nvcc, arch: str) -> Kokkos:
    """Kokkos 3.4.01 from PyPI for one architecture, built once into the cache in about a minute.

    Raises ToolchainError where there is no network or the build fails.
    """
    key = {**content(arch), **maker(host, nvcc.version)}
    return in_cache(cache.entry("kokkos", f"cuda-{arch}", key, _Builder(host, nvcc, arch)), arch)


@dataclass(frozen=True)
class _Builder:
    host: Compiler
    nvcc: Nvcc
    arch: str

    def __call__(self, folder: Path) -> None:
        environment = self.nvcc.environment(self.host)
        tell("building Kokkos for CUDA, once per machine (about a minute)")
        with scratch_folder(wrapper=True) as scratch:
            source = unpack(sdist(scratch), scratch)
            self._change(source)
            cmake, ninja = build_tool("cmake"), build_tool("ninja")
            run(
                [cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", *_CONFIGURE]
                + [f"-DCMAKE_CXX_COMPILER={source / 'bin' / 'nvcc_wrapper'}"]
                + [f"-DCMAKE_CXX_FLAGS={_FLAGS} {architecture_flag(self.arch)}"]
                + ["-S", str(source), "-B", str(scratch / "build")],
                "configuring Kokkos for CUDA",
                environment=environment,
            )
            run(
                [ninja, "-C", scratch / "build"],
                "building Kokkos for CUDA",
                environment=environment,
            )
            run(
                [cmake, "--install", str(scratch / "build"), "--prefix", str(folder)],
                "installing Kokkos for CUDA into the cache",
            )

    def _change(self, source: Path) -> None:
        (source / "cmake" / "Modules" / "FindTPLCUDA.cmake").write_text(_FIND_CUDA)
        for name, old, new in _CHANGES:
            file = source / name
            text = file.read_text(encoding="utf-8")
            if text.count(old) != 1:
                raise ToolchainError(f"{file}: not the expected Kokkos, as {old!r} is not in it")
            changed = text.replace(old, new.replace("{arch}", self.arch))
            file.write_text(changed, encoding="utf-8")
