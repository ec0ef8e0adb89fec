"""`python -m bench.gpu pack`: collect the files for a GPU machine without a package index."""

from __future__ import annotations

import argparse
import json
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.expected_file import load_or_compute_expected
from bench.gpu.unpack import CACHE, DATA, DESCRIPTION, EXPECTED, WHEELS
from kkspdnn.choices import DTYPES, SpaceName
from kkspdnn.cli.problem import load_problem
from kkspdnn.device.space import EXECUTION_SPACES
from kkspdnn.engines.launch_trace import all_generated
from kkspdnn.errors import InputError
from kkspdnn.io.atomic_write import create_folder
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.kokkos_source import SDIST, SDIST_VERSION, fetch_sdist
from kkspdnn.pk.build.runtime_library import RuntimeLibrary
from kkspdnn.pk.build.toolchain import run_tool
from kkspdnn.pk.dispatch import compile_workunits
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.records.provenance import source_commit

MAX_BYTES = 50 * 10**6
"""Size limit of a pack, so that it is quick to copy."""

PACKAGES = (
    "hypothesis",
    "platformdirs",
    "psutil",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "rich",
    "safetensors",
    "shtab",
)
"""Packages that kkspdnn and its tests need.

NumPy, SciPy, CuPy, CMake and Ninja are missing: they are large, and a GPU machine has them.
"""

_SOURCE = "source.tar.xz"
_ROOT = Path(__file__).parents[2]
_GLIBC = range(17, 40)
"""Minor versions of glibc 2 whose wheels run on a machine with the newest of them."""

_RUN = """#!/bin/sh
# Unpack the source of this pack and measure: sh run.sh OUT [options of bench.gpu run]
set -e
pack=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1" && out=$(cd "$1" && pwd)
shift
source=$(mktemp -d)
python=${PYTHON:-python3}
"$python" -W ignore -m tarfile -e "$pack/source.tar.xz" "$source"
cd "$source"
exec "$python" -m bench.gpu run --pack "$pack" --out "$out" "$@"
"""


def command(arguments: argparse.Namespace) -> int:
    """Write the pack and print its contents. Raises InputError, ToolchainError and CacheError."""
    with create_folder(arguments.folder) as folder:
        description = _fill(folder, arguments)
        size = _bytes(folder)
        if size > MAX_BYTES:
            raise InputError(
                f"the pack has {size / 1e6:.1f} MB, more than {MAX_BYTES / 1e6:.0f} MB; omit --data"
            )
    for file in sorted(arguments.folder.iterdir()):
        print(f"{_bytes(file) / 1e6:8.1f} MB  {file.name}")
    print(f"{size / 1e6:8.1f} MB  total, with {description['entries']} cache entries")
    return 0


def _fill(folder: Path, arguments: argparse.Namespace) -> dict[str, object]:
    """Write all files into the folder and return the description of the pack."""
    source = source_commit()
    if source is None or source.endswith("+"):
        raise InputError(
            "a pack contains committed source only: commit or stash your changes first"
        )
    (folder / "run.sh").write_text(_RUN, encoding="utf-8")
    with lzma.open(folder / _SOURCE, "wb") as target:
        archive = ["git", "-C", str(_ROOT), "archive", "--format=tar", "HEAD"]
        archive += [".", ":(exclude)plots"]
        target.write(subprocess.run(archive, check=True, capture_output=True).stdout)
    with tempfile.TemporaryDirectory() as temporary:
        archive_name = f"{SDIST}-{SDIST_VERSION}.tar.gz"
        shutil.copy(fetch_sdist(Path(temporary)), folder / archive_name)
    _wheels(folder / WHEELS, arguments.python)
    if arguments.data is not None:
        (folder / DATA).mkdir()
        for file in (*arguments.data.glob("*.npz"), *arguments.data.glob("*.tsv")):
            shutil.copy(file, folder / DATA)
    gpu = arguments.space == "cuda"
    runtime_library = find_runtime_library(
        ExecutionSpace[EXECUTION_SPACES[arguments.space]], arguments.arch if gpu else None
    )
    entries = list(_entries(runtime_library, arguments.space))
    with tarfile.open(folder / CACHE, "w:xz") as cache:
        for entry in entries:
            cache.add(entry, arcname=f"cache/{entry.parent.name}/{entry.name}")
    if not arguments.small:
        problem = load_problem()
        load_or_compute_expected(problem.network, problem.inputs, lambda _: None, folder / EXPECTED)
    description = {
        "commit": source,
        "space": arguments.space,
        "arch": runtime_library.arch,
        "compiled_by": runtime_library.compiled_by,
        "kokkos_sources": archive_name,
        "entries": len(entries),
        "python": arguments.python,
    }
    text = json.dumps(description, indent=1) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    return description


def _entries(runtime_library: RuntimeLibrary, space: SpaceName) -> Iterator[Path]:
    """Yield the cache entries that a run may need; compile the missing ones."""
    yield runtime_library.folder
    # The tests compile workunits on the GPU machine and need these headers.
    if runtime_library.tools.kokkos_folder is not None:
        yield runtime_library.tools.kokkos_folder
    texts = all_generated(space, DTYPES)
    for library in compile_workunits([(runtime_library, text) for text in texts]):
        yield library.parent


def _wheels(folder: Path, python: str) -> None:
    """Download wheels of PACKAGES and their dependencies for a Python version."""
    platforms = [f"--platform=manylinux_2_{minor}_x86_64" for minor in reversed(_GLIBC)]
    run_tool(
        [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
        + [f"--python-version={python}", "--implementation=cp", *platforms]
        + ["--platform=manylinux2014_x86_64", "--dest", folder, *PACKAGES],
        "downloading wheels",
        inherit=True,
    )


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())
