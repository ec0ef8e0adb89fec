"""What `kkspdnn info` reports: every section, whichever checks fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kkspdnn.cli import findings as module
from kkspdnn.cli.findings import Finding, findings
from kkspdnn.device.cuda_versions import CudaVersions
from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.nvcc import Nvcc
from kkspdnn.pk.build.toolchain import Compiler
from kkspdnn.pk.system.cuda_driver import Device


def test_every_section_is_reported() -> None:
    reported = list(findings())
    sections = list(dict.fromkeys(finding.section for finding in reported))
    assert sections == ["machine", "compilers", "kokkos", "cache", "pykokkos", "spaces", "cuda"]
    spaces = {f.name: f for f in reported if f.section == "spaces"}
    assert spaces["serial"].ok
    assert spaces["openmp"].ok
    assert "agrees with the reference" in spaces["openmp"].text
    assert all("\n" not in finding.text for finding in reported)


def test_every_searched_folder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    monkeypatch.setattr(module, "_test_space", lambda space: Finding("spaces", space, "", True))
    folders = [finding.name for finding in findings() if finding.section == "kokkos"]
    assert folders[0] == f"Kokkos_ROOT={tmp_path}"
    assert "/usr" in " ".join(folders)


def test_a_kokkos_for_the_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("Kokkos_ROOT", str(tmp_path))
    monkeypatch.setattr(module, "_test_space", lambda space: Finding("spaces", space, "", True))
    monkeypatch.setattr(module, "devices", lambda: (Device(0, "A", "sm_90"),))
    reported = [finding.name for finding in findings() if finding.section == "cuda"]
    assert reported[:4] == ["driver", "device", "compiler", "CuPy"]
    assert f"Kokkos_ROOT={tmp_path}" in reported[4:6]
    assert reported[-1] == "cache"


@pytest.mark.parametrize("refused", [False, True])
def test_conflicting_versions_of_cuda(monkeypatch: pytest.MonkeyPatch, refused: bool) -> None:
    nvcc = Nvcc("/x/nvcc", Path("/x"), "release 13.0, V13.0.88", ("sm_75",))
    versions = CudaVersions((12, 4), (), ("cupy-cuda13x",), nvcc)
    host = Compiler("/usr/bin/g++-13", "g++ 13.3")

    def find_nvcc_host(*_: object) -> Compiler:
        if refused:
            raise ToolchainError("it refuses g++ 14")
        return host

    monkeypatch.setattr(module, "_test_space", lambda space: Finding("spaces", space, "", True))
    monkeypatch.setattr(module, "nvcc_path", lambda: nvcc.path)
    monkeypatch.setattr(module, "find_nvcc", lambda: nvcc)
    monkeypatch.setattr(module, "find_nvcc_host", find_nvcc_host)
    monkeypatch.setattr(
        module, "detect_versions", lambda reported: replace(versions, nvcc=reported)
    )
    reported = [finding for finding in findings() if finding.section == "cuda"][4:]
    assert [(each.name, each.ok) for each in reported] == [
        ("nvcc", not refused),
        ("version conflict", False),
        ("version conflict", False),
    ]
    assert ("g++ 14" if refused else "host compiler /usr/bin/g++-13: g++ 13.3") in reported[0].text
    assert reported[1].text.startswith("cupy-cuda13x needs a driver for CUDA 13")
    assert reported[2].text.startswith(
        "/x/nvcc is of CUDA 13.0, and the driver runs up to CUDA 12.4"
    )


def test_a_failing_space_is_reported_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ToolchainError("the compiler is on strike")

    monkeypatch.setattr(module, "infer", broken)
    spaces = [finding for finding in findings() if finding.section == "spaces"]
    assert [finding.ok for finding in spaces] == [False, False, False]
    assert all("on strike" in finding.text for finding in spaces)


def test_files_that_disappear_while_the_cache_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"four")
    # As if another process removed the file after the folder was listed.
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert list(module._sizes(tmp_path)) == [4]
    assert list(module._sizes(tmp_path / "nowhere")) == []
