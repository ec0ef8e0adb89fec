"""Unpack a pack on this machine, with the standard library only."""

from __future__ import annotations

import json
import lzma
import os
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kkspdnn.errors import InputError

DESCRIPTION = "pack.json"
CACHE = "cache.tar.xz"
WHEELS = "wheels"
DATA = "data"
EXPECTED = "expected-1024-120.npz"


@dataclass(frozen=True)
class Unpacked:
    """An unpacked pack.

    env: environment variables for every process that uses it
    arch: GPU architecture of the cache entries; None if they are for a CPU
    expected: file of expected categories, or None
    lines: a summary to print
    """

    env: Mapping[str, str]
    arch: str | None
    expected: Path | None
    lines: tuple[str, ...]


def unpack(pack: Path, work: Path) -> Unpacked:
    """Unpack the cache, and the wheels of packages that this Python lacks, into the folder `work`.

    Raises InputError if the folder is not a pack, or is damaged.
    """
    try:
        description = json.loads((pack / DESCRIPTION).read_text(encoding="utf-8"))
        with tarfile.open(pack / CACHE, "r:xz") as archive:
            # The filter drops owner and permissions of the other machine: the cache checks them.
            archive.extractall(work, filter="data")
        site, installed = _install(pack / WHEELS, work / "site")
    except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise InputError(
            f"--pack {pack}: not a usable pack: {error}; make one with python -m bench.gpu pack"
        ) from error
    (work / "cache").chmod(0o700)
    folders = [os.getcwd(), str(site), os.environ.get("PYTHONPATH", "")]
    env = {
        "KKSPDNN_CACHE": str(work / "cache"),
        "KKSPDNN_PK": "builtin",
        "PYTHONPATH": os.pathsep.join(folder for folder in folders if folder),
        "KKSPDNN_KOKKOS_SDIST": str((pack / description["kokkos_sources"]).absolute()),
    }
    if (pack / DATA).is_dir():
        env["KKSPDNN_CHALLENGE_DATA"] = str((pack / DATA).absolute())
    expected = (pack / EXPECTED).absolute()
    return Unpacked(
        env,
        description["arch"],
        expected if expected.is_file() else None,
        (
            f"  cache of {description['entries']} entries by {description['compiled_by']}, "
            f"source {description['commit']}",
            f"  installed packages that were missing: {', '.join(installed) or 'none'}",
        ),
    )


def _install(wheels: Path, site: Path) -> tuple[Path, list[str]]:
    """Unpack the wheels of missing packages; return their folder and the package names."""
    site.mkdir()
    installed = []
    for wheel in sorted(wheels.glob("*.whl")):
        name = wheel.name.partition("-")[0].replace("_", "-")
        try:
            version(name)
        except PackageNotFoundError:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
            installed.append(name)
    if installed:
        sys.path.append(str(site))
    return site, installed
