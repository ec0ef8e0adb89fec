"""Searching for a Kokkos that the user has installed.

If there is none, `kokkos_cpu.py` or `kokkos_cuda.py` builds one.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.compiler_flags import changes_values
from kkspdnn.pk.system.paths import unsupported_path

_OLDEST_VERSION = (3, 4)
_DEVICE_COMPILERS = frozenset({"CUDA", "HIP", "SYCL"})
_ARCHITECTURE = r"\b(?:PASCAL|VOLTA|TURING|AMPERE|ADA|HOPPER|BLACKWELL)(\d+)\b"
"""Kokkos's names of NVIDIA's architectures: HOPPER90 is sm_90."""

_UNSUPPORTED_OPTIONS = {
    "COMPILE_AS_CMAKE_LANGUAGE": "was built as CMake's language CUDA, not with nvcc_wrapper",
    "CUDA_RELOCATABLE_DEVICE_CODE": "was built with relocatable device code",
}
"""Options of Kokkos for which workunits would have to be compiled differently."""


@dataclass(frozen=True)
class Kokkos:
    """A Kokkos installation, whose KokkosConfig.cmake is in the folder `config`.

    devices: in Kokkos's names, such as OPENMP
    origin: the location, or the source distribution that it was built from, for messages
    stamp: a digest that changes with its configuration
    arch: the GPU architecture that it was built for, such as `sm_90`, or None
    wrapper: its nvcc_wrapper, the C++ compiler for GPUs, or None
    """

    config: Path
    version: str
    devices: frozenset[str]
    origin: str
    stamp: str
    arch: str | None = None
    wrapper: Path | None = None


@dataclass(frozen=True)
class SearchResult:
    """A location that was searched, with its Kokkos or the reason why there is no usable one.

    location: a folder, or a variable and its value
    set_by_user: Kokkos_DIR or Kokkos_ROOT names the location
    is_error: set_by_user, but there is no Kokkos, a broken one, or an unknown version
    """

    location: str
    kokkos: Kokkos | None
    reason: str
    set_by_user: bool
    is_error: bool = False

    @property
    def skipped(self) -> str | None:
        """The location and the reason, if it has a Kokkos that is not usable, else None."""
        has_kokkos = self.kokkos is None and self.reason != _NOT_INSTALLED
        return f"{self.location}: {self.reason}" if has_kokkos else None


_NOT_INSTALLED = "no KokkosConfig.cmake"


def search_kokkos(needed: frozenset[str], arch: str | None = None) -> list[SearchResult]:
    """Search all locations where the user may have installed Kokkos, in the order of preference.

    The locations are those of CMake's find_package: Kokkos_DIR, Kokkos_ROOT, CMAKE_PREFIX_PATH, the
    prefixes of the PATH, and the system's prefixes.

    needed: the required devices, in Kokkos's names, such as {"OPENMP"}
    arch: the required GPU architecture if CUDA is needed
    """
    locations: list[tuple[str, Path, bool]] = []
    for variable in ("Kokkos_DIR", "Kokkos_ROOT", "KOKKOS_ROOT", "CMAKE_PREFIX_PATH"):
        for path in re.split(r"[:;]", os.environ.get(variable, "")):
            if path:
                set_by_user = variable != "CMAKE_PREFIX_PATH"
                locations.append((f"{variable}={path}", Path(path), set_by_user))
    for path in os.environ.get("PATH", "").split(":"):
        if Path(path).name in ("bin", "sbin"):
            locations.append((f"PATH: {Path(path).parent}", Path(path).parent, False))
    locations += [(str(p), p, False) for p in (Path("/usr/local"), Path("/usr"))]
    results: list[SearchResult] = []
    seen: set[str] = set()
    for location, prefix, set_by_user in locations:
        # Unlike Path.resolve, realpath never raises, even if a folder may not be read.
        real = os.path.realpath(prefix)
        if real in seen:
            continue
        seen.add(real)
        results.append(inspect_prefix(location, prefix, set_by_user, needed, arch))
    return results


def inspect_prefix(
    location: str,
    prefix: Path,
    set_by_user: bool,
    needed: frozenset[str],
    arch: str | None = None,
) -> SearchResult:
    """Check the Kokkos in a folder; parameters as for `search_kokkos` and `SearchResult`."""

    def error(reason: str) -> SearchResult:
        return SearchResult(location, None, reason, set_by_user, is_error=set_by_user)

    for file in _config_files(prefix):
        if not os.path.isfile(file):
            continue
        try:
            kokkos, options = read_config(file, location)
            defect = _find_defect(file.parent)
        except OSError as failure:
            return error(f"{failure.filename}: {failure.strerror}")
        number = tuple(int(n) for n in kokkos.version.split(".")[:2]) if kokkos.version else ()
        if number < _OLDEST_VERSION:
            return error(f"Kokkos {kokkos.version or 'unknown'} is older than 3.4")
        if defect is not None:
            return error(f"Kokkos {kokkos.version} {defect}")
        mismatch = _find_mismatch(kokkos, options, needed, arch)
        if mismatch is not None:
            return SearchResult(location, None, f"Kokkos {kokkos.version} {mismatch}", set_by_user)
        return SearchResult(location, kokkos, f"Kokkos {kokkos.version}", set_by_user)
    if set_by_user:
        try:
            os.listdir(prefix)
        except OSError as failure:
            return error(failure.strerror or str(failure))
    return error(_NOT_INSTALLED)


def _config_files(prefix: Path) -> list[Path]:
    """Return the paths in a prefix at which KokkosConfig.cmake may be."""
    files = [prefix / "KokkosConfig.cmake"]
    for pattern in ("lib/cmake/Kokkos", "lib64/cmake/Kokkos", "lib/*/cmake/Kokkos", "cmake/Kokkos"):
        # glob skips folders that this user may not read.
        path = os.path.join(glob.escape(str(prefix)), pattern, "KokkosConfig.cmake")
        files += [Path(match) for match in sorted(glob.glob(path))]
    return files


def read_config(file: Path, origin: str) -> tuple[Kokkos, frozenset[str]]:
    """Return the Kokkos of a KokkosConfig.cmake, and the options that it was built with.

    Raises OSError if the files beside it cannot be read.
    """
    folder = file.parent
    common = (folder / "KokkosConfigCommon.cmake").read_text(errors="replace")
    version_file = (folder / "KokkosConfigVersion.cmake").read_text(errors="replace")
    capability = _match(_ARCHITECTURE, _match(r"Kokkos_ARCH (.*)\)", common))
    wrappers = [above / "bin" / "nvcc_wrapper" for above in folder.parents]
    kokkos = Kokkos(
        folder,
        _match(r'PACKAGE_VERSION "([0-9.]+)"', version_file),
        _split_list(_match(r"Kokkos_DEVICES (.*)\)", common)),
        origin,
        hashlib.sha256(f"{file}\n{common}\n{version_file}".encode()).hexdigest(),
        f"sm_{capability}" if capability else None,
        next((wrapper for wrapper in wrappers if os.path.isfile(wrapper)), None),
    )
    return kokkos, _split_list(_match(r"Kokkos_OPTIONS (.*)\)", common))


def _find_defect(folder: Path) -> str | None:
    """Return why a package cannot be used at all; None if it can.

    CMake refuses a package that names a missing file. Some distributions put the static libraries,
    which the package names, into another package or into none.
    """
    for file in sorted(folder.glob("KokkosTargets*.cmake")):
        text = file.read_text(errors="replace")
        options = " ".join(re.findall(r'INTERFACE_COMPILE_OPTIONS "(.*)"', text))
        changing = changes_values(re.split(r"[;\s:<>$\\]+", options))
        if changing is not None:
            return f"adds the compiler option {changing}, which changes results"
        for line in text.splitlines():
            if "_cmake_import_check_files_for_" not in line:
                continue
            for name in re.findall(r'"([^"]+)"', line):
                library = name.replace("${_IMPORT_PREFIX}", _import_prefix(folder))
                if "${" not in library and not os.path.exists(library):
                    return f"names {library}, which does not exist"
    return None


def _import_prefix(folder: Path) -> str:
    """Return the value of _IMPORT_PREFIX in the CMake files of a package."""
    try:
        text = (folder / "KokkosTargets.cmake").read_text(errors="replace")
    except FileNotFoundError:
        text = ""
    levels = text.count("get_filename_component(_IMPORT_PREFIX")
    if levels:
        return str((folder / "KokkosTargets.cmake").parents[levels - 1]).rstrip("/")
    return _match(r'set\(_IMPORT_PREFIX "(.*)"\)', text)


def _find_mismatch(
    kokkos: Kokkos, options: frozenset[str], needed: frozenset[str], arch: str | None
) -> str | None:
    """Return why a Kokkos does not fit the required devices and architecture; None if it does."""
    problem = unsupported_path(kokkos.config, nvcc_wrapper=arch is not None)
    if problem is not None:
        return f"in {problem}"
    if not needed <= kokkos.devices:
        return f"has no {', '.join(sorted(needed - kokkos.devices))}"
    foreign = sorted((kokkos.devices & _DEVICE_COMPILERS) - needed)
    if foreign:
        return f"was built for {', '.join(foreign)} and needs another compiler"
    if arch is None:
        return None
    if kokkos.arch != arch:
        return f"is for {kokkos.arch or 'an unknown architecture'}, not for {arch}"
    if kokkos.wrapper is None:
        return "has no bin/nvcc_wrapper"
    if not os.path.exists(kokkos.config.parents[1] / "libkokkoscore.so"):
        return "has no shared libraries: build it with -DBUILD_SHARED_LIBS=ON"
    unsupported = sorted(_UNSUPPORTED_OPTIONS.keys() & options)
    return _UNSUPPORTED_OPTIONS[unsupported[0]] if unsupported else None


def _split_list(text: str) -> frozenset[str]:
    """Split a list of CMake, or the arguments of one of its commands."""
    return frozenset(re.split(r"[;\s]+", text.strip('" ')))


def _match(pattern: str, text: str) -> str:
    """Return the first group of the first match, or an empty string."""
    match = re.search(pattern, text)
    return match.group(1) if match else ""


def usable_results(results: Iterable[SearchResult]) -> Iterator[SearchResult]:
    """Yield the results with a usable Kokkos, the best first.

    Results with another reason are skipped. Raises ToolchainError at a result that is an error:
    Kokkos_DIR or Kokkos_ROOT names a folder without a Kokkos 3.4 or newer, or with a broken one.
    """
    for result in results:
        if result.kokkos is not None:
            yield result
        elif result.is_error:
            raise ToolchainError(
                f"{result.location}: {result.reason}; "
                "point it at an installed Kokkos 3.4 to 5.x, or unset it"
            )
