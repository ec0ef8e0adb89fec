"""A copied cache, used by another installation on a machine without a compiler."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import kernels
import pytest

import kkspdnn
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.policy import ExecutionSpace

HOME = Path(kkspdnn.__file__).parents[1]

PROGRAM = """
import logging, os, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
from kkspdnn.pk import provide_pykokkos
provide_pykokkos()
import numpy as np
import pykokkos as pk
import kernels
from kkspdnn.pk.build.find_runtime import find_runtime_library

if "AHEAD" in os.environ:
    find_runtime_library(pk.Serial, cpu=os.environ["AHEAD"])
x = np.arange(5.0)
print(pk.parallel_reduce("w", pk.RangePolicy(pk.Serial, 0, 5), kernels.dot, x=x, y=x))
print(find_runtime_library(pk.Serial).processor.march)
"""


@dataclass(frozen=True)
class Installation:
    """A copy of the package and of the kernels, with its own cache."""

    folder: Path

    @classmethod
    def copy_to(cls, folder: Path) -> Installation:
        for name in ("kkspdnn", "workunits"):
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(HOME / name, folder / name, ignore=ignored)
        shutil.copy(kernels.__file__, folder)
        return cls(folder)

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def run(self, **changed: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "CXX"}
        environment |= {"PYTHONPATH": str(self.folder), "KKSPDNN_CACHE": str(self.cache)}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment | changed,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def modification_times(self) -> dict[str, int]:
        """The files of the cache and their modification times."""
        return {str(p): p.lstat().st_mtime_ns for p in self.cache.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """A first installation, whose cache has Kokkos, the runtime library and one workunit."""
    installation = Installation.copy_to(tmp_path_factory.mktemp("first"))
    cache = find_runtime_library(ExecutionSpace.Serial).cache
    installation.cache.mkdir(mode=0o700)
    for category in ("kokkos", "runtime"):
        shutil.copytree(cache.root / category, installation.cache / category, symlinks=True)
    done = installation.run()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("30.0\nnative\n")
    return installation


@pytest.fixture
def copied(warm: Installation, tmp_path: Path) -> Installation:
    """A second installation with a copy of the first one's cache."""
    installation = Installation.copy_to(tmp_path / "second")
    shutil.copytree(warm.cache, installation.cache, symlinks=True)
    return installation


@pytest.mark.slow
def test_nothing_is_compiled_or_written(copied: Installation, tmp_path: Path) -> None:
    """No compiler, CMake or Kokkos is needed."""
    shutil.rmtree(copied.cache / "kokkos")
    (tmp_path / "empty").mkdir()
    before = copied.modification_times()
    for path in (str(tmp_path / "empty"), os.environ["PATH"]):
        done = copied.run(PATH=path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "30.0\nnative\n", "")
        assert copied.modification_times() == before


@pytest.mark.slow
def test_a_missing_compiler_is_logged_and_not_needed(copied: Installation) -> None:
    done = copied.run(CXX="/no/such/g++")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "CXX=/no/such/g++: there is no such program; set CXX to a C++17 compiler, or unset it; "
        "using cached code",
        "30.0",
        "native",
    ]


@pytest.mark.slow
def test_code_for_another_processor_is_not_loaded(copied: Installation, tmp_path: Path) -> None:
    """This processor has fewer instruction sets; a compiler is needed, and used if there is one."""
    (tmp_path / "sitecustomize.py").write_text(
        "from kkspdnn.pk.system import instruction_sets\n"
        "real = instruction_sets.cpu_features()\n"
        "instruction_sets.cpu_features = lambda: frozenset({'sse2'})\n"
    )
    folders = os.pathsep.join([str(tmp_path), str(copied.folder)])
    done = copied.run(PATH=str(tmp_path), PYTHONPATH=folders)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "no C++ compiler: g++ is not on the PATH; install it (Debian: apt-get install g++) "
        "or set CXX"
    )
    done = copied.run(PYTHONPATH=folders)
    assert done.stdout.splitlines()[0] == "building the runtime library"


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the levels are those of x86-64")
def test_an_entry_for_a_named_processor(copied: Installation, tmp_path: Path) -> None:
    """It is used if there is none for this processor, with a compiler and without."""
    shutil.rmtree(copied.cache / "runtime")
    ahead = copied.run(AHEAD="x86-64")
    assert (ahead.returncode, ahead.stderr) == (0, "")
    assert ahead.stdout.endswith("30.0\nx86-64\n")
    for path in (str(tmp_path), os.environ["PATH"]):
        done = copied.run(PATH=path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "30.0\nx86-64\n", "")
