"""What `python -m kkspdnn info` reports: compilers, Kokkos, execution spaces and the cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from kkspdnn.choices import SPACES, SpaceName
from kkspdnn.device.cuda_check import cuda_requirements, detect_versions
from kkspdnn.device.cuda_versions import conflicts
from kkspdnn.errors import KkspdnnError
from kkspdnn.inference import infer
from kkspdnn.io.shipped_images import images
from kkspdnn.io.tsv_parser import load_parser
from kkspdnn.model.radixnet import radixnet
from kkspdnn.pk import IMPLEMENTATION_VARIABLE, active_implementation
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.file_trust import CACHE_VARIABLE, check_trusted
from kkspdnn.pk.build.find_kokkos import SearchResult, search_kokkos
from kkspdnn.pk.build.kokkos_cuda import REQUIRED_DEVICES
from kkspdnn.pk.build.kokkos_source import SDIST, SDIST_VERSION
from kkspdnn.pk.build.nvcc import Nvcc, find_nvcc, nvcc_path
from kkspdnn.pk.build.nvcc_host import find_nvcc_host
from kkspdnn.pk.build.toolchain import build_tool, host_compiler, machine
from kkspdnn.pk.installed.requirements import is_installed, requirements
from kkspdnn.pk.installed.start import check_import
from kkspdnn.pk.system.cuda_driver import devices
from kkspdnn.pk.system.debug_mode import DEBUG_VARIABLE, debug_mode
from kkspdnn.version import own_version


@dataclass(frozen=True)
class Finding:
    """One line of the report; ok: True, False, or None for plain information."""

    section: str
    name: str
    text: str
    ok: bool | None = None


def findings() -> Iterator[Finding]:
    """Check every requirement of a run; each space is tested with a small network.

    The first call builds Kokkos, which takes up to a minute.
    """
    yield Finding("machine", "processor", machine())
    yield Finding("machine", "python", f"{sys.version.split()[0]} at {sys.executable}")
    yield Finding("machine", "kkspdnn", own_version())
    yield from _tools()
    yield from _kokkos("kokkos", search_kokkos(frozenset({"OPENMP"})))
    yield from _cache()
    yield from _pykokkos()
    for space in SPACES:
        yield _test_space(space)
    yield from _cuda()


def _cuda() -> Iterator[Finding]:
    for requirement in cuda_requirements():
        text = requirement.detected or f"not found: {requirement.remedy}"
        yield Finding("cuda", requirement.name, text, requirement.detected is not None)
    nvcc: Nvcc | None = None
    if nvcc_path() is not None:
        try:
            nvcc = find_nvcc()
            yield _nvcc_host(nvcc)
        except KkspdnnError as error:
            yield Finding("cuda", "nvcc", str(error), False)
    for conflict in conflicts(detect_versions(nvcc)):
        yield Finding("cuda", "version conflict", conflict, False)
    if devices():
        yield from _kokkos("cuda", search_kokkos(REQUIRED_DEVICES, devices()[0].arch))


def _nvcc_host(nvcc: Nvcc) -> Finding:
    """Find the host compiler by trial, because nvcc refuses compilers newer than itself."""
    host = find_nvcc_host(nvcc, host_compiler())
    text = f"{nvcc.version}, host compiler {host.path}: {host.version}"
    return Finding("cuda", "nvcc", text, True)


def _tools() -> Iterator[Finding]:
    try:
        compiler = host_compiler()
        yield Finding("compilers", "C++", f"{compiler.path}: {compiler.version}", True)
    except KkspdnnError as error:
        yield Finding("compilers", "C++", str(error), False)
    for name in ("cmake", "ninja"):
        try:
            yield Finding("compilers", name, build_tool(name), True)
        except KkspdnnError as error:
            yield Finding("compilers", name, str(error), False)
    try:
        load_parser()
        yield Finding("compilers", "text files", "read by the compiled parser", True)
    except KkspdnnError as error:
        yield Finding("compilers", "text files", f"read by NumPy, much slower: {error}")


def _kokkos(section: str, installations: list[SearchResult]) -> Iterator[Finding]:
    uses_installed = False
    for result in installations:
        used = result.kokkos is not None and not uses_installed
        uses_installed = uses_installed or used
        text = f"{result.reason}, used" if used else result.reason
        yield Finding(section, result.location, text, used or None)
    built = f"built from {SDIST} {SDIST_VERSION} of PyPI"
    yield Finding(section, "cache", "not needed" if uses_installed else built, None)


def _cache() -> Iterator[Finding]:
    origin = f" ({CACHE_VARIABLE})" if os.environ.get(CACHE_VARIABLE) else ""
    try:
        root = default_cache().root
        check_trusted(root)
    except KkspdnnError as error:
        yield Finding("cache", "folder", str(error), False)
        return
    sizes = list(_sizes(root))
    size = sum(sizes) / 2**20
    yield Finding("cache", "folder", f"{root}{origin}: {len(sizes)} files, {size:.0f} MiB", True)


def _sizes(root: Path) -> Iterator[int]:
    """Yield the bytes of each file; files that another process removes meanwhile are skipped."""
    for folder, _, names in os.walk(root):
        for name in names:
            with suppress(FileNotFoundError):
                yield (Path(folder) / name).stat().st_size


def _pykokkos() -> Iterator[Finding]:
    works = True
    if not is_installed():
        yield Finding("pykokkos", "real package", "not installed")
    else:
        for each in requirements():
            text = each.detected or f"not found: {each.remedy}"
            yield Finding("pykokkos", each.name, text, each.detected is not None)
        try:
            check_import()
            yield Finding("pykokkos", "import", "succeeds", True)
        except KkspdnnError as error:
            works = False
            yield Finding("pykokkos", "import", str(error), False)
    try:
        origin = f" ({IMPLEMENTATION_VARIABLE})" if os.environ.get(IMPLEMENTATION_VARIABLE) else ""
        active = active_implementation() if works or origin else "builtin"
        yield Finding("pykokkos", "in use", active + origin, works or active == "builtin")
    except KkspdnnError as error:
        yield Finding("pykokkos", "in use", str(error), False)
    yield from _debug_mode()


def _debug_mode() -> Iterator[Finding]:
    """Report debug mode if its variable is set."""
    try:
        if debug_mode():
            text = f"on ({DEBUG_VARIABLE}): workunits of the built-in compiler check every index"
            yield Finding("pykokkos", "debug mode", text)
    except KkspdnnError as error:
        yield Finding("pykokkos", "debug mode", str(error), False)


def _test_space(space: SpaceName) -> Finding:
    start = perf_counter()
    try:
        result = infer(radixnet(64, 4), images(64, 100), space=space, tune=False, verify="full")
    except KkspdnnError as error:
        return Finding("spaces", space, str(error), False)
    verified = result.record.verified
    text = (
        f"{result.record.threads} thread(s), Kokkos {result.record.kokkos_version}: a network of "
        f"{result.record.edges} edges {'agrees' if verified.passed else 'does NOT agree'} with the "
        f"reference, {perf_counter() - start:.1f} s in all"
    )
    return Finding("spaces", space, text, verified.passed)
