"""What a Kokkos for a GPU is built from, and what its place in the cache depends on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import kokkos_cuda, runtime_library
from kkspdnn.pk.build.kokkos_cuda import architecture_flag, content
from kkspdnn.pk.build.nvcc import Nvcc
from kkspdnn.pk.build.toolchain import Compiler

ABORTS = "compiled_major != cudaProp.major"


def options(arch: str) -> str:
    return json.dumps(json.loads(content(arch)["options"]))


def test_ptx_may_run_on_a_device_of_another_major_version() -> None:
    """Where every nvcc has machine code, nothing of Kokkos is changed for it."""
    assert options("sm_70") == options("sm_80") == options("sm_90")
    assert ABORTS not in options("sm_90")
    assert options("sm_100") == options("sm_120")
    assert ABORTS in options("sm_100")
    assert len({json.dumps(content(f"sm_{n}")) for n in (70, 80, 90, 100, 120)}) == 5


@pytest.mark.parametrize(
    ("arch", "target"), [("sm_70", "sm_70"), ("sm_90", "sm_90"), ("sm_120", "compute_90")]
)
def test_one_architecture_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arch: str, target: str
) -> None:
    """nvcc_wrapper refuses two that differ, Kokkos' own and that of the flags."""
    changes: list[tuple[str, str, str]] = []
    commands: list[str] = []

    def sources(folder: Path, wanted: list[tuple[str, str, str]]) -> Path:
        changes.extend(wanted)
        (folder / "cmake" / "Modules").mkdir(parents=True)
        return folder

    def run(command: list[object], *_: object, **__: object) -> str:
        commands.extend(str(word) for word in command)
        return ""

    monkeypatch.setattr(kokkos_cuda, "fetch_sources", sources)
    monkeypatch.setattr(kokkos_cuda, "run_tool", run)
    monkeypatch.setattr(kokkos_cuda, "install", lambda *_: None)
    monkeypatch.setattr(kokkos_cuda, "built", lambda *_: None)
    nvcc = Nvcc("nvcc", tmp_path, "release 12.4, V12.4.131", ("sm_70", "sm_90"))
    kokkos_cuda._Builder(Compiler("g++", "g++ 13"), nvcc, arch, ())(tmp_path)
    written = {name: new for name, _, new in changes}
    assert written["cmake/kokkos_arch.cmake"] == f"(AMPERE80  {target})"
    assert written["bin/nvcc_wrapper"] == f'default_arch="{target}"'
    flags = f"-DCMAKE_CXX_FLAGS=-fno-gnu-unique -arch={target}"
    assert flags in commands
    assert flags.endswith(architecture_flag(target))
    assert not any("{arch}" in new for new in written.values())


def test_ptx_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Before anything is built; here the cache's name is refused next."""
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "two words"))
    nvcc = Nvcc("/x/nvcc", tmp_path, "release 12.4, V12.4.131", ("sm_70", "sm_90"))
    monkeypatch.setattr(runtime_library, "find_nvcc", lambda: nvcc)
    monkeypatch.setattr(runtime_library, "find_nvcc_host", lambda _, host: host)
    find = runtime_library._gpu_toolkit.__wrapped__
    for arch, said in (("sm_90", []), ("sm_120", ["compiling to PTX (compute_90)"])):
        caplog.clear()
        with pytest.raises(ToolchainError, match="set KKSPDNN_CACHE"):
            find(arch, exactly=True)
        assert [text for text in said if text in caplog.text] == said
        assert len(caplog.records) == len(said)
