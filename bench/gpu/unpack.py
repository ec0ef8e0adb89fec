"""Make a pack usable on this machine; needs nothing but Python."""

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
    """environment: variables for every process that uses the pack
    arch: the architecture of a GPU that the cache is for; None: it is for a CPU
    expected: the file of expected categories, or None
    lines: what was done, for people
    """

    environment: Mapping[str, str]
    arch: str | None
    expected: Path | None
    lines: tuple[str, ...]


def unpack(pack: Path, work: Path) -> Unpacked:
    """Unpack the cache, and the wheels of packages that this Python lacks, into `work`.

    Raises InputError for a folder that is no pack, or a damaged one.
    """
    try:
        described = json.loads((pack / DESCRIPTION).read_text(encoding="utf-8"))
        with tarfile.open(pack / CACHE, "r:xz") as archive:
            # Owner and modes of another machine must not come along: the cache checks them.
            archive.extractall(work, filter="data")
        site, installed = _install(pack / WHEELS, work / "site")
    except (OSError, ValueError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise InputError(
            f"--pack {pack}: no usable pack: {error}; make it with python -m bench.gpu pack"
        ) from error
    (work / "cache").chmod(0o700)
    folders = [os.getcwd(), str(site), os.environ.get("PYTHONPATH", "")]
    environment = {
        "KKSPDNN_CACHE": str(work / "cache"),
        "KKSPDNN_PK": "builtin",
        "PYTHONPATH": os.pathsep.join(each for each in folders if each),
        "KKSPDNN_KOKKOS_SDIST": str((pack / described["kokkos_sources"]).absolute()),
    }
    if (pack / DATA).is_dir():
        environment["KKSPDNN_CHALLENGE_DATA"] = str((pack / DATA).absolute())
    expected = (pack / EXPECTED).absolute()
    return Unpacked(
        environment,
        described["arch"],
        expected if expected.is_file() else None,
        (
            f"  cache of {described['entries']} entries by {described['compiled_by']}, "
            f"source {described['commit']}",
            f"  packages that this Python lacked: {', '.join(installed) or 'none'}",
        ),
    )


def _install(wheels: Path, site: Path) -> tuple[Path, list[str]]:
    """Unpack the wheels of packages that this Python does not have; gives their names too."""
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
