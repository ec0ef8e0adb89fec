"""Finding a Kokkos that the user has; `kokkos_cpu.py` builds one where there is none."""

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

    named: the user named the place, by Kokkos_DIR or Kokkos_ROOT
    demanded: and it holds no Kokkos, a broken one, or none of a version that we know
    """

    place: str
    kokkos: Kokkos | None
    reason: str
    named: bool
    demanded: bool = False

    @property
    def passed_over(self) -> str | None:
        """The place and the reason, where a Kokkos is there that is not used."""
        there = self.kokkos is None and self.reason != _NOTHING
        return f"{self.place}: {self.reason}" if there else None


_NOTHING = "no KokkosConfig.cmake"


def candidates(needed: frozenset[str], arch: str | None = None) -> list[Candidate]:
    """Every place where the user may have a Kokkos, in the order of preference.

    needed: the devices it must have, in Kokkos's names, such as {"OPENMP"}; arch: the GPU
    architecture that it must be built for, where CUDA is needed.
    The places are those of CMake's find_package: Kokkos_DIR, Kokkos_ROOT, CMAKE_PREFIX_PATH,
    the prefixes of the PATH, and the system's.
    """
    places: list[tuple[str, Path, bool]] = []
    for variable in ("Kokkos_DIR", "Kokkos_ROOT", "KOKKOS_ROOT", "CMAKE_PREFIX_PATH"):
        for part in re.split(r"[:;]", os.environ.get(variable, "")):
            if part:
                named = variable != "CMAKE_PREFIX_PATH"
                places.append((f"{variable}={part}", Path(part), named))
    for part in os.environ.get("PATH", "").split(":"):
        if Path(part).name in ("bin", "sbin"):
            places.append((f"PATH: {Path(part).parent}", Path(part).parent, False))
    places += [(str(p), p, False) for p in (Path("/usr/local"), Path("/usr"))]
    found: list[Candidate] = []
    seen: set[str] = set()
    for label, place, named in places:
        # Unlike Path.resolve, this never raises, whatever may not be read.
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        found.append(look(label, place, named, needed, arch))
    return found


def look(
    label: str, place: Path, named: bool, needed: frozenset[str], arch: str | None = None
) -> Candidate:
    """What there is in one place; arguments as for `candidates`, and of `Candidate`."""

    def refused(reason: str) -> Candidate:
        return Candidate(label, None, reason, named, demanded=named)

    files = [place / "KokkosConfig.cmake"]
    for pattern in ("lib/cmake/Kokkos", "lib64/cmake/Kokkos", "lib/*/cmake/Kokkos", "cmake/Kokkos"):
        # glob and isfile pass over folders that this user may not read.
        below = os.path.join(glob.escape(str(place)), pattern, "KokkosConfig.cmake")
        found = glob.glob(below)
        files += [Path(each) for each in sorted(found)]
    for file in files:
        if not os.path.isfile(file):
            continue
        try:
            kokkos, options = read_config(file, label)
            broken = _broken(file.parent)
        except OSError as error:
            return refused(f"{error.filename}: {error.strerror}")
        number = tuple(int(n) for n in kokkos.version.split(".")[:2]) if kokkos.version else ()
        if number < _OLDEST:
            return refused(f"Kokkos {kokkos.version or 'unknown'} is older than 3.4")
        if broken is not None:
            return refused(f"Kokkos {kokkos.version} {broken}")
        unfit = _unfit(kokkos, options, needed, arch)
        if unfit is not None:
            return Candidate(label, None, f"Kokkos {kokkos.version} {unfit}", named)
        return Candidate(label, kokkos, f"Kokkos {kokkos.version}", named)
    if named:
        try:
            os.listdir(place)
        except OSError as error:
            return refused(error.strerror or str(error))
    return refused(_NOTHING)


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
        next((wrapper for wrapper in wrappers if os.path.isfile(wrapper)), None),
    )
    return kokkos, _words(_match(r"Kokkos_OPTIONS (.*)\)", common))


def _broken(folder: Path) -> str | None:
    """Why CMake or a workunit cannot use the targets of this package; None where they can.

    CMake refuses a package that names a file which is not there, as that of a distribution whose
    static libraries are packaged apart, or nowhere.
    """
    for file in sorted(folder.glob("KokkosTargets*.cmake")):
        text = file.read_text(errors="replace")
        options = " ".join(re.findall(r'INTERFACE_COMPILE_OPTIONS "(.*)"', text))
        changing = changes_values(re.split(r"[;\s:<>$\\]+", options))
        if changing is not None:
            return f"has its users compile with {changing}, which changes results"
        for line in text.splitlines():
            if "_cmake_import_check_files_for_" not in line:
                continue
            for name in re.findall(r'"([^"]+)"', line):
                library = name.replace("${_IMPORT_PREFIX}", _prefix(folder))
                if "${" not in library and not os.path.exists(library):
                    return f"names {library}, which is not there"
    return None


def _prefix(folder: Path) -> str:
    """What its CMake files call _IMPORT_PREFIX."""
    try:
        text = (folder / "KokkosTargets.cmake").read_text(errors="replace")
    except FileNotFoundError:
        text = ""
    upwards = text.count("get_filename_component(_IMPORT_PREFIX")
    if upwards:
        return str((folder / "KokkosTargets.cmake").parents[upwards - 1]).rstrip("/")
    return _match(r'set\(_IMPORT_PREFIX "(.*)"\)', text)


def _unfit(
    kokkos: Kokkos, options: frozenset[str], needed: frozenset[str], arch: str | None
) -> str | None:
    """Why workunits cannot be compiled against this Kokkos; None where they can."""
    odd = unsupported_path(kokkos.config, nvcc_wrapper=arch is not None)
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
    if not os.path.exists(kokkos.config.parents[1] / "libkokkoscore.so"):
        return "is no shared library: build it with -DBUILD_SHARED_LIBS=ON"
    return next((_ODD_BUILDS[option] for option in sorted(_ODD_BUILDS.keys() & options)), None)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.split(r"[;\s]+", text.strip('" ')))


def _match(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found.group(1) if found else ""


def usable(looked: Iterable[Candidate]) -> Iterator[Candidate]:
    """Those of `candidates` with a usable Kokkos, best first.

    One that lacks a device, or needs another GPU's compiler, is passed over, as is a broken one
    that nobody named. Raises ToolchainError on the way where Kokkos_DIR or Kokkos_ROOT names a
    place without a Kokkos 3.4 or newer, or with a broken one.
    """
    for candidate in looked:
        if candidate.kokkos is not None:
            yield candidate
        elif candidate.demanded:
            raise ToolchainError(
                f"{candidate.place}: {candidate.reason}; "
                "point it at an installed Kokkos 3.4 to 5.x, or unset it"
            )
