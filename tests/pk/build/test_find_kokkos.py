"""Searching for Kokkos: which installations are used, skipped or an error, and the reasons."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import find_kokkos
from kkspdnn.pk.build.find_kokkos import Kokkos

BOTH = frozenset({"OPENMP", "SERIAL"})


def first_usable(needed: frozenset[str], arch: str | None = None) -> Kokkos | None:
    results = find_kokkos.search_kokkos(needed, arch)
    return next((each.kokkos for each in find_kokkos.usable_results(results)), None)


@pytest.fixture(autouse=True)
def no_installation(no_installed_kokkos: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere/bin")


def write_kokkos(
    prefix: Path, version: str = "4.6.1", devices: str = "OPENMP;SERIAL", lib: str = "lib"
) -> Path:
    """Write the CMake files of an installed Kokkos that are read; return their folder."""
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
def test_the_locations_of_find_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, lib: str
) -> None:
    folder = write_kokkos(tmp_path, lib=lib)
    monkeypatch.setenv(variable, str(folder if variable == "Kokkos_DIR" else tmp_path))
    kokkos = first_usable(BOTH)
    assert kokkos is not None
    assert (kokkos.config, kokkos.version, kokkos.devices) == (folder, "4.6.1", BOTH)
    assert kokkos.origin.startswith(f"{variable}={tmp_path}")


def test_a_kokkos_beside_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_kokkos(tmp_path)
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path}/bin")
    kokkos = first_usable(BOTH)
    assert kokkos is not None
    assert kokkos.config == folder


def test_a_location_without_kokkos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    with pytest.raises(ToolchainError) as caught:
        first_usable(BOTH)
    assert str(caught.value) == (
        f"Kokkos_ROOT={tmp_path}: no KokkosConfig.cmake; "
        "point it at an installed Kokkos 3.4 to 5.x, or unset it"
    )


@pytest.mark.parametrize("version", ["3.3.01", "2.9", ""])
def test_a_kokkos_that_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    write_kokkos(tmp_path, version)
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    with pytest.raises(ToolchainError, match=rf"Kokkos {version or 'unknown'} is older than 3\.4"):
        first_usable(BOTH)


@pytest.mark.parametrize("version", ["3.4.01", "3.7.2", "4.6.2", "5.0.0"])
def test_versions_that_are_supported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    write_kokkos(tmp_path, version)
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    kokkos = first_usable(BOTH)
    assert kokkos is not None
    assert kokkos.version == version


def test_a_kokkos_without_one_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_kokkos(tmp_path)
    (folder / "KokkosConfigCommon.cmake").unlink()
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"KokkosConfigCommon\.cmake: No such file"):
        first_usable(BOTH)


def test_skipped_installations_are_listed_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_kokkos(tmp_path / "serial", devices="SERIAL")
    write_kokkos(tmp_path / "gpu", devices="CUDA;OPENMP;SERIAL")
    good = write_kokkos(tmp_path / "good")
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path / "serial"))
    prefixes = [tmp_path / "gpu", tmp_path / "empty", tmp_path / "good", tmp_path / "good"]
    monkeypatch.setenv("CMAKE_PREFIX_PATH", ":".join(map(str, prefixes)))
    reasons = [result.reason for result in find_kokkos.search_kokkos(BOTH)]
    assert reasons[:4] == [
        "Kokkos 4.6.1 has no OPENMP",
        "Kokkos 4.6.1 was built for CUDA and needs another compiler",
        "no KokkosConfig.cmake",
        "Kokkos 4.6.1",
    ]
    kokkos = first_usable(BOTH)
    assert kokkos is not None
    assert kokkos.config == good


def test_a_kokkos_for_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It must be built for the architecture, with shared libraries, and have its compiler."""
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
        folder = write_kokkos(tmp_path / name, devices=devices)
        with (folder / "KokkosConfigCommon.cmake").open("a") as file:
            file.write(f"set(Kokkos_ARCH {arch})\nset(Kokkos_OPTIONS {options})\n")
        if name != "static":
            (folder.parents[1] / "libkokkoscore.so").touch()
        if name != "wrapless":
            (tmp_path / name / "bin").mkdir()
            (tmp_path / name / "bin" / "nvcc_wrapper").touch()
    monkeypatch.setenv("CMAKE_PREFIX_PATH", ":".join(str(tmp_path / n) for n in configurations))
    results = find_kokkos.search_kokkos(frozenset({"CUDA", "SERIAL"}), "sm_90")
    assert [each.reason.removeprefix("Kokkos 4.6.1 ") for each in results[:8]] == [
        "has no CUDA",
        "is for sm_80, not for sm_90",
        "is for an unknown architecture, not for sm_90",
        "was built with relocatable device code",
        "was built for HIP and needs another compiler",
        "has no shared libraries: build it with -DBUILD_SHARED_LIBS=ON",
        "has no bin/nvcc_wrapper",
        "Kokkos 4.6.1",
    ]
    chosen = first_usable(frozenset({"CUDA", "SERIAL"}), "sm_90")
    assert chosen is not None
    assert chosen.wrapper == tmp_path / "good" / "bin" / "nvcc_wrapper"
    assert chosen.arch == "sm_90"


def test_the_stamp_changes_with_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_kokkos(tmp_path)
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    first = first_usable(BOTH)
    with (folder / "KokkosConfigCommon.cmake").open("a") as file:
        file.write("set(Kokkos_ARCH AVX2)\n")
    second = first_usable(BOTH)
    assert first is not None
    assert second is not None
    assert first.stamp != second.stamp


# ---- broken packages --------------------------------------------------------------------------

TARGETS = """
get_filename_component(_IMPORT_PREFIX "${CMAKE_CURRENT_LIST_FILE}" PATH)
get_filename_component(_IMPORT_PREFIX "${_IMPORT_PREFIX}" PATH)
get_filename_component(_IMPORT_PREFIX "${_IMPORT_PREFIX}" PATH)
get_filename_component(_IMPORT_PREFIX "${_IMPORT_PREFIX}" PATH)
set_target_properties(Kokkos::kokkoscore PROPERTIES
  INTERFACE_COMPILE_OPTIONS "\\$<\\$<COMPILE_LANGUAGE:CXX>:ADDED>"
)
"""
FILES = """
list(APPEND _cmake_import_check_files_for_Kokkos::kokkossimd "PREFIX/lib/libkokkossimd.a" )
"""


def write_with_targets(
    prefix: Path, options: str = "-fopenmp", import_prefix: str = "${_IMPORT_PREFIX}"
) -> Path:
    """Write a Kokkos whose targets have these options and name a library below import_prefix."""
    folder = write_kokkos(prefix)
    (folder / "KokkosTargets.cmake").write_text(TARGETS.replace("ADDED", options))
    (folder / "KokkosTargets-none.cmake").write_text(FILES.replace("PREFIX", import_prefix))
    return folder


@pytest.mark.parametrize("relative", [True, False])
def test_a_package_that_names_a_missing_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    """It is skipped, or an error if the user set it with Kokkos_ROOT.

    Such a package is from a distribution with the static libraries in another package.
    """
    broken, good = tmp_path / "broken", write_kokkos(tmp_path / "good")
    write_with_targets(broken, import_prefix="${_IMPORT_PREFIX}" if relative else str(broken))
    reason = f"Kokkos 4.6.1 names {broken}/lib/libkokkossimd.a, which does not exist"
    monkeypatch.setenv("CMAKE_PREFIX_PATH", f"{broken}:{tmp_path / 'good'}")
    result = find_kokkos.search_kokkos(BOTH)[0]
    assert result.reason == reason
    assert result.skipped == f"CMAKE_PREFIX_PATH={broken}: {reason}"
    kokkos = first_usable(BOTH)
    assert kokkos is not None
    assert kokkos.config == good
    monkeypatch.setenv("Kokkos_ROOT", str(broken))
    with pytest.raises(ToolchainError) as caught:
        first_usable(BOTH)
    assert str(caught.value).startswith(f"Kokkos_ROOT={broken}: {reason}; point it at")
    (broken / "lib" / "libkokkossimd.a").touch()
    kokkos = first_usable(BOTH)
    assert kokkos is not None
    assert kokkos.config.is_relative_to(broken)


def test_a_package_whose_options_change_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_with_targets(tmp_path, options="-fopenmp;-ffast-math")
    (tmp_path / "lib" / "libkokkossimd.a").touch()
    monkeypatch.setenv("CMAKE_PREFIX_PATH", str(tmp_path))
    reason = "Kokkos 4.6.1 adds the compiler option -ffast-math, which changes results"
    assert find_kokkos.search_kokkos(BOTH)[0].reason == reason


def test_openmp_needs_no_serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Kokkos of distributions may have OpenMP only."""
    folder = write_kokkos(tmp_path, devices="OPENMP")
    monkeypatch.setenv("CMAKE_PREFIX_PATH", str(tmp_path))
    kokkos = first_usable(frozenset({"OPENMP"}))
    assert kokkos is not None
    assert kokkos.config == folder
    results = find_kokkos.search_kokkos(frozenset({"SERIAL"}))
    assert results[0].reason == "Kokkos 4.6.1 has no SERIAL"


# ---- folders that cannot be read --------------------------------------------------------------


def test_symbolic_links_in_a_circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    write_kokkos(tmp_path / "good")
    monkeypatch.setenv("PATH", f"{circle}/bin:{tmp_path}/good/bin")
    kokkos = first_usable(BOTH)
    assert kokkos is not None
    assert kokkos.origin == f"PATH: {tmp_path}/good"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_folders_that_this_user_may_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The PATH may have a folder of root in a container that runs as another user."""
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name) / "closed"
        write_kokkos(closed / "kokkos")
        closed.chmod(0o700)
        closed.parent.chmod(0o755)
        monkeypatch.setenv("PATH", f"{closed}/kokkos/bin")
        monkeypatch.setenv("CMAKE_PREFIX_PATH", str(closed))
        os.seteuid(12345)
        try:
            first, second, *_ = find_kokkos.search_kokkos(BOTH)
            assert first.reason == second.reason == "no KokkosConfig.cmake"
            monkeypatch.setenv("Kokkos_ROOT", str(closed))
            with pytest.raises(ToolchainError, match=f"ROOT={closed}: Permission denied; point"):
                first_usable(BOTH)
        finally:
            os.seteuid(0)
