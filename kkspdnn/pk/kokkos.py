"""Kokkos: the one that the user has, else one built from a source distribution on PyPI.

`pykokkos-base` 0.0.7 carries the sources of Kokkos 3.4.01; nothing else of that package is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.cache import Cache
from kkspdnn.pk.lookup import maker
from kkspdnn.pk.paths import misread
from kkspdnn.pk.progress_log import tell
from kkspdnn.pk.toolchain import Compiler, build_tool, run

SDIST = "pykokkos-base"
SDIST_VERSION = "0.0.7"
SDIST_SHA256 = "6339daced1e81a2748f381847d8717cd77d824407da3c263b9491b5630c642b0"
SDIST_VARIABLE = "KKSPDNN_KOKKOS_SDIST"
_PIP_TIMEOUT = "PIP_DEFAULT_TIMEOUT"
_OLDEST = (3, 4)
_DEVICE_COMPILERS = frozenset({"CUDA", "HIP", "SYCL"})
_ARCHITECTURE = r"\b(?:PASCAL|VOLTA|TURING|AMPERE|ADA|HOPPER|BLACKWELL)(\d+)\b"
"""How Kokkos names NVIDIA's architectures: HOPPER90 is sm_90."""

_ODD_BUILDS = {
    "COMPILE_AS_CMAKE_LANGUAGE": "was built as CMake's language CUDA, not with nvcc_wrapper",
    "CUDA_RELOCATABLE_DEVICE_CODE": "was built with relocatable device code",
}
"""Options of Kokkos whose users must be compiled in another way than workunits are."""


@dataclass(frozen=True)
class Kokkos:
    """A Kokkos that CMake can find in `config` (the folder of KokkosConfig.cmake).

    origin: how it was found, for people
    stamp: changes when its configuration does
    arch: the GPU architecture it is built for, `sm_90`, or None
    wrapper: its nvcc_wrapper, the C++ compiler that its users on a GPU need, or None
    """

    config: Path
    version: str
    devices: frozenset[str]
    origin: str
    stamp: str
    arch: str | None = None
    wrapper: Path | None = None


@dataclass(frozen=True)
class Candidate:
    """A place that was looked at: the Kokkos there, or why there is none to use.

    demanded: the user named the place, and it holds no Kokkos of a version that we know
    """

    place: str
    kokkos: Kokkos | None
    reason: str
    demanded: bool


def candidates(needed: frozenset[str], arch: str | None = None) -> list[Candidate]:
    """Every place where the user may have a Kokkos, in the order of preference.

    needed: the devices it must have, in Kokkos's names, such as {"OPENMP", "SERIAL"}; arch: the
    GPU architecture that it must be built for, where CUDA is needed.
    The places are those of CMake's find_package: Kokkos_DIR, Kokkos_ROOT, CMAKE_PREFIX_PATH,
    the prefixes of the PATH, and the system's.
    """
    places: list[tuple[str, Path, bool]] = []
    for variable in ("Kokkos_DIR", "Kokkos_ROOT", "KOKKOS_ROOT", "CMAKE_PREFIX_PATH"):
        for part in re.split(r"[:;]", os.environ.get(variable, "")):
            if part:
                demanded = variable != "CMAKE_PREFIX_PATH"
                places.append((f"{variable}={part}", Path(part), demanded))
    for part in os.environ.get("PATH", "").split(":"):
        if Path(part).name in ("bin", "sbin"):
            places.append((f"PATH: {Path(part).parent}", Path(part).parent, False))
    places += [(str(p), p, False) for p in (Path("/usr/local"), Path("/usr"))]
    found: list[Candidate] = []
    seen: set[Path] = set()
    for label, place, demanded in places:
        if place.resolve() in seen:
            continue
        seen.add(place.resolve())
        found.append(_look(label, place, demanded, needed, arch))
    return found


def _look(
    label: str, place: Path, demanded: bool, needed: frozenset[str], arch: str | None = None
) -> Candidate:
    files = [place / "KokkosConfig.cmake"]
    for pattern in ("lib/cmake/Kokkos", "lib64/cmake/Kokkos", "lib/*/cmake/Kokkos", "cmake/Kokkos"):
        files += sorted(place.glob(f"{pattern}/KokkosConfig.cmake"))
    for file in files:
        if not file.is_file():
            continue
        try:
            kokkos, options = read_config(file, label)
        except OSError as error:
            return Candidate(label, None, f"{error.filename}: {error.strerror}", demanded)
        number = tuple(int(n) for n in kokkos.version.split(".")[:2]) if kokkos.version else ()
        if number < _OLDEST:
            reason = f"Kokkos {kokkos.version or 'unknown'} is older than 3.4"
            return Candidate(label, None, reason, demanded)
        unfit = _unfit(kokkos, options, needed, arch)
        if unfit is not None:
            return Candidate(label, None, f"Kokkos {kokkos.version} {unfit}", False)
        return Candidate(label, kokkos, f"Kokkos {kokkos.version}", demanded)
    return Candidate(label, None, "no KokkosConfig.cmake", demanded)


def read_config(file: Path, origin: str) -> tuple[Kokkos, frozenset[str]]:
    """The Kokkos of a KokkosConfig.cmake, and the options it was built with.

    Raises OSError where the files beside it are not there.
    """
    folder = file.parent
    common = (folder / "KokkosConfigCommon.cmake").read_text(errors="replace")
    stamped = (folder / "KokkosConfigVersion.cmake").read_text(errors="replace")
    capability = _match(_ARCHITECTURE, _match(r"Kokkos_ARCH (.*)\)", common))
    wrappers = [above / "bin" / "nvcc_wrapper" for above in folder.parents]
    kokkos = Kokkos(
        folder,
        _match(r'PACKAGE_VERSION "([0-9.]+)"', stamped),
        _words(_match(r"Kokkos_DEVICES (.*)\)", common)),
        origin,
        hashlib.sha256(f"{file}\n{common}\n{stamped}".encode()).hexdigest(),
        f"sm_{capability}" if capability else None,
        next((wrapper for wrapper in wrappers if wrapper.is_file()), None),
    )
    return kokkos, _words(_match(r"Kokkos_OPTIONS (.*)\)", common))


def _unfit(
    kokkos: Kokkos, options: frozenset[str], needed: frozenset[str], arch: str | None
) -> str | None:
    """Why workunits cannot be compiled against this Kokkos; None where they can."""
    odd = misread(kokkos.config, wrapper=arch is not None)
    if odd is not None:
        return f"in {odd}"
    if not needed <= kokkos.devices:
        return f"has no {', '.join(sorted(needed - kokkos.devices))}"
    foreign = sorted((kokkos.devices & _DEVICE_COMPILERS) - needed)
    if foreign:
        return f"with {', '.join(foreign)} needs its compiler"
    if arch is None:
        return None
    if kokkos.arch != arch:
        return f"is for {kokkos.arch or 'an unknown architecture'}, not for {arch}"
    if kokkos.wrapper is None:
        return "has no bin/nvcc_wrapper"
    if not (kokkos.config.parents[1] / "libkokkoscore.so").exists():
        return "is no shared library: build it with -DBUILD_SHARED_LIBS=ON"
    return next((_ODD_BUILDS[option] for option in sorted(_ODD_BUILDS.keys() & options)), None)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.split(r"[;\s]+", text.strip('" ')))


def _match(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found.group(1) if found else ""


def find(needed: frozenset[str], arch: str | None = None) -> Kokkos | None:
    """The first usable Kokkos of the user's; arguments as for `candidates`.

    One that lacks a device, or needs another GPU's compiler, is passed over. Raises ToolchainError
    where Kokkos_DIR or Kokkos_ROOT names a place without a Kokkos 3.4 or newer.
    """
    for candidate in candidates(needed, arch):
        if candidate.kokkos is not None:
            return candidate.kokkos
        if candidate.demanded:
            raise ToolchainError(
                f"{candidate.place}: {candidate.reason}; "
                "point it at an installed Kokkos 3.4 to 5.x, or unset it"
            )
    return None


def content(openmp: bool) -> dict[str, str]:
    """What the Kokkos that `build` builds depends on, but for the compiler."""
    return {
        "sdist": SDIST_SHA256,
        "machine": platform.machine(),
        "openmp": str(openmp),
        "options": _CONFIGURE_TEXT,
        "flags": os.environ.get("KKSPDNN_CXXFLAGS", ""),
    }


def in_cache(place: Path, arch: str | None = None) -> Kokkos:
    """The Kokkos in this entry of the cache. Raises ToolchainError where it cannot be read."""
    file = place / "lib" / "cmake" / "Kokkos" / "KokkosConfig.cmake"
    try:
        found, _ = read_config(file, f"built from {SDIST} {SDIST_VERSION}")
    except OSError as error:
        raise ToolchainError(f"the built Kokkos in {place} is unusable: {error}") from error
    return replace(found, stamp=place.name, arch=arch)


def build(cache: Cache, compiler: Compiler, openmp: bool) -> Kokkos:
    """Kokkos 3.4.01 from PyPI, built once into the cache (a few seconds to half a minute).

    Raises ToolchainError where there is no network, no OpenMP, or the build fails.
    """
    key = {**content(openmp), **maker(compiler)}
    place = cache.entry("kokkos", "openmp" if openmp else "serial", key, _Builder(compiler, openmp))
    return in_cache(place)


_CONFIGURE = (
    "-DCMAKE_BUILD_TYPE=Release",
    "-DCMAKE_INSTALL_LIBDIR=lib",
    "-DCMAKE_POLICY_VERSION_MINIMUM=3.5",
    "-DKokkos_ENABLE_SERIAL=ON",
    "-DKokkos_CXX_STANDARD=17",
    "-DBUILD_SHARED_LIBS=ON",
    "-Wno-dev",
)
_CONFIGURE_TEXT = json.dumps(_CONFIGURE)


@dataclass(frozen=True)
class _Builder:
    compiler: Compiler
    openmp: bool

    def __call__(self, folder: Path) -> None:
        if self.openmp:
            require_openmp(self.compiler)
        tell("building Kokkos, once per machine (about a minute)")
        with scratch_folder() as scratch:
            source = unpack(sdist(scratch), scratch)
            cmake, ninja = build_tool("cmake"), build_tool("ninja")
            run(
                [cmake, "-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}"]
                + [f"-DCMAKE_CXX_COMPILER={self.compiler.path}", *_CONFIGURE]
                + [f"-DKokkos_ENABLE_OPENMP={'ON' if self.openmp else 'OFF'}"]
                + ["-S", str(source), "-B", str(scratch / "build")],
                "configuring Kokkos",
            )
            run([ninja, "-C", scratch / "build"], "building Kokkos")
            run(
                [cmake, "--install", str(scratch / "build"), "--prefix", str(folder)],
                "installing Kokkos into the cache",
            )


@contextmanager
def scratch_folder(wrapper: bool = False) -> Iterator[Path]:
    """A folder to build Kokkos in, gone after the block; wrapper: with its nvcc_wrapper.

    Raises ToolchainError where there is none, or the tools cannot take its name.
    """
    try:
        temporary = tempfile.TemporaryDirectory(prefix="kkspdnn-kokkos-")
    except OSError as error:
        raise ToolchainError(
            f"no folder for temporary files: {error.strerror or error}; set TMPDIR to one"
        ) from error
    with temporary as name:
        odd = misread(Path(name), wrapper)
        if odd is not None:
            raise ToolchainError(f"the temporary folder {odd}; set TMPDIR to another one")
        yield Path(name)


def require_openmp(compiler: Compiler) -> None:
    """Raise ToolchainError where the compiler cannot compile and link OpenMP."""
    with tempfile.TemporaryDirectory(prefix="kkspdnn-openmp-") as folder:
        source = Path(folder) / "probe.cpp"
        source.write_text("#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n")
        try:
            run(
                [compiler.path, "-fopenmp", source, "-o", Path(folder) / "probe"],
                "compiling OpenMP",
            )
        except ToolchainError as error:
            raise ToolchainError(
                f"{compiler.path} has no OpenMP: install it (Debian: libgomp1 comes with g++), "
                "set CXX to a compiler that has it, or use --space serial"
            ) from error


def sdist(folder: Path) -> Path:
    """The source distribution, from KKSPDNN_KOKKOS_SDIST or through pip, with its hash checked."""
    given = os.environ.get(SDIST_VARIABLE)
    if given:
        archive = Path(given)
        if not archive.is_file():
            raise ToolchainError(f"{SDIST_VARIABLE}={given}: no such file")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != SDIST_SHA256:
            raise ToolchainError(
                f"{SDIST_VARIABLE}={given} is not {SDIST} {SDIST_VERSION}: its SHA-256 is {digest}"
            )
        return archive
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{SDIST}=={SDIST_VERSION} --hash=sha256:{SDIST_SHA256}\n")
    # Only this package comes as source: what its metadata needs comes as wheels.
    try:
        run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
            + ["--no-binary", SDIST, "--dest", str(folder), "--requirement", str(wanted)]
            + ["--disable-pip-version-check", "--no-input", "--retries", "2"],
            f"downloading {SDIST}",
            environment={_PIP_TIMEOUT: os.environ.get(_PIP_TIMEOUT, "10")},
        )
    except ToolchainError as error:
        raise ToolchainError(
            f"no Kokkos: pip cannot get {SDIST} {SDIST_VERSION} ({error}); check the network, "
            f"set Kokkos_ROOT to a Kokkos, or {SDIST_VARIABLE} to the .tar.gz"
        ) from error
    archives = sorted(folder.glob("*.tar.gz"))
    if not archives:
        raise ToolchainError(f"pip downloaded no {SDIST} source; set Kokkos_ROOT to a Kokkos")
    return archives[0]


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack the Kokkos part of the source distribution and give its folder."""
    prefix = f"{SDIST}-{SDIST_VERSION}/external/kokkos/"
    with tarfile.open(archive) as tar:
        # Pythons since 2023 check members themselves, and warn where they are not told to.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        members = [m for m in tar.getmembers() if m.name.startswith(prefix) and _is_plain(m)]
        tar.extractall(folder, members=members)
    return folder / prefix


def _is_plain(member: tarfile.TarInfo) -> bool:
    return (member.isfile() or member.isdir()) and ".." not in Path(member.name).parts
