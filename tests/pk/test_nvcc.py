"""Where nvcc is looked for, and what it says of itself."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.nvcc import find_nvcc, nvcc_path
from kkspdnn.pk.toolchain import host_compiler


def fake(home: Path, version: str = "release 13.0, V13.0.88") -> Path:
    """A script that answers as nvcc does."""
    path = home / "bin" / "nvcc"
    path.parent.mkdir(parents=True)
    path.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        f'--version) echo "Cuda compilation tools, {version}";;\n'
        f"--dryrun) echo '#$ _SPACE_= '; echo '#$ TOP={home}/bin/..';;\n"
        "--list-gpu-code) echo sm_80; echo sm_90;;\n"
        "esac\n"
    )
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "path", [])


def test_the_order_of_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if nvcc_path() is not None:
        pytest.skip("nvcc is in /usr/bin")
    packaged = fake(tmp_path / "site" / "nvidia" / "cu13")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "site")])
    assert nvcc_path() == str(packaged)
    on_path = fake(tmp_path / "path")
    monkeypatch.setenv("PATH", f"{on_path.parent}:/usr/bin:/bin")
    assert nvcc_path() == str(on_path)
    named = fake(tmp_path / "home")
    monkeypatch.setenv("CUDA_PATH", str(tmp_path / "home"))
    assert nvcc_path() == str(named)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "nothing"))
    assert nvcc_path() == str(named)


def test_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(tmp_path / "cuda")
    link = tmp_path / "link" / "bin" / "nvcc"
    link.parent.mkdir(parents=True)
    link.symlink_to(path)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "link"))
    found = find_nvcc()
    assert (found.path, found.home) == (str(link), tmp_path / "cuda")
    assert found.version == "release 13.0, V13.0.88"
    assert found.check("sm_90") == "sm_90"
    with pytest.raises(ToolchainError, match="does not compile for sm_70, only for sm_80, sm_90;"):
        found.check("sm_70")
    environment = found.environment(host_compiler())
    assert environment["CUDA_ROOT"] == str(tmp_path / "cuda")
    assert environment["PATH"].startswith(f"{tmp_path}/cuda/bin:")


def test_none_or_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if nvcc_path() is None:
        with pytest.raises(ToolchainError, match=r"no nvcc: put nvcc on the PATH, set CUDA_HOME"):
            find_nvcc()
    fake(tmp_path / "odd", version="something")
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "odd"))
    with pytest.raises(ToolchainError, match="is no nvcc that tells its version and toolkit"):
        find_nvcc()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_folders_that_this_user_may_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as name:
        closed = Path(name) / "closed"
        path = fake(closed / "nvidia" / "cu13")
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


def test_variables_of_nvcc_s_own_do_not_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake(tmp_path)
    text = path.read_text().replace('case "$1"', '[ -z "$NVCC_APPEND_FLAGS" ] || exit 1\ncase "$1"')
    path.write_text(text)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setenv("NVCC_APPEND_FLAGS", "--use_fast_math")
    assert find_nvcc().path == str(path)
