"""The sources of Kokkos: those of 3.4.01, in a source distribution on PyPI.

`pykokkos-base` 0.0.7 carries them in `external/kokkos`; nothing else of that package is used.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.toolchain import run

SDIST = "pykokkos-base"
SDIST_VERSION = "0.0.7"
SDIST_SHA256 = "6339daced1e81a2748f381847d8717cd77d824407da3c263b9491b5630c642b0"
SDIST_VARIABLE = "KKSPDNN_KOKKOS_SDIST"

_FETCH = Path(__file__).with_name("pip_fetch.py")

Change = tuple[str, str, str]
"""File, text that is there once, and text in its place."""

CHANGES: tuple[Change, ...] = (
    # Standard libraries since GCC 13 declare uint32_t only where <cstdint> is included. All files
    # of Kokkos, and all programs that use it, include this one.
    (
        "core/src/Kokkos_Macros.hpp",
        "#include <KokkosCore_config.h>\n",
        "#include <KokkosCore_config.h>\n#include <cstdint>\n",
    ),
)
"""What newer compilers need, on a CPU and on a GPU."""


def sources(folder: Path, changes: Iterable[Change] = ()) -> Path:
    """The folder of Kokkos' sources, fetched and unpacked into `folder`, changed where newer
    compilers need it, and by `changes`.

    Raises ToolchainError where they cannot be had.
    """
    source = unpack(sdist(folder), folder)
    for name, old, new in (*CHANGES, *changes):
        file = source / name
        text = file.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ToolchainError(f"{file}: not the expected Kokkos, as {old!r} is not in it once")
        file.write_text(text.replace(old, new), encoding="utf-8")
    return source


def sdist(folder: Path) -> Path:
    """The source distribution, from KKSPDNN_KOKKOS_SDIST or through pip, with its hash checked."""
    given = os.environ.get(SDIST_VARIABLE)
    if given:
        try:
            digest = hashlib.sha256(Path(given).read_bytes()).hexdigest()
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError)
            reason = "no such file" if missing else getattr(error, "strerror", None) or error
            raise ToolchainError(f"{SDIST_VARIABLE}={given}: {reason}") from error
        if digest != SDIST_SHA256:
            raise ToolchainError(
                f"{SDIST_VARIABLE}={given} is not {SDIST} {SDIST_VERSION}: its SHA-256 is {digest}"
            )
        return Path(given)
    archive = folder / f"{SDIST}-{SDIST_VERSION}.tar.gz"
    program = _FETCH.read_text(encoding="utf-8")
    try:
        # `-c` looks for modules in the working folder first, so that one is ours and empty. pip is
        # configured by the whole environment: indexes, proxies, certificates.
        run(
            [sys.executable, "-c", program, SDIST, SDIST_VERSION, SDIST_SHA256, archive],
            f"downloading {SDIST}",
            cwd=folder,
            inherit=True,
        )
    except ToolchainError as error:
        raise ToolchainError(
            f"no Kokkos: pip cannot get {SDIST} {SDIST_VERSION} ({error}); check the network, "
            f"set Kokkos_ROOT to a Kokkos, or {SDIST_VARIABLE} to the .tar.gz"
        ) from error
    return archive


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
