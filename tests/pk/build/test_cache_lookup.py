"""Cache entries that a machine can use, by content, processor, compiler and C library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import cache_lookup
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.cache_lookup import CacheQuery, find_entry, find_or_build
from kkspdnn.pk.build.toolchain import Compiler
from kkspdnn.pk.system import instruction_sets
from kkspdnn.pk.system.instruction_sets import LEVELS, Processor

CONTENT = {"source": "int x;"}
HERE = {"compiler": "g++ 12", "libc": "glibc 2.36"}
THERE = {"compiler": "g++ 14", "libc": "glibc 2.36"}
NATIVE = Processor("native", "x86_64", LEVELS["x86-64-v3"] | {"sse4a"})
SMALLER = Processor("native", "x86_64", LEVELS["x86-64-v3"])
LARGER = Processor("native", "x86_64", NATIVE.instruction_sets | {"avx512f"})
V2, V3, V4 = (
    Processor(level, "x86_64", LEVELS[level]) for level in ("x86-64-v2", "x86-64-v3", "x86-64-v4")
)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine: NATIVE, with the C library of HERE."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(instruction_sets, "cpu_features", lambda: NATIVE.instruction_sets)
    monkeypatch.setattr(cache_lookup, "libc_version", lambda: "glibc 2.36")


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def add_entry(store: Cache, *sections: Mapping[str, str]) -> Path:
    """Add an entry whose key has the fields of all sections."""
    key = {name: value for section in sections for name, value in section.items()}
    return store.get_or_build("k", "n", key, lambda folder: (folder / "f").touch())


def query(compiler: Mapping[str, str] | None) -> CacheQuery:
    return CacheQuery("k", "n", CONTENT, compiler, NATIVE)


def test_this_machine_s_own_entry_is_preferred(store: Cache) -> None:
    own = add_entry(store, CONTENT, HERE, NATIVE.key)
    for processor in (V2, V3, SMALLER):
        add_entry(store, CONTENT, HERE, processor.key)
        add_entry(store, CONTENT, THERE, processor.key)
    assert find_entry(store, query(HERE)) == (own, query(HERE).key())


def test_with_a_compiler_other_entries_need_a_named_processor(store: Cache) -> None:
    for processor in (NATIVE, SMALLER):
        add_entry(store, CONTENT, THERE, processor.key)
    add_entry(store, CONTENT, HERE, SMALLER.key)
    add_entry(store, CONTENT, HERE, V4.key)
    assert find_entry(store, query(HERE)) is None
    entries = [
        add_entry(store, CONTENT, compiler, processor.key)
        for compiler, processor in ((THERE, V2), (HERE, V2), (THERE, V3), (HERE, V3))
    ]
    for entry in reversed(entries):
        match = find_entry(store, query(HERE))
        assert match is not None
        assert match[0] == entry
        (entry / "f").unlink()


def test_without_a_compiler_all_code_that_runs_here_is_used(store: Cache) -> None:
    add_entry(store, CONTENT, THERE, LARGER.key)
    add_entry(store, CONTENT, THERE, V4.key)
    add_entry(store, {"source": "int y;"}, THERE, NATIVE.key)
    add_entry(store, {**CONTENT, "more": ""}, THERE, NATIVE.key)
    add_entry(store, CONTENT, THERE, NATIVE.key, {"libc": "glibc 2.40"})
    add_entry(store, CONTENT, THERE, NATIVE.key, {"libc": "musl"})
    add_entry(store, CONTENT, THERE)
    assert find_entry(store, query(None)) is None
    entries = [
        add_entry(store, CONTENT, THERE, V2.key),
        add_entry(store, CONTENT, THERE, SMALLER.key, {"libc": "glibc 2.9"}),
        add_entry(store, CONTENT, THERE, NATIVE.key),
    ]
    for entry in reversed(entries):
        match = find_entry(store, query(None))
        assert match is not None
        assert match[0] == entry
        (entry / "f").unlink()


def test_the_key_of_gpu_code_has_no_processor(store: Cache) -> None:
    nvcc = {"nvcc": "release 13.0"}
    gpu = CacheQuery("k", "n", CONTENT, {**HERE, **nvcc}, None)
    own = add_entry(store, CONTENT, HERE, nvcc)
    add_entry(store, CONTENT, HERE, nvcc, NATIVE.key)
    assert find_entry(store, gpu) == (own, gpu.key())
    (own / "f").unlink()
    add_entry(store, {"source": "int y;"}, THERE, {"nvcc": "release 12.9"})
    add_entry(store, CONTENT, {**THERE, "libc": "glibc 2.40"}, {"nvcc": "release 12.9"})
    assert find_entry(store, gpu) is None


def test_gpu_code_of_another_compiler_is_used(store: Cache) -> None:
    """Its architecture belongs to the content, so that another CUDA may have compiled it."""
    other = add_entry(store, CONTENT, THERE, {"nvcc": "release 12.9"})
    for compiler in ({**HERE, "nvcc": "release 13.0"}, None):
        match = find_entry(store, CacheQuery("k", "n", CONTENT, compiler, None))
        assert match is not None
        assert match[0] == other


def test_gpu_code_that_the_driver_supports_is_used(store: Cache) -> None:
    """Of the driver's major version of CUDA or an earlier one; the newest is preferred."""
    entries = {
        version: add_entry(store, CONTENT, THERE, {"nvcc": f"release {version}, V{version}.9"})
        for version in ("11.8", "12.4", "12.10", "13.0")
    }
    for driver, best in (((13, 0), "13.0"), ((12, 4), "12.10"), ((11, 2), "11.8"), (None, "13.0")):
        match = find_entry(store, CacheQuery("k", "n", CONTENT, None, None, driver))
        assert match is not None
        assert match[0] == entries[best]
    assert find_entry(store, CacheQuery("k", "n", CONTENT, None, None, (10, 2))) is None


def test_a_missing_compiler_is_an_error_only_if_it_is_needed(
    store: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_lookup, "native_processor", lambda: NATIVE)
    built = []

    def no_compiler() -> Compiler:
        raise ToolchainError("no C++ compiler")

    def build(folder: Path, compiler: Compiler, processor: Processor) -> None:
        assert processor == NATIVE or len(built) == 2
        built.append(compiler)
        (folder / "f").touch()

    def library(get_compiler: object) -> Path:
        return find_or_build(store, "k", "n", CONTENT, get_compiler, build)  # type: ignore[arg-type]

    with pytest.raises(ToolchainError, match="no C"):
        library(no_compiler)
    here = Compiler("/usr/bin/g++", "g++ 12")
    entry = library(lambda: here)
    assert library(no_compiler) == library(lambda: here) == entry
    assert library(lambda: Compiler("/opt/g++", "g++ 12")) == entry
    assert library(lambda: Compiler("/opt/g++", "g++ 14")) != entry
    assert built == [here, Compiler("/opt/g++", "g++ 14")]
    for _ in range(2):
        other = find_or_build(store, "k", "n", CONTENT, lambda: here, build, V4)
    assert other != entry
    assert len(built) == 3
    assert library(lambda: here) == entry
