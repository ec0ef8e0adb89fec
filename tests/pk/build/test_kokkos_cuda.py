"""Kokkos for GPUs: its patches, its options, and its key in the cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import find_runtime, kokkos_cuda
from kkspdnn.pk.build.kokkos_cuda import architecture_flag, key_content
from kkspdnn.pk.build.nvcc import Nvcc
from kkspdnn.pk.build.toolchain import Compiler

ABORT_CONDITION = "compiled_major != cudaProp.major"


def options(arch: str) -> str:
    return json.dumps(json.loads(key_content(arch)["options"]))


def test_ptx_may_run_on_a_device_of_another_major_version() -> None:
    """Kokkos is not patched for architectures that all versions of nvcc have machine code for."""
    assert options("sm_70") == options("sm_80") == options("sm_90")
    assert ABORT_CONDITION not in options("sm_90")
    assert options("sm_100") == options("sm_120")
    assert ABORT_CONDITION in options("sm_100")
    assert len({json.dumps(key_content(f"sm_{n}")) for n in (70, 80, 90, 100, 120)}) == 5


@pytest.mark.parametrize(
    ("arch", "target"), [("sm_70", "sm_70"), ("sm_90", "sm_90"), ("sm_120", "compute_90")]
)
def test_all_options_name_one_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arch: str, target: str
) -> None:
    """nvcc_wrapper refuses two different -arch options, of Kokkos and of the flags."""
    patches: list[tuple[str, str, str]] = []
    commands: list[str] = []

    def fetch_sources(folder: Path, requested: list[tuple[str, str, str]]) -> Path:
        patches.extend(requested)
        (folder / "cmake" / "Modules").mkdir(parents=True)
        return folder

    def run_tool(command: list[object], *_: object, **__: object) -> str:
        commands.extend(str(word) for word in command)
        return ""

    monkeypatch.setattr(kokkos_cuda, "fetch_sources", fetch_sources)
    monkeypatch.setattr(kokkos_cuda, "run_tool", run_tool)
    monkeypatch.setattr(kokkos_cuda, "install", lambda *_: None)
    monkeypatch.setattr(kokkos_cuda, "read_built", lambda *_: None)
    nvcc = Nvcc("nvcc", tmp_path, "release 12.4, V12.4.131", ("sm_70", "sm_90"))
    kokkos_cuda._Builder(Compiler("g++", "g++ 13"), nvcc, arch, ())(tmp_path)
    patched = {name: new for name, _, new in patches}
    assert patched["cmake/kokkos_arch.cmake"] == f"(AMPERE80  {target})"
    assert patched["bin/nvcc_wrapper"] == f'default_arch="{target}"'
    flags = f"-DCMAKE_CXX_FLAGS=-fno-gnu-unique -arch={target}"
    assert flags in commands
    assert flags.endswith(architecture_flag(target))
    assert not any("{arch}" in new for new in patched.values())


def test_ptx_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Before anything is built: here the path of the cache is refused after the warning."""
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "two words"))
    nvcc = Nvcc("/x/nvcc", tmp_path, "release 12.4, V12.4.131", ("sm_70", "sm_90"))
    monkeypatch.setattr(find_runtime, "find_nvcc", lambda: nvcc)
    monkeypatch.setattr(find_runtime, "find_nvcc_host", lambda _, host: host)
    find = find_runtime._find_for_gpu.__wrapped__
    for arch, warnings in (("sm_90", []), ("sm_120", ["compiling to PTX (compute_90)"])):
        caplog.clear()
        with pytest.raises(ToolchainError, match="set KKSPDNN_CACHE"):
            find(arch, exact=True)
        assert [text for text in warnings if text in caplog.text] == warnings
        assert len(caplog.records) == len(warnings)
