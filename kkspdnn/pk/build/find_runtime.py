"""Finding the runtime library of an execution space in the cache, or building it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import kokkos_cpu, kokkos_cuda
from kkspdnn.pk.build.build_runtime import RuntimeSpec, build_runtime
from kkspdnn.pk.build.cache import Cache, default_cache
from kkspdnn.pk.build.cache_lookup import compiler_key, find_entry, try_find
from kkspdnn.pk.build.find_kokkos import SearchResult, search_kokkos, usable_results
from kkspdnn.pk.build.nvcc import Nvcc, find_nvcc
from kkspdnn.pk.build.nvcc_host import find_nvcc_host
from kkspdnn.pk.build.runtime_library import BuildTools, RuntimeLibrary
from kkspdnn.pk.build.toolchain import Compiler, host_compiler
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.system.cuda_driver import driver_version, selected_device
from kkspdnn.pk.system.fork import ProcessLock
from kkspdnn.pk.system.instruction_sets import Processor, native_processor, parse_processor
from kkspdnn.pk.system.paths import unsupported_path

_LOG = logging.getLogger("kkspdnn")

KOKKOS_LOCK = ProcessLock()
"""Held while a runtime library is found or built, and while Kokkos starts."""


def find_runtime_library(
    space: ExecutionSpace, arch: str | None = None, cpu: str | None = None
) -> RuntimeLibrary:
    """Return the runtime library of an execution space; build it, and Kokkos, if it is missing.

    Serial uses the Kokkos for OpenMP if the compiler has OpenMP and that Kokkos has Serial, so that
    both spaces share a cache entry. If the runtime library cannot be linked with a Kokkos of the
    user's, the next Kokkos is tried, unless the user set this one with Kokkos_DIR or Kokkos_ROOT.

    arch: a GPU architecture to compile for, such as `sm_90`, with this machine's compilers if it
    has them; None means this machine's device, and accepts cached code of any compiler
    cpu: a processor to compile for, see `parse_processor`; None accepts any that this machine runs

    Raises ToolchainError or CacheError if the library cannot be built, InputError for an unknown
    processor, and SpaceError if the machine does not have the execution space.
    """
    with KOKKOS_LOCK:
        if space is ExecutionSpace.Cuda:
            return _find_for_gpu(arch or selected_device().arch, exact=arch is not None)
        return _find_for_cpu(space, cpu)


def _specs(
    kokkos_name: str, kokkos_key: Mapping[str, str], results: Sequence[SearchResult]
) -> Iterator[RuntimeSpec]:
    """Yield a spec for each usable Kokkos of the user, then one for the Kokkos in the cache."""
    arch = kokkos_name.removeprefix("cuda-") if kokkos_name.startswith("cuda-") else None
    for result in usable_results(results):
        yield RuntimeSpec(kokkos_name, kokkos_key, result, arch)
    skipped = [each.skipped for each in results if each.skipped is not None]
    yield RuntimeSpec(kokkos_name, kokkos_key, None, arch, skipped=tuple(skipped))


@dataclass(frozen=True)
class _RuntimeFinder:
    """Finds runtime libraries in the cache, and builds them with this machine's tools.

    compiler, nvcc: this machine's, or None; missing: the error if a tool is missing
    processor: to compile for; None for a GPU
    exact: accept no code for another processor or of other compilers
    driver: the newest CUDA that the driver supports; None accepts any
    """

    store: Cache
    compiler: Compiler | None
    missing: ToolchainError | None
    processor: Processor | None
    nvcc: Nvcc | None = None
    exact: bool = False
    driver: tuple[int, int] | None = None

    @property
    def compiler_key(self) -> dict[str, str] | None:
        if self.compiler is None or self.missing is not None:
            return None
        return compiler_key(self.compiler, self.nvcc.version if self.nvcc is not None else None)

    def find(self, spec: RuntimeSpec) -> RuntimeLibrary | None:
        """Return a library from the cache that this machine can use, or None."""
        query = spec.query(self.compiler_key, self.processor)
        if self.exact:
            if self.compiler_key is None:
                return None
            folder = self.store.find(query.category, query.name, query.key())
            return spec.library(self.store, folder, query.key()) if folder is not None else None
        match = find_entry(self.store, replace(query, driver=self.driver))
        if match is None:
            return None
        if self.missing is not None and os.environ.get("CXX"):
            _LOG.warning("%s; using cached code", self.missing)
        return spec.library(self.store, *match)

    def find_or_build(self, specs: Iterable[RuntimeSpec]) -> RuntimeLibrary:
        """Return the library of the first spec that is in the cache or can be built."""
        for spec in specs:
            library = self.find(spec)
            if library is not None:
                return library
            if self.compiler is None or self.missing is not None:
                if spec.user is not None and spec.user.set_by_user:
                    break
                continue
            try:
                return self._build(spec, self.compiler)
            except ToolchainError as error:
                if spec.user is None:
                    raise
                if spec.user.set_by_user:
                    raise ToolchainError(
                        f"{spec.user.location}: {error}; point it at another Kokkos, or unset it"
                    ) from error
                _LOG.warning("skipping %s: %s", spec.user.location, error)
        assert self.missing is not None
        raise self.missing

    def _build(self, spec: RuntimeSpec, compiler: Compiler) -> RuntimeLibrary:
        if self.nvcc is not None and spec.arch is not None:
            target = self.nvcc.target(spec.arch)
            if target != spec.arch:
                _LOG.warning(
                    "%s (%s) does not support %s: compiling to PTX (%s), which the driver compiles "
                    "for the device when it loads it",
                    *(self.nvcc.path, self.nvcc.version, spec.arch, target),
                )
            _check_gpu_paths(compiler, self.nvcc, self.store)
        if spec.user_kokkos is not None:
            tools = BuildTools(compiler, spec.user_kokkos, self.nvcc, None)
        else:
            tools = BuildTools.with_built_kokkos(
                self.store, compiler, self.nvcc, spec.kokkos_name, spec.skipped
            )
        return build_runtime(self.store, spec, tools, self.processor)


@cache
def _find_for_gpu(arch: str, exact: bool) -> RuntimeLibrary:
    """Return the runtime library for a GPU; exact: for an architecture that the user named."""
    host, missing = try_find(host_compiler)
    nvcc, no_nvcc = try_find(find_nvcc)
    missing = missing or no_nvcc
    # Code for a named architecture may be for a machine with another driver.
    driver = None if exact else driver_version()
    results = search_kokkos(kokkos_cuda.REQUIRED_DEVICES, arch)

    def specs() -> Iterator[RuntimeSpec]:
        return _specs(f"cuda-{arch}", kokkos_cuda.key_content(arch), results)

    if host is not None and nvcc is not None:
        conflict = nvcc.driver_conflict(driver)
        if conflict is not None:
            missing = ToolchainError(conflict)
        else:
            # nvcc supports this host compiler if cached code was compiled with both.
            own = _RuntimeFinder(default_cache(), host, None, None, nvcc, exact=True)
            library = own.find(next(specs()))
            if library is not None:
                return library
            host, missing = try_find(partial(find_nvcc_host, nvcc, host))
    exact = exact and missing is None
    finder = _RuntimeFinder(default_cache(), host, missing, None, nvcc, exact, driver)
    return finder.find_or_build(specs())


def _check_gpu_paths(host: Compiler, nvcc: Nvcc, store: Cache) -> None:
    """Raise ToolchainError if nvcc_wrapper, which splits paths at spaces, does not support one."""
    for label, path, remedy in (
        ("the cache", store.root, "set KKSPDNN_CACHE to another folder"),
        ("the CUDA toolkit", nvcc.home, "set CUDA_HOME to a toolkit in another folder"),
        ("the C++ compiler", Path(host.path), "set CXX to one in another folder"),
    ):
        problem = unsupported_path(path, nvcc_wrapper=True)
        if problem is not None:
            raise ToolchainError(f"{label} {problem} for a GPU; {remedy}")


@cache
def _find_for_cpu(space: ExecutionSpace, cpu: str | None) -> RuntimeLibrary:
    """Return the runtime library for OpenMP or Serial; cpu: see `find_runtime_library`."""
    compiler, missing = try_find(host_compiler)
    processor = parse_processor(cpu) if cpu is not None else native_processor()
    finder = _RuntimeFinder(default_cache(), compiler, missing, processor, exact=cpu is not None)
    if space is ExecutionSpace.OpenMP:
        return finder.find_or_build(_openmp_specs())
    first = next(_openmp_specs())
    if compiler is None or finder.find(first) is not None or _has_openmp(compiler):
        shared, error = try_find(lambda: _find_for_cpu(ExecutionSpace.OpenMP, cpu))
        if shared is not None and "SERIAL" in shared.devices:
            return shared
        if shared is not None:
            # The library for OpenMP may be in the same process; they must not share static objects.
            key = kokkos_cpu.key_content(openmp=False)
            return finder.find_or_build([RuntimeSpec("serial", key, is_second=True)])
        if error is not None and compiler is not None:
            raise error
    results = search_kokkos(frozenset({"SERIAL"}))
    return finder.find_or_build(_specs("serial", kokkos_cpu.key_content(openmp=False), results))


def _openmp_specs() -> Iterator[RuntimeSpec]:
    results = search_kokkos(frozenset({"OPENMP"}))
    return _specs("openmp", kokkos_cpu.key_content(openmp=True), results)


def _has_openmp(compiler: Compiler) -> bool:
    try:
        kokkos_cpu.require_openmp(compiler)
    except ToolchainError:
        return False
    return True
