"""Compiled workunits of the real PyKokkos: in the cache, compiled once, and nothing left behind."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest
from fakes import FAKE, environment

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.codegen.pykokkos_source import PyKokkosSource
from kkspdnn.pk.installed import compiled_modules as modules_file
from kkspdnn.pk.installed.compiled_modules import PyKokkosModules, load_wrapper
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.signature import Signature

SIGNATURE = Signature("for", False, ("i",), None, None, None, ())


def source(body: str) -> PyKokkosSource:
    """Return a workunit's source with this body."""
    text = f"import pykokkos as pk\n\n\ndef scale_1(i: int):\n    {body}\n"
    return PyKokkosSource("scale", "scale_1", text, SIGNATURE, frozenset())


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PyKokkosModules:
    """PyKokkos is the stand-in, in the processes that compile only."""
    variables = environment(tmp_path)
    for name in ("PATH", "PK_KOKKOS_LIB_PATH"):
        monkeypatch.setenv(name, variables[name])
    monkeypatch.setattr(sys, "path", [*variables["PYTHONPATH"].split(":"), *sys.path])
    monkeypatch.setattr(modules_file, "_digest_of_translator", lambda: "digest")
    space = ExecutionSpace.OpenMP
    return PyKokkosModules(Cache(tmp_path / "cache"), space, FAKE / "lib", FAKE / "include")


def test_a_workunit_is_compiled_once(modules: PyKokkosModules) -> None:
    first = source("pass")
    assert modules.find(first) is None
    path = modules.compile(first)
    assert path.name == "kernel" + sysconfig.get_config_var("EXT_SUFFIX")
    assert modules.find(first) == path
    before = path.stat().st_mtime_ns
    assert modules.compile(first) == path
    assert path.stat().st_mtime_ns == before
    entry = path.parents[1]
    assert entry.parent == modules.cache.root / "pykokkos"
    names = {str(each.relative_to(entry)) for each in entry.rglob("*") if each.is_file()}
    assert names == {"workunit.py", "OpenMP/bindings.cpp", f"OpenMP/{path.name}", "manifest.json"}
    assert (entry / "workunit.py").read_text() == first.text


def test_another_source_space_or_kokkos_is_compiled_again(
    modules: PyKokkosModules, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = modules.compile(source("pass"))
    assert modules.find(source("return")) is None
    libraries = tmp_path / "lib"
    for other in (
        PyKokkosModules(modules.cache, ExecutionSpace.Serial, modules.libraries, modules.headers),
        PyKokkosModules(modules.cache, modules.space, libraries, modules.headers),
    ):
        assert other.find(source("pass")) is None
    monkeypatch.setenv("PK_KOKKOS_INTERFACE", "3.4")
    again = PyKokkosModules(modules.cache, modules.space, modules.libraries, modules.headers)
    assert again.find(source("pass")) is None
    assert first.is_file()


def test_a_failed_compile_leaves_nothing(modules: PyKokkosModules) -> None:
    for _ in range(2):
        with pytest.raises(
            ToolchainError, match=r"compiling workunit scale with PyKokkos failed: Py.*Translation"
        ):
            modules.compile(source("factor = 1"))
        assert [each.suffix for each in (modules.cache.root / "pykokkos").iterdir()] == [".lock"]
    with pytest.raises(ToolchainError, match="PyKokkos did not compile workunit scale"):
        modules.compile(source("nothing = 1"))


def test_a_module_that_cannot_be_loaded(modules: PyKokkosModules) -> None:
    path = modules.compile(source("pass"))
    with pytest.raises(ToolchainError, match=r"cannot load .*kernel"):
        load_wrapper(path, "scale_1")


def test_the_version_of_kokkos(modules: PyKokkosModules, tmp_path: Path) -> None:
    assert modules.kokkos_version == "4.6.01"
    other = PyKokkosModules(modules.cache, modules.space, modules.libraries, tmp_path)
    with pytest.raises(ToolchainError, match="cannot read .*KokkosCore_config.h; set PK_KOKKOS"):
        other.compile(source("pass"))
    (tmp_path / "KokkosCore_config.h").write_text("// nothing\n")
    other = PyKokkosModules(modules.cache, modules.space, modules.libraries, tmp_path)
    assert other.kokkos_version == "unknown"
