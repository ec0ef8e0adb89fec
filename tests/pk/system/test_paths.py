"""Paths with special characters: used if all tools support them, else refused in one line."""

from __future__ import annotations

from pathlib import Path

import pykokkos as pk
import pytest

from kkspdnn.errors import CacheError, ToolchainError
from kkspdnn.pk.build import find_runtime, kokkos_cpu
from kkspdnn.pk.build.build_runtime import build_runtime
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.nvcc import Nvcc
from kkspdnn.pk.build.toolchain import host_compiler
from kkspdnn.pk.system.instruction_sets import native_processor
from kkspdnn.pk.system.paths import package_path, unsupported_path

UNSUPPORTED = [*'"$*,:;?[\\]`|', "\n", "\x1b", "\udcff"]
"""Each of these characters failed in a compiler, CMake, Ninja or the dynamic linker."""


@pytest.mark.parametrize("character", UNSUPPORTED)
def test_a_cache_path_that_the_tools_do_not_support(
    character: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KKSPDNN_CACHE", f"{tmp_path}/a{character}b")
    with pytest.raises(CacheError) as caught:
        default_cache()
    message = str(caught.value)
    assert message.isprintable()
    assert f"contains {character!r}, which compilers and CMake do not support; set KK" in message


def test_names_that_all_tools_support() -> None:
    for name in ("a b", "a'b", "a#b", "aünïb", "a%b", "a&b", "a(b)", "a{b}", "~b", "a=b", "a<b"):
        assert unsupported_path(Path("/tmp") / name) is None, name


def test_the_path_from_the_outermost_package_on(tmp_path: Path) -> None:
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    assert package_path(str(folder / "own.py")) == "own.py"
    (folder / "__init__.py").touch()
    assert package_path(str(folder / "own.py")) == "inner/own.py"
    (folder.parent / "__init__.py").touch()
    assert package_path(str(folder / "own.py")) == "outer/inner/own.py"
    assert package_path("own.py") == "own.py"


@pytest.mark.slow
def test_workunits_are_compiled_in_a_folder_with_a_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Quotes and a hash too; the runtime library is built with CMake, a workunit without."""
    tools = find_runtime_library(pk.Serial).tools
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "it's #1 ünï"))
    spec = next(find_runtime._openmp_specs())
    library = build_runtime(default_cache(), spec, tools, native_processor())
    assert library.path.is_file()
    assert " ünï" in str(library.path)


def test_nvcc_wrapper_does_not_support_spaces(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host = host_compiler()
    # An architecture that no other test uses, as a process searches for its tools once.
    nvcc = Nvcc("nvcc", Path("/usr/local/cuda"), "release 13.0", ("sm_120",))
    monkeypatch.setattr(find_runtime, "find_nvcc", lambda: nvcc)
    monkeypatch.setattr(find_runtime, "find_nvcc_host", lambda _, host: host)
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "two words"))
    with pytest.raises(ToolchainError) as caught:
        find_runtime_library(pk.Cuda, "sm_120")
    assert str(caught.value) == (
        f"the cache '{tmp_path}/two words' contains ' ', which compilers and CMake do not "
        "support for a GPU; set KKSPDNN_CACHE to another folder"
    )
    assert not (tmp_path / "two words").exists()
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "words"))
    spaced = Nvcc("nvcc", Path("/my cuda"), "release 13.0", ("sm_90",))
    with pytest.raises(
        ToolchainError, match="toolkit '/my cuda' contains ' ', .*; set CUDA_HOME to"
    ):
        find_runtime._check_gpu_paths(host, spaced, default_cache())


def test_a_temporary_folder_that_the_tools_do_not_support(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, wrapper in (("a;b", False), ("a b", True)):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setattr(kokkos_cpu.tempfile, "tempdir", str(folder))
        with (
            pytest.raises(ToolchainError, match="temporary folder .*; set TMPDIR to another"),
            kokkos_cpu.scratch_folder(wrapper),
        ):
            pass
        assert list(folder.iterdir()) == []
    with kokkos_cpu.scratch_folder() as fine:
        assert fine.parent == tmp_path / "a b"


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kokkos_cpu.tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ToolchainError, match="no folder for .*; set TMPDIR to"):
        kokkos_cpu.scratch_folder().__enter__()
