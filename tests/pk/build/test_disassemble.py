"""The disassembly of a workunit's loop, and the disassemblers for GPUs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import kernels
import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.disassemble import CudaDisassembler, cuda_disassembler, hot_function
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.compiler import generate
from kkspdnn.pk.policy import ExecutionSpace


def test_the_function_with_the_loop(space: ExecutionSpace) -> None:
    if shutil.which("objdump") is None:
        pytest.skip("no objdump on the PATH")
    library = find_runtime_library(space).compile_workunit(generate(kernels.running_sum, space))
    first, *code = hot_function(library, "running_sum").splitlines()
    assert first.endswith(">:")
    assert "running_sum_functor" in first or "kkspdnn_launch" in first
    assert len(code) > 10
    assert all(line.startswith(" ") and ":" in line for line in code)


def test_without_objdump(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match="no objdump on the PATH; install"):
        hot_function(tmp_path / "any.so", "any")


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    if shutil.which("objdump") is None:
        pytest.skip("no objdump on the PATH")
    text = tmp_path / "text.so"
    text.write_text("text")
    with pytest.raises(ToolchainError, match="disassembling"):
        hot_function(text, "any")


def write_tool(folder: Path, name: str, text: str = "echo $PATH $1 $2") -> str:
    """Write a shell script, by default one that prints its PATH and two arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without CUDA: the returned folder is empty, and is PATH and sys.path."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        monkeypatch.delenv(variable, raising=False)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    monkeypatch.setattr(sys, "path", [str(empty)])
    return empty


def test_the_tools_of_cuda(no_cuda: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Packages of two versions, the PATH, and before them the user's CUDA toolkit."""
    package = no_cuda / "nvidia"
    old = [write_tool(package / "cu12" / "bin", name) for name in ("cuobjdump", "nvdisasm")]
    assert cuda_disassembler() == CudaDisassembler(*old)
    new = write_tool(package / "cu13" / "bin", "nvdisasm")
    assert cuda_disassembler() == CudaDisassembler(old[0], new)
    on_path = write_tool(no_cuda, "cuobjdump")
    assert cuda_disassembler() == CudaDisassembler(on_path, new)
    monkeypatch.setenv("CUDA_HOME", str(tmp_path / "cuda"))
    own = write_tool(tmp_path / "cuda" / "bin", "cuobjdump")
    assert cuda_disassembler() == CudaDisassembler(own, new)


def test_the_tools_beside_an_nvcc_that_is_a_link(no_cuda: Path, tmp_path: Path) -> None:
    """The output of `nvcc --dryrun` names the folder of its toolkit."""
    home = tmp_path / "cuda"
    script = (
        f"case $1 in --version) echo release 13.0;; --dryrun) echo '#$ TOP={home}';; *) echo;; esac"
    )
    (no_cuda / "nvcc").symlink_to(write_tool(home / "bin", "nvcc", script))
    expected = [write_tool(home / "bin", name) for name in ("cuobjdump", "nvdisasm")]
    assert cuda_disassembler() == CudaDisassembler(*expected)


@pytest.mark.parametrize("missing", ["cuobjdump", "nvdisasm"])
def test_without_a_tool_of_cuda(no_cuda: Path, missing: str) -> None:
    (other,) = {"cuobjdump", "nvdisasm"} - {missing}
    write_tool(no_cuda, other)
    with pytest.raises(
        ToolchainError, match=f"no {missing}: run pip install nvidia-cuda-{missing}"
    ):
        cuda_disassembler()


def test_cuobjdump_finds_nvdisasm(tmp_path: Path) -> None:
    tools = CudaDisassembler(
        write_tool(tmp_path / "a", "cuobjdump"), write_tool(tmp_path / "b", "nvdisasm")
    )
    path, *arguments = tools.machine_code(tmp_path / "x.cubin").split()
    assert path.startswith(f"{tmp_path / 'b'}:")
    assert arguments == ["-sass", str(tmp_path / "x.cubin")]
    assert tools.resource_usage(tmp_path / "x.cubin").split()[1] == "-res-usage"
    assert tools.version == "cuobjdump unknown, nvdisasm unknown"


def test_a_file_without_gpu_code(tmp_path: Path) -> None:
    try:
        tools = cuda_disassembler()
    except ToolchainError as error:
        pytest.skip(str(error))
    assert "V" in tools.version
    text = tmp_path / "text.so"
    text.write_text("text")
    with pytest.raises(ToolchainError, match=f"disassembling {text} failed"):
        tools.machine_code(text)
