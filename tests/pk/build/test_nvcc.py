"""Finding nvcc, its version and its architectures."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from fake_nvcc import write_fake_nvcc

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import nvcc as nvcc_module
from kkspdnn.pk.build.nvcc import Nvcc, find_nvcc, nvcc_path
from kkspdnn.pk.build.toolchain import host_compiler
from kkspdnn.pk.system.cuda_driver import Device


@pytest.fixture(autouse=True)
def no_nvcc(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "path", [])


def test_the_order_of_the_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if nvcc_path() is not None:
        pytest.skip("nvcc is in /usr/bin")
    packaged = write_fake_nvcc(tmp_path / "site" / "nvidia" / "cu13")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "site")])
    assert nvcc_path() == str(packaged)
    on_path = write_fake_nvcc(tmp_path / "path")
    monkeypatch.setenv("PATH", f"{on_path.parent}:/usr/bin:/bin")
    assert nvcc_path() == str(on_path)
    named = write_fake_nvcc(tmp_path / "home")
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "home"))
    assert nvcc_path() == str(named)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "nothing"))
    assert nvcc_path() == str(named)


def test_version_toolkit_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_fake_nvcc(tmp_path / "cuda")
    link = tmp_path / "link" / "bin" / "nvcc"
    link.parent.mkdir(parents=True)
    link.symlink_to(path)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "link"))
    nvcc = find_nvcc()
    assert (nvcc.path, nvcc.home) == (str(link), tmp_path / "cuda")
    assert nvcc.version == "release 13.0, V13.0.88"
    assert nvcc.check_arch("sm_90") == "sm_90"
    assert nvcc.cuda == (13, 0)
    environment = nvcc.environment(host_compiler())
    assert environment["CUDA_ROOT"] == str(tmp_path / "cuda")
    assert environment["PATH"].startswith(f"{tmp_path}/cuda/bin:")


def test_a_toolkit_whose_nvcc_names_only_its_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Debian: nvcc is a script in /usr/bin, and --dryrun prints no TOP."""
    path = write_fake_nvcc(tmp_path / "cuda", "release 12.4, V12.4.131")
    script = path.read_text()
    path.write_text(
        script.replace("TOP=", "_THERE_=/x'; echo '#$ _HERE_=").replace("bin/..", "bin")
    )
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    assert (find_nvcc().home, find_nvcc().cuda) == (tmp_path / "cuda", (12, 4))


TOOLKITS = {
    "release 12.4, V12.4.131": ("sm_50", "sm_70", "sm_80", "sm_90"),
    "release 12.8, V12.8.93": ("sm_70", "sm_90", "sm_90a", "sm_100", "sm_120a", "sm_120"),
    "release 13.0, V13.0.88": ("sm_75", "sm_80", "sm_90", "sm_110", "sm_103", "sm_121"),
}


@pytest.mark.parametrize(
    ("toolkit", "arch", "target"),
    [
        ("12.4", "sm_70", "sm_70"),
        ("12.4", "sm_90", "sm_90"),
        ("12.4", "sm_75", "compute_70"),
        ("12.4", "sm_120", "compute_90"),
        ("12.8", "sm_103", "compute_100"),
        ("12.8", "sm_121", "compute_120"),
        ("13.0", "sm_75", "sm_75"),
        ("13.0", "sm_120", "compute_110"),
    ],
)
def test_newer_architectures_through_ptx(toolkit: str, arch: str, target: str) -> None:
    nvcc = nvcc_of(toolkit)
    assert nvcc.target(arch) == target
    assert nvcc.compiles_for(arch)
    if target != arch:
        with pytest.raises(ToolchainError, match=f"does not compile for {arch}, only for sm_"):
            nvcc.check_arch(arch)


@pytest.mark.parametrize(
    ("toolkit", "arch", "words"),
    [
        ("13.0", "sm_70", "does not compile for sm_70, only for sm_75, .* CUDA_HOME to CUDA 12"),
        ("13.0", "sm_35", "does not compile for sm_35, only for sm_75, .* to another CUDA"),
        ("12.4", "sm_37", "does not compile for sm_37, only for sm_50, "),
        ("12.4", "sm_90a", "does not compile for sm_90a, "),
        ("12.4", "compute_90", "does not compile for compute_90, "),
        ("12.4", "90", "does not compile for 90, "),
        ("12.4", "sm_", "does not compile for sm_, "),
        ("12.4", "sm_99999", "does not compile for sm_99999, "),
        ("12.4", "sm_90 -Xcompiler", "does not compile for sm_90 -Xcompiler, "),
    ],
)
def test_architectures_that_are_dropped_or_invalid(toolkit: str, arch: str, words: str) -> None:
    with pytest.raises(ToolchainError, match=words) as caught:
        nvcc_of(toolkit).target(arch)
    assert "\n" not in str(caught.value)
    assert not nvcc_of(toolkit).compiles_for(arch)


def nvcc_of(toolkit: str) -> Nvcc:
    """The nvcc of a CUDA toolkit in TOOLKITS, such as 12.4."""
    version = next(each for each in TOOLKITS if toolkit in each)
    return Nvcc("/x/bin/nvcc", Path("/x"), version, TOOLKITS[version])


@pytest.mark.parametrize(
    ("toolkit", "driver", "fits"),
    [
        ("13.0", (12, 9), False),
        ("12.4", (11, 8), False),
        ("12.8", (12, 2), True),
        ("12.4", (13, 1), True),
        ("13.0", (13, 0), True),
        ("13.0", None, True),
    ],
)
def test_drivers_that_run_the_programs_of_an_nvcc(
    toolkit: str, driver: tuple[int, int] | None, fits: bool
) -> None:
    conflict = nvcc_of(toolkit).driver_conflict(driver)
    if fits:
        assert conflict is None
    else:
        assert driver is not None
        assert conflict == (
            f"/x/bin/nvcc is of CUDA {toolkit}, and the driver runs up to CUDA {driver[0]}."
            f"{driver[1]}: set CUDA_HOME to a toolkit of CUDA {driver[0]}, or update the driver"
        )


@pytest.mark.parametrize(
    ("driver", "arch", "words"),
    [
        (None, None, 'run pip install ".[cuda]" in a clone of kkspdnn'),
        ((13, 0), "sm_90", 'run pip install ".[cuda]" in a clone of kkspdnn'),
        ((12, 2), "sm_90", "put the nvcc of CUDA 12 on the PATH"),
        ((13, 0), "sm_70", "put the nvcc of CUDA 12 on the PATH"),
    ],
)
def test_the_hint_for_an_install(
    monkeypatch: pytest.MonkeyPatch,
    driver: tuple[int, int] | None,
    arch: str | None,
    words: str,
) -> None:
    devices = () if arch is None else (Device(0, "A", arch),)
    monkeypatch.setattr(nvcc_module, "driver_version", lambda: driver)
    monkeypatch.setattr(nvcc_module, "devices", lambda: devices)
    assert words in nvcc_module.install_hint()


def test_no_nvcc_or_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if nvcc_path() is None:
        with pytest.raises(ToolchainError, match=r"no nvcc: put nvcc on the PATH, set CUDA_HOME"):
            find_nvcc()
    write_fake_nvcc(tmp_path / "other", version="something")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "other"))
    with pytest.raises(ToolchainError, match="does not print the version and the toolkit of nvcc"):
        find_nvcc()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_folders_that_this_user_may_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name) / "closed"
        path = write_fake_nvcc(closed / "nvidia" / "cu13")
        Path(name).chmod(0o755)
        closed.chmod(0o700)
        monkeypatch.setenv("PATH", str(path.parent))
        monkeypatch.setenv("CUDA_HOME", str(path.parents[1]))
        monkeypatch.setattr(sys, "path", [str(closed)])
        os.seteuid(12345)
        try:
            assert nvcc_path() is None
        finally:
            os.seteuid(0)


def test_nvcc_does_not_inherit_its_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_fake_nvcc(tmp_path)
    text = path.read_text().replace('case "$1"', '[ -z "$NVCC_APPEND_FLAGS" ] || exit 1\ncase "$1"')
    path.write_text(text)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("NVCC_APPEND_FLAGS", "--use_fast_math")
    assert find_nvcc().path == str(path)
