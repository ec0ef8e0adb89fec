"""Finding Kokkos: what is passed over, and the one line that says why not."""

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
    looked = find_kokkos.candidates(needed, arch)
    return next((each.kokkos for each in find_kokkos.usable(looked)), None)


@pytest.fixture(autouse=True)
def nothing_of_the_user_s(no_kokkos_of_the_user: None, monkeypatch: pytest.MonkeyPatch) -> None:
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
    found = first_usable(BOTH)
    assert found is not None
    assert (found.config, found.version, found.devices) == (folder, "4.6.1", BOTH)
    assert found.origin.startswith(f"{variable}={tmp_path}")


def test_a_kokkos_beside_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake(tmp_path)
    monkeypatch.setenv("PATH", f"/nowhere:{tmp_path}/bin")
    found = first_usable(BOTH)
    assert found is not None
    assert found.config == folder


def test_a_place_without_kokkos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    fake(tmp_path, version)
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    with pytest.raises(ToolchainError, match=rf"Kokkos {version or 'unknown'} is older than 3\.4"):
        first_usable(BOTH)


@pytest.mark.parametrize("version", ["3.4.01", "3.7.2", "4.6.2", "5.0.0"])
def test_versions_that_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    fake(tmp_path, version)
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    found = first_usable(BOTH)
    assert found is not None
    assert found.version == version


def test_a_kokkos_without_its_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fake(tmp_path)
    (folder / "KokkosConfigCommon.cmake").unlink()
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    with pytest.raises(ToolchainError, match=r"KokkosConfigCommon\.cmake: No such file"):
        first_usable(BOTH)


def test_what_is_passed_over_is_listed_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "serial", devices="SERIAL")
    fake(tmp_path / "gpu", devices="CUDA;OPENMP;SERIAL")
    good = fake(tmp_path / "good")
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path / "serial"))
    places = [tmp_path / "gpu", tmp_path / "empty", tmp_path / "good", tmp_path / "good"]
    monkeypatch.setenv("CMAKE_PREFIX_PATH", ":".join(map(str, places)))
    reasons = [c.reason for c in find_kokkos.candidates(BOTH)]
    assert reasons[:4] == [
        "Kokkos 4.6.1 has no OPENMP",
        "Kokkos 4.6.1 with CUDA needs its compiler",
        "no KokkosConfig.cmake",
        "Kokkos 4.6.1",
    ]
    found = first_usable(BOTH)
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
    found = find_kokkos.candidates(frozenset({"CUDA", "SERIAL"}), "sm_90")
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
    chosen = first_usable(frozenset({"CUDA", "SERIAL"}), "sm_90")
    assert chosen is not None
    assert chosen.wrapper == tmp_path / "good" / "bin" / "nvcc_wrapper"
    assert chosen.arch == "sm_90"


def test_the_stamp_follows_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fake(tmp_path)
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
  INTERFACE_COMPILE_OPTIONS "\\$<\\$<COMPILE_LANGUAGE:CXX>:GIVEN>"
)
"""
FILES = """
list(APPEND _cmake_import_check_files_for_Kokkos::kokkossimd "PREFIX/lib/libkokkossimd.a" )
"""


def with_targets(prefix: Path, options: str = "-fopenmp", named: str = "${_IMPORT_PREFIX}") -> Path:
    folder = fake(prefix)
    (folder / "KokkosTargets.cmake").write_text(TARGETS.replace("GIVEN", options))
    (folder / "KokkosTargets-none.cmake").write_text(FILES.replace("PREFIX", named))
    return folder


@pytest.mark.parametrize("relative", [True, False])
def test_a_package_that_names_a_file_which_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: bool
) -> None:
    """As of a distribution that packages the static libraries apart: passed over where it was only
    found, an error where it was named."""
    broken, good = tmp_path / "broken", fake(tmp_path / "good")
    with_targets(broken, named="${_IMPORT_PREFIX}" if relative else str(broken))
    reason = f"Kokkos 4.6.1 names {broken}/lib/libkokkossimd.a, which is not there"
    monkeypatch.setenv("CMAKE_PREFIX_PATH", f"{broken}:{tmp_path / 'good'}")
    looked = find_kokkos.candidates(BOTH)
    assert looked[0].reason == reason
    assert looked[0].passed_over == f"CMAKE_PREFIX_PATH={broken}: {reason}"
    found = first_usable(BOTH)
    assert found is not None
    assert found.config == good
    monkeypatch.setenv("Kokkos_ROOT", str(broken))
    with pytest.raises(ToolchainError) as caught:
        first_usable(BOTH)
    assert str(caught.value).startswith(f"Kokkos_ROOT={broken}: {reason}; point it at")
    (broken / "lib" / "libkokkossimd.a").touch()
    found = first_usable(BOTH)
    assert found is not None
    assert found.config.is_relative_to(broken)


def test_a_package_whose_options_change_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_targets(tmp_path, options="-fopenmp;-ffast-math")
    (tmp_path / "lib" / "libkokkossimd.a").touch()
    monkeypatch.setenv("CMAKE_PREFIX_PATH", str(tmp_path))
    said = "Kokkos 4.6.1 has its users compile with -ffast-math, which changes results"
    assert find_kokkos.candidates(BOTH)[0].reason == said


def test_openmp_needs_no_serial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As distributions package Kokkos."""
    folder = fake(tmp_path, devices="OPENMP")
    monkeypatch.setenv("CMAKE_PREFIX_PATH", str(tmp_path))
    found = first_usable(frozenset({"OPENMP"}))
    assert found is not None
    assert found.config == folder
    assert find_kokkos.candidates(frozenset({"SERIAL"}))[0].reason == "Kokkos 4.6.1 has no SERIAL"


# ---- places that cannot be looked at ----------------------------------------------------------


def test_symbolic_links_in_a_circle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    fake(tmp_path / "good")
    monkeypatch.setenv("PATH", f"{circle}/bin:{tmp_path}/good/bin")
    found = first_usable(BOTH)
    assert found is not None
    assert found.origin == f"PATH: {tmp_path}/good"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_folders_that_this_user_may_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with a folder of root's, as in a container that runs as another user."""
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name) / "closed"
        fake(closed / "kokkos")
        closed.chmod(0o700)
        closed.parent.chmod(0o755)
        monkeypatch.setenv("PATH", f"{closed}/kokkos/bin")
        monkeypatch.setenv("CMAKE_PREFIX_PATH", str(closed))
        os.seteuid(12345)
        try:
            first, second, *_ = find_kokkos.candidates(BOTH)
            assert first.reason == second.reason == "no KokkosConfig.cmake"
            monkeypatch.setenv("Kokkos_ROOT", str(closed))
            with pytest.raises(ToolchainError, match=f"ROOT={closed}: Permission denied; point"):
                first_usable(BOTH)
        finally:
            os.seteuid(0)
