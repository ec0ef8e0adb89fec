"""Finding Kokkos, and building it: what is passed over, and the one line that says why not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pykokkos as pk
import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk import kokkos
from kkspdnn.pk.cache import Cache
from kkspdnn.pk.runtime_library import toolkit
from kkspdnn.pk.toolchain import Compiler, host_compiler

BOTH = frozenset({"OPENMP", "SERIAL"})


@pytest.fixture(autouse=True)
def nothing_of_the_user_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for space in (pk.OpenMP, pk.Serial):
        toolkit(space)  # With what the user has, once for the process.
    for variable in ("Kokkos_DIR", "Kokkos_ROOT", "KOKKOS_ROOT", "CMAKE_PREFIX_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "/nowhere/bin")


def fake(
    prefix: Path, version: str = "4.6.1", devices: str = "OPENMP;SERIAL", lib: str = "lib"
) -> Path:
    """The CMake files of an installed Kokkos, as far as they are read."""
    folder = prefix / lib / "cmake" / "Kokkos"
    folder.mkdir(parents=True)
    (folder / "KokkosConfig.cmake").write_text("# config\n")
    (folder / "KokkosConfigCommon.cmake").write_text(f"SET(Kokkos_DEVICES {devices})\n")
    (folder / "KokkosConfigVersion.cmake").write_text(f'set(PACKAGE_VERSION "{version}")\n')
    return folder


@pytest.mark.parametrize(
    "variable", ["Kokkos_ROOT", "KOKKOS_ROOT", "Kokkos_DIR", "CMAKE_PREFIX_PATH"]
)
@pytest.mark.parametrize("lib", ["lib", "lib64", "lib/x86_64-linux-gnu"])
def test_the_places_of_find_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, lib: str
) -> None:
    folder = fake(tmp_path, lib=lib)
    monkeypatch.setenv(variable, str(folder if variable == "Kokkos_DIR" else tmp_path))
    found = kokkos.find(BOTH)
    assert found is not None
    assert (found.config, found.version, found.devices) == (folder, "4.6.1", BOTH)
    assert found.origin.startswith(f"{variable}={tmp_path}")


def test_a_kokkos_beside_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake(tmp_path)
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path}/bin")
    found = kokkos.find(BOTH)
    assert found is not None
    assert found.config == folder


def test_a_place_without_kokkos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    with pytest.raises(ToolchainError) as caught:
        kokkos.find(BOTH)
    assert str(caught.value) == (
        f"Kokkos_ROOT={tmp_path}: no KokkosConfig.cmake; "
        "point it at an installed Kokkos 3.4 to 5.x, or unset it"
    )


@pytest.mark.parametrize("version", ["3.3.01", "2.9", ""])
def test_a_kokkos_that_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    fake(tmp_path, version)
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    with pytest.raises(ToolchainError, match=rf"Kokkos {version or 'unknown'} is older than 3\.4"):
        kokkos.find(BOTH)


@pytest.mark.parametrize("version", ["3.4.01", "3.7.2", "4.6.2", "5.0.0"])
def test_versions_that_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    fake(tmp_path, version)
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    found = kokkos.find(BOTH)
    assert found is not None
    assert found.version == version


def test_a_kokkos_without_its_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake(tmp_path)
    (folder / "KokkosConfigCommon.cmake").unlink()
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"KokkosConfigCommon\.cmake: No such file"):
        kokkos.find(BOTH)


def test_what_is_passed_over_is_listed_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "serial", devices="SERIAL")
    fake(tmp_path / "gpu", devices="CUDA;OPENMP;SERIAL")
    good = fake(tmp_path / "good")
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path / "serial"))
    places = [tmp_path / "gpu", tmp_path / "empty", tmp_path / "good", tmp_path / "good"]
    monkeypatch.setenv("CMAKE_PREFIX_PATH", ":".join(map(str, places)))
    reasons = [c.reason for c in kokkos.candidates(BOTH)]
    assert reasons[:4] == [
        "Kokkos 4.6.1 has no OPENMP",
        "Kokkos 4.6.1 with CUDA needs its compiler",
        "no KokkosConfig.cmake",
        "Kokkos 4.6.1",
    ]
    found = kokkos.find(BOTH)
    assert found is not None
    assert found.config == good


def test_a_kokkos_for_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be for the same architecture, shared, and with its compiler."""
    configurations = {
        "cpu": ("OPENMP;SERIAL", "AMPERE80", ""),
        "older": ("CUDA;SERIAL", "AMPERE80;ZEN3", ""),
        "none": ("CUDA;SERIAL", "", ""),
        "rdc": ("CUDA;SERIAL", "HOPPER90", "CUDA_LAMBDA;CUDA_RELOCATABLE_DEVICE_CODE"),
        "hip": ("CUDA;HIP;SERIAL", "HOPPER90", ""),
        "static": ("CUDA;SERIAL", "HOPPER90", ""),
        "wrapless": ("CUDA;SERIAL", "HOPPER90", ""),
        "good": ("CUDA;SERIAL;OPENMP", "ZEN3;HOPPER90", "CUDA_LAMBDA"),
    }
    for name, (devices, arch, options) in configurations.items():
        folder = fake(tmp_path / name, devices=devices)
        with (folder / "KokkosConfigCommon.cmake").open("a") as file:
            file.write(f"set(Kokkos_ARCH {arch})\nset(Kokkos_OPTIONS {options})\n")
        if name != "static":
            (folder.parents[1] / "libkokkoscore.so").touch()
        if name != "wrapless":
            (tmp_path / name / "bin").mkdir()
            (tmp_path / name / "bin" / "nvcc_wrapper").touch()
    monkeypatch.setenv("CMAKE_PREFIX_PATH", ":".join(str(tmp_path / n) for n in configurations))
    found = kokkos.candidates(frozenset({"CUDA", "SERIAL"}), "sm_90")
    assert [each.reason.removeprefix("Kokkos 4.6.1 ") for each in found[:8]] == [
        "has no CUDA",
        "is for sm_80, not for sm_90",
        "is for an unknown architecture, not for sm_90",
        "was built with relocatable device code",
        "with HIP needs its compiler",
        "is no shared library: build it with -DBUILD_SHARED_LIBS=ON",
        "has no bin/nvcc_wrapper",
        "Kokkos 4.6.1",
    ]
    chosen = kokkos.find(frozenset({"CUDA", "SERIAL"}), "sm_90")
    assert chosen is not None
    assert chosen.wrapper == tmp_path / "good" / "bin" / "nvcc_wrapper"
    assert chosen.arch == "sm_90"


def test_the_stamp_follows_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fake(tmp_path)
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    first = kokkos.find(BOTH)
    with (folder / "KokkosConfigCommon.cmake").open("a") as file:
        file.write("set(Kokkos_ARCH AVX2)\n")
    second = kokkos.find(BOTH)
    assert first is not None
    assert second is not None
    assert first.stamp != second.stamp


# ---- building it ------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def one_line(call: Callable[[], object]) -> str:
    with pytest.raises(ToolchainError) as caught:
        call()
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_a_source_distribution_that_is_another(
    store: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "pykokkos-base-0.0.7.tar.gz"
    monkeypatch.setenv("KKSPDNN_KOKKOS_SDIST", str(archive))
    build = lambda: kokkos.build(store, compiler(), openmp=False)  # noqa: E731
    assert one_line(build) == f"KKSPDNN_KOKKOS_SDIST={archive}: no such file"
    archive.write_bytes(b"something else")
    assert one_line(build) == (
        f"KKSPDNN_KOKKOS_SDIST={archive} is not pykokkos-base 0.0.7: its SHA-256 is "
        "f41f3fa625ff120ddca7ef456bf66371ecea23c129f4e4c32367101edb516cf8"
    )
    assert list((store.root / "kokkos").iterdir()) == list((store.root / "kokkos").glob("*.lock"))


def compiler() -> Compiler:
    return replace(host_compiler(), version="a compiler for tests")


def test_no_network(store: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("KKSPDNN_KOKKOS_SDIST", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    said = one_line(lambda: kokkos.build(store, compiler(), openmp=False))
    assert said.startswith("no Kokkos: pip cannot get pykokkos-base 0.0.7 (downloading ")
    assert said.endswith(
        "check the network, set Kokkos_ROOT to a Kokkos, or KKSPDNN_KOKKOS_SDIST to the .tar.gz"
    )


def test_no_pip(store: Cache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KKSPDNN_KOKKOS_SDIST", raising=False)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "{python}: No module named pip" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    said = one_line(lambda: kokkos.build(store, compiler(), openmp=False))
    assert "No module named pip" in said


@pytest.fixture
def no_openmp(tmp_path: Path) -> Path:
    """g++, but it refuses -fopenmp."""
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
    said = one_line(lambda: kokkos.build(store, lacking, openmp=True))
    assert said == (
        f"{no_openmp} has no OpenMP: install it (Debian: libgomp1 comes with g++), "
        "set CXX to a compiler that has it, or use --space serial"
    )


def test_each_missing_thing_is_one_line_of_a_program(no_openmp: Path, tmp_path: Path) -> None:
    """The same through a launch, in processes of their own."""
    program = (
        "from kkspdnn.pk import provide_pykokkos; provide_pykokkos()\n"
        "import pykokkos as pk\nfrom kkspdnn.pk.runtime_library import toolkit\n"
        "try:\n    toolkit(pk.OpenMP)\nexcept Exception as e:\n    print(type(e).__name__, e)\n"
    )
    source = Path(kokkos.__file__).parents[2]
    for changed, expected in (
        ({"CXX": "/no/g++"}, "ToolchainError CXX=/no/g++: there is no such program; set CXX to"),
        ({"CXX": str(no_openmp)}, f"ToolchainError {no_openmp} has no OpenMP: install it"),
        ({"PATH": "/nowhere"}, "ToolchainError no C++ compiler: g++ is not on the PATH; install"),
        ({"Kokkos_ROOT": "/nowhere"}, "ToolchainError Kokkos_ROOT=/nowhere: no KokkosConfig.cmake"),
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


def test_the_toolkit_says_what_it_uses() -> None:
    kit = toolkit(pk.OpenMP)
    assert kit.kokkos.version.split(".")[0] in "345"
    assert BOTH <= kit.kokkos.devices
    assert kit.library.is_file()
    assert not any(word.endswith((".cpp", ".o", ".d")) for word in kit.compile)
    assert toolkit(pk.Serial) == kit


def test_a_process_with_no_openmp_runs_serial(no_openmp: Path, tmp_path: Path) -> None:
    """Kokkos is built without OpenMP, and a workunit runs."""
    if shutil.which("g++", path="/usr/bin:/bin") is None:
        pytest.skip("g++ is not in /usr/bin")
    archive = os.environ.get("KKSPDNN_KOKKOS_SDIST")
    if archive is None:
        pytest.skip("set KKSPDNN_KOKKOS_SDIST to build Kokkos once more")
    program = (
        "from kkspdnn.pk import provide_pykokkos; provide_pykokkos()\n"
        "import numpy as np, pykokkos as pk, kernels\n"
        "x = np.arange(5.0)\n"
        "print(pk.parallel_reduce('w', pk.RangePolicy(pk.Serial, 0, 5), kernels.dot, x=x, y=x))\n"
    )
    folders = [str(Path(__file__).parent), str(Path(kokkos.__file__).parents[2])]
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
