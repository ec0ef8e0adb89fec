"""Folders with odd names: used where every tool takes them, refused in one line where not."""

from __future__ import annotations

from pathlib import Path

import pykokkos as pk
import pytest

from kkspdnn.errors import CacheError, ToolchainError
from kkspdnn.pk.build import kokkos_cpu, runtime_library
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.nvcc import Nvcc
from kkspdnn.pk.build.runtime_library import toolkit
from kkspdnn.pk.build.toolchain import host_compiler
from kkspdnn.pk.system.instruction_sets import native
from kkspdnn.pk.system.paths import misread, short_name

MISREAD = [*'"$*,:;?[\\]`|', "\n", "\x1b", "\udcff"]
"""All of these failed in a compiler, CMake, Ninja or the dynamic linker."""


@pytest.mark.parametrize("character", MISREAD)
def test_a_cache_that_the_tools_would_misread(
    character: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KKSPDNN_CACHE", f"{tmp_path}/a{character}b")
    with pytest.raises(CacheError) as caught:
        default_cache()
    said = str(caught.value)
    assert said.isprintable()
    assert f"has {character!r} in it, which compilers and CMake cannot take; set KKSP" in said


def test_folders_that_every_tool_takes() -> None:
    for name in ("a b", "a'b", "a#b", "aünïb", "a%b", "a&b", "a(b)", "a{b}", "~b", "a=b", "a<b"):
        assert misread(Path("/tmp") / name) is None, name


def test_names_from_the_outermost_package_on(tmp_path: Path) -> None:
    folder = tmp_path / "outer" / "inner"
    folder.mkdir(parents=True)
    assert short_name(str(folder / "own.py")) == "own.py"
    (folder / "__init__.py").touch()
    assert short_name(str(folder / "own.py")) == "inner/own.py"
    (folder.parent / "__init__.py").touch()
    assert short_name(str(folder / "own.py")) == "outer/inner/own.py"
    assert short_name("own.py") == "own.py"


def test_workunits_are_compiled_in_a_folder_with_a_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Quotes and a hash too: the runtime library through CMake, a workunit without."""
    kit = toolkit(pk.Serial)
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "it's #1 ünï"))
    plan = next(runtime_library._openmp_plans())
    made = runtime_library._built(default_cache(), plan, kit.tools, native())
    assert made.library.is_file()
    assert " ünï" in str(made.library)


def test_nvcc_wrapper_takes_no_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host = host_compiler()
    # For which no other test asks, as a process finds its tools once.
    nvcc = Nvcc("nvcc", Path("/usr/local/cuda"), "release 13.0", ("sm_120",))
    monkeypatch.setattr(runtime_library, "find_nvcc", lambda: nvcc)
    monkeypatch.setattr(runtime_library, "nvcc_host", lambda _, host: host)
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "two words"))
    with pytest.raises(ToolchainError) as caught:
        toolkit(pk.Cuda, "sm_120")
    assert str(caught.value) == (
        f"the cache '{tmp_path}/two words' has ' ' in it, which compilers and CMake cannot take "
        "for a GPU; set KKSPDNN_CACHE to another folder"
    )
    assert not (tmp_path / "two words").exists()
    monkeypatch.setenv("KKSPDNN_CACHE", str(tmp_path / "words"))
    spaced = Nvcc("nvcc", Path("/my cuda"), "release 13.0", ("sm_90",))
    with pytest.raises(ToolchainError, match="toolkit '/my cuda' has ' ' .*; set CUDA_HOME to"):
        runtime_library._refuse_spaces(host, spaced, default_cache())


def test_a_temporary_folder_that_the_tools_would_misread(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, wrapper in (("a;b", False), ("a b", True)):
        place = tmp_path / name
        place.mkdir()
        monkeypatch.setattr(kokkos_cpu.tempfile, "tempdir", str(place))
        with (
            pytest.raises(ToolchainError, match="temporary folder .*; set TMPDIR to another"),
            kokkos_cpu.scratch_folder(wrapper),
        ):
            pass
        assert list(place.iterdir()) == []
    with kokkos_cpu.scratch_folder() as fine:
        assert fine.parent == tmp_path / "a b"


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kokkos_cpu.tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(ToolchainError, match="no folder for .*; set TMPDIR to"):
        kokkos_cpu.scratch_folder().__enter__()
