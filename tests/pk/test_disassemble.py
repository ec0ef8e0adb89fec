"""The machine code of a workunit's loop."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.disassemble import hot_function
from kkspdnn.pk.dispatch import generate
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime_library import toolkit

from . import kernels


def test_the_function_with_the_loop(space: ExecutionSpace) -> None:
    if shutil.which("objdump") is None:
        pytest.skip("no objdump on the PATH")
    library = toolkit(space).workunit(generate(kernels.running_sum, space))
    first, *code = hot_function(library, "running_sum").splitlines()
    assert first.endswith(">:")
    assert "running_sum_functor" in first or "kkspdnn_launch" in first
    assert len(code) > 10
    assert all(line.startswith(" ") and ":" in line for line in code)


def test_without_objdump(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match="no objdump on the PATH; install"):
        hot_function(tmp_path / "any.so", "any")


def test_what_is_no_library(tmp_path: Path) -> None:
    if shutil.which("objdump") is None:
        pytest.skip("no objdump on the PATH")
    text = tmp_path / "text.so"
    text.write_text("text")
    with pytest.raises(ToolchainError, match="disassembling"):
        hot_function(text, "any")
