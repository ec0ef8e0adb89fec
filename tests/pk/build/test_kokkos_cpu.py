"""Building Kokkos, and using the user's Kokkos: each failure is a one-line error."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pykokkos as pk
import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import find_runtime, kokkos_cpu
from kkspdnn.pk.build.build_runtime import RuntimeSpec
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.find_kokkos import Kokkos, SearchResult
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.runtime_library import RuntimeLibrary
from kkspdnn.pk.build.toolchain import host_compiler
from kkspdnn.pk.system.instruction_sets import native_processor

BOTH = frozenset({"OPENMP", "SERIAL"})


pytestmark = pytest.mark.usefixtures("no_installed_kokkos")


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def no_openmp(tmp_path: Path) -> Path:
    """Write a g++ that refuses -fopenmp."""
    real = host_compiler().path
    script = tmp_path / "g++-without-openmp"
    script.write_text(
        '#!/bin/sh\nfor word in "$@"; do\n  if [ "$word" = -fopenmp ]; then\n'
        '    echo "g++: error: unrecognized command-line option -fopenmp" >&2; exit 1\n  fi\ndone\n'
        f'exec {real} "$@"\n'
    )
    script.chmod(0o755)
    return script


def test_a_compiler_without_openmp(
    store: Cache, no_openmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    lacking = replace(host_compiler(), path=str(no_openmp))
    with pytest.raises(ToolchainError) as caught:
        kokkos_cpu.build(store, lacking, openmp=True)
    assert str(caught.value) == (
        f"{no_openmp} has no OpenMP: install it (Debian: libgomp1 comes with g++), "
        "set CXX to a compiler that has it, or use --space serial"
    )


def test_each_missing_tool_is_a_one_line_error(no_openmp: Path, tmp_path: Path) -> None:
    """In new processes."""
    program = (
        "from kkspdnn.pk import provide_pykokkos; provide_pykokkos()\n"
        "import pykokkos as pk\nfrom kkspdnn.pk.build.find_runtime import find_runtime_library\n"
        "try:\n    find_runtime_library(pk.OpenMP)\n"
        "except Exception as e:\n    print(type(e).__name__, e)\n"
    )
    source = Path(kokkos_cpu.__file__).parents[3]
    for changed, expected in (
        ({"CXX": "/no/g++"}, "ToolchainError CXX=/no/g++: there is no such program; set CXX to"),
        ({"CXX": str(no_openmp)}, f"ToolchainError {no_openmp} has no OpenMP: install it"),
        ({"PATH": "/nowhere"}, "ToolchainError no C++ compiler: g++ is not on the PATH; install"),
        ({"Kokkos_ROOT": "/nowhere"}, "ToolchainError Kokkos_ROOT=/nowhere: No such file"),
        ({"CXX": "/bin/false"}, "ToolchainError asking /bin/false for its version failed: "),
    ):
        environment = {k: v for k, v in os.environ.items() if k not in ("CXX", "PATH")}
        environment |= {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(source)}
        environment |= {"KKSPDNN_CACHE": str(tmp_path / "empty")} | changed
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        assert done.stdout.startswith(expected)
        assert done.stdout.count("\n") == 1


def fake_result(prefix: Path, devices: str) -> SearchResult:
    kokkos = Kokkos(prefix, "4.6.1", frozenset(devices.split(";")), "a test", "stamp")
    location = f"CMAKE_PREFIX_PATH={prefix}"
    return SearchResult(location, kokkos, "Kokkos 4.6.1", set_by_user=False)


def test_a_kokkos_that_does_not_link_is_skipped(
    store: Cache, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the user set it with Kokkos_ROOT."""
    other, good = Path("/other"), Path("/good")
    host = host_compiler()
    library = find_runtime_library(pk.OpenMP)

    def build(finder: object, spec: RuntimeSpec, compiler: object) -> RuntimeLibrary:
        if spec.user_kokkos is not None and spec.user_kokkos.config == other:
            raise ToolchainError("linking failed: no -lhwloc")
        return replace(library, user_kokkos=spec.user_kokkos)

    monkeypatch.setattr(find_runtime._RuntimeFinder, "_build", build)
    finder = find_runtime._RuntimeFinder(store, host, None, native_processor())

    def used_config(*results: SearchResult) -> Path | None:
        specs = find_runtime._specs("openmp", {}, results)
        kokkos = finder.find_or_build(specs).user_kokkos
        return kokkos.config if kokkos is not None else None

    bad = fake_result(other, "OPENMP")
    with caplog.at_level(logging.WARNING, "kkspdnn"):
        assert used_config(bad) is None
        assert used_config(bad, fake_result(good, "OPENMP")) == good
    warning = "skipping CMAKE_PREFIX_PATH=/other: linking failed: no -lhwloc"
    assert caplog.messages == [warning, warning]
    set_by_user = replace(bad, location="Kokkos_ROOT=/other", set_by_user=True)
    with pytest.raises(ToolchainError) as caught:
        used_config(set_by_user)
    assert str(caught.value) == (
        "Kokkos_ROOT=/other: linking failed: no -lhwloc; point it at another Kokkos, or unset it"
    )
    without = replace(finder, compiler=None, missing=ToolchainError("no C++ compiler"))
    with pytest.raises(ToolchainError, match="^no C"):
        without.find_or_build(find_runtime._specs("openmp", {}, [set_by_user]))


def test_an_empty_installation_is_not_cached(
    store: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With DESTDIR set, for example, the tools succeed, but the folder stays empty."""
    monkeypatch.setattr(kokkos_cpu, "run_tool", lambda *_, **__: "")
    monkeypatch.setattr(kokkos_cpu, "fetch_sources", lambda folder, _: folder)
    with pytest.raises(ToolchainError, match="unusable: no KokkosConfig.cmake"):
        kokkos_cpu.build(store, host_compiler(), openmp=False)
    assert [p.suffix for p in (store.root / "kokkos").iterdir()] == [".lock"]


def test_the_properties_of_a_runtime_library() -> None:
    library = find_runtime_library(pk.OpenMP)
    assert library.kokkos.version.split(".")[0] in "345"
    assert BOTH <= library.kokkos.devices
    assert library.path.is_file()
    assert not any(word.endswith((".cpp", ".o", ".d")) for word in library.compile_command)
    assert find_runtime_library(pk.Serial) == library


@pytest.mark.slow
def test_serial_without_openmp(no_openmp: Path, tmp_path: Path) -> None:
    """Kokkos is built without OpenMP, and a workunit runs."""
    if shutil.which("g++", path="/usr/bin:/bin") is None:
        pytest.skip("g++ is not in /usr/bin")
    program = (
        "from kkspdnn.pk import provide_pykokkos; provide_pykokkos()\n"
        "import numpy as np, pykokkos as pk, kernels\n"
        "x = np.arange(5.0)\n"
        "print(pk.parallel_reduce('w', pk.RangePolicy(pk.Serial, 0, 5), kernels.dot, x=x, y=x))\n"
    )
    folders = [str(Path(__file__).parents[1]), str(Path(kokkos_cpu.__file__).parents[3])]
    environment = {**os.environ, "CXX": str(no_openmp), "PATH": "/usr/bin:/bin"}
    environment |= {"PYTHONPATH": os.pathsep.join(folders), "KKSPDNN_CACHE": str(tmp_path / "c")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("30.0\n", "")


OPENMP_WITHOUT_SERIAL = """
import numpy as np
from kkspdnn.pk import provide_pykokkos; provide_pykokkos()
import pykokkos as pk, kernels
from kkspdnn.pk.build.find_runtime import find_runtime_library
x = np.arange(5.0)
for space in (pk.OpenMP, pk.Serial, pk.OpenMP):
    print(pk.parallel_reduce("w", pk.RangePolicy(space, 0, 5), kernels.dot, x=x, y=x))
    print(sorted(find_runtime_library(space).kokkos.devices))
"""


@pytest.mark.slow
def test_a_kokkos_with_openmp_only(tmp_path: Path) -> None:
    """It is used for OpenMP, and a Kokkos in the cache for Serial, in the same process."""
    host = host_compiler()
    with kokkos_cpu.scratch_folder() as scratch:
        try:
            source = kokkos_cpu.fetch_sources(scratch, kokkos_cpu.UNITY_PATCHES)
        except ToolchainError as error:
            pytest.skip(str(error))
        options = [o.replace("SERIAL=ON", "SERIAL=OFF") for o in kokkos_cpu._CONFIGURE]
        kokkos_cpu.run_tool(
            [kokkos_cpu.build_tool("cmake"), "-G", "Ninja", *options]
            + [f"-DCMAKE_MAKE_PROGRAM={kokkos_cpu.build_tool('ninja')}"]
            + [f"-DCMAKE_CXX_COMPILER={host.path}", "-DKokkos_ENABLE_OPENMP=ON"]
            + ["-S", str(source), "-B", str(scratch / "build")],
            "configuring",
        )
        kokkos_cpu.run_tool([kokkos_cpu.build_tool("ninja"), "-C", scratch / "build"], "building")
        kokkos_cpu.install(scratch / "build", tmp_path / "own")
    folders = [str(Path(__file__).parents[1]), str(Path(kokkos_cpu.__file__).parents[3])]
    environment = {**os.environ, "Kokkos_ROOT": str(tmp_path / "own")}
    environment |= {"PYTHONPATH": os.pathsep.join(folders), "KKSPDNN_CACHE": str(tmp_path / "c")}
    done = subprocess.run(
        [sys.executable, "-c", OPENMP_WITHOUT_SERIAL],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == ["30.0", "['OPENMP']", "30.0", "['SERIAL']"] + [
        "30.0",
        "['OPENMP']",
    ], done.stderr
