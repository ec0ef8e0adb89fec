"""The sources of Kokkos 3.4.01, downloaded from PyPI and patched for newer compilers.

The source distribution of `pykokkos-base` 0.0.7 contains them in `external/kokkos`; nothing else of
that package is used.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.toolchain import run_tool

SDIST = "pykokkos-base"
SDIST_VERSION = "0.0.7"
SDIST_SHA256 = "6339daced1e81a2748f381847d8717cd77d824407da3c263b9491b5630c642b0"
SDIST_VARIABLE = "KKSPDNN_KOKKOS_SDIST"

_FETCH_SCRIPT = Path(__file__).with_name("pip_fetch.py")

Patch = tuple[str, str, str]
"""A file, a text that occurs in it once, and the replacement."""

PATCHES: tuple[Patch, ...] = (
    # Since GCC 13, standard headers declare uint32_t only if <cstdint> is included. All files of
    # Kokkos, and all programs that use it, include this one.
    (
        "core/src/Kokkos_Macros.hpp",
        "#include <KokkosCore_config.h>\n",
        "#include <KokkosCore_config.h>\n#include <cstdint>\n",
    ),
)
"""Needed by newer compilers, for CPUs and GPUs."""


def fetch_sources(folder: Path, patches: Iterable[Patch] = ()) -> Path:
    """Download Kokkos, unpack it into `folder`, apply PATCHES and `patches`; return its folder.

    Raises ToolchainError if the download fails or a patch does not apply.
    """
    source = unpack(fetch_sdist(folder), folder)
    for name, old, new in (*PATCHES, *patches):
        file = source / name
        text = file.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ToolchainError(f"{file}: not Kokkos 3.4.01, as {old!r} does not occur once")
        file.write_text(text.replace(old, new), encoding="utf-8")
    return source


def fetch_sdist(folder: Path) -> Path:
    """Return the source distribution, from KKSPDNN_KOKKOS_SDIST or downloaded into `folder`.

    Raises ToolchainError if it cannot be read or downloaded, or if its hash is wrong.
    """
    local = os.environ.get(SDIST_VARIABLE)
    if local:
        try:
            digest = hashlib.sha256(Path(local).read_bytes()).hexdigest()
        except (OSError, ValueError) as error:
            missing = isinstance(error, FileNotFoundError)
            reason = "no such file" if missing else getattr(error, "strerror", None) or error
            raise ToolchainError(f"{SDIST_VARIABLE}={local}: {reason}") from error
        if digest != SDIST_SHA256:
            raise ToolchainError(
                f"{SDIST_VARIABLE}={local} is not {SDIST} {SDIST_VERSION}: its SHA-256 is {digest}"
            )
        return Path(local)
    archive = folder / f"{SDIST}-{SDIST_VERSION}.tar.gz"
    program = _FETCH_SCRIPT.read_text(encoding="utf-8")
    try:
        # `-c` imports modules from the working folder first, so that it must be an empty one. pip
        # reads its configuration (indexes, proxies, certificates) from the whole environment.
        run_tool(
            [sys.executable, "-c", program, SDIST, SDIST_VERSION, SDIST_SHA256, archive],
            f"downloading {SDIST}",
            cwd=folder,
            inherit=True,
        )
    except ToolchainError as error:
        raise ToolchainError(
            f"no Kokkos: pip cannot download {SDIST} {SDIST_VERSION} ({error}); check the network, "
            f"set Kokkos_ROOT to a Kokkos, or {SDIST_VARIABLE} to the .tar.gz"
        ) from error
    return archive


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack Kokkos from the source distribution into `folder` and return its folder."""
    prefix = f"{SDIST}-{SDIST_VERSION}/external/kokkos/"
    with tarfile.open(archive) as tar:
        # Versions of Python since 2023 can check the members, and warn if no filter is set.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        members = [m for m in tar.getmembers() if m.name.startswith(prefix) and _is_safe(m)]
        tar.extractall(folder, members=members)
    return folder / prefix


def _is_safe(member: tarfile.TarInfo) -> bool:
    return (member.isfile() or member.isdir()) and ".." not in Path(member.name).parts
