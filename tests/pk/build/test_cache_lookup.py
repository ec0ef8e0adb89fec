"""The cache entry that serves a machine: by content, processor, compiler and C library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import cache_lookup
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.cache_lookup import Wanted, find, find_or_build
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


def put(store: Cache, *parts: Mapping[str, str]) -> Path:
    key = {name: value for part in parts for name, value in part.items()}
    return store.entry("k", "n", key, lambda folder: (folder / "f").touch())


def wanted(made_by: Mapping[str, str] | None) -> Wanted:
    return Wanted("k", "n", CONTENT, made_by, NATIVE)


def test_this_machine_s_own_comes_first(store: Cache) -> None:
    own = put(store, CONTENT, HERE, NATIVE.key)
    for part in (V2, V3, SMALLER):
        put(store, CONTENT, HERE, part.key)
        put(store, CONTENT, THERE, part.key)
    assert find(store, wanted(HERE)) == (own, wanted(HERE).key())


def test_with_a_compiler_only_named_processors_serve_else(store: Cache) -> None:
    for part in (NATIVE, SMALLER):
        put(store, CONTENT, THERE, part.key)
    put(store, CONTENT, HERE, SMALLER.key)
    put(store, CONTENT, HERE, V4.key)
    assert find(store, wanted(HERE)) is None
    places = [
        put(store, CONTENT, by, part.key)
        for by, part in ((THERE, V2), (HERE, V2), (THERE, V3), (HERE, V3))
    ]
    for place in reversed(places):
        found = find(store, wanted(HERE))
        assert found is not None
        assert found[0] == place
        (place / "f").unlink()


def test_without_a_compiler_whatever_runs_here_serves(store: Cache) -> None:
    put(store, CONTENT, THERE, LARGER.key)
    put(store, CONTENT, THERE, V4.key)
    put(store, {"source": "int y;"}, THERE, NATIVE.key)
    put(store, {**CONTENT, "more": ""}, THERE, NATIVE.key)
    put(store, CONTENT, THERE, NATIVE.key, {"libc": "glibc 2.40"})
    put(store, CONTENT, THERE, NATIVE.key, {"libc": "musl"})
    put(store, CONTENT, THERE)
    assert find(store, wanted(None)) is None
    places = [
        put(store, CONTENT, THERE, V2.key),
        put(store, CONTENT, THERE, SMALLER.key, {"libc": "glibc 2.9"}),
        put(store, CONTENT, THERE, NATIVE.key),
    ]
    for place in reversed(places):
        found = find(store, wanted(None))
        assert found is not None
        assert found[0] == place
        (place / "f").unlink()


def test_code_for_a_gpu_needs_no_processor(store: Cache) -> None:
    nvcc = {"nvcc": "release 13.0"}
    gpu = Wanted("k", "n", CONTENT, {**HERE, **nvcc}, None)
    own = put(store, CONTENT, HERE, nvcc)
    put(store, CONTENT, HERE, nvcc, NATIVE.key)
    assert find(store, gpu) == (own, gpu.key())
    (own / "f").unlink()
    put(store, {"source": "int y;"}, THERE, {"nvcc": "release 12.9"})
    put(store, CONTENT, {**THERE, "libc": "glibc 2.40"}, {"nvcc": "release 12.9"})
    assert find(store, gpu) is None


def test_code_for_a_gpu_serves_whoever_compiled_it(store: Cache) -> None:
    """Its architecture is part of the content, so a cache may come from another CUDA."""
    other = put(store, CONTENT, THERE, {"nvcc": "release 12.9"})
    for made_by in ({**HERE, "nvcc": "release 13.0"}, None):
        found = find(store, Wanted("k", "n", CONTENT, made_by, None))
        assert found is not None
        assert found[0] == other


def test_the_driver_runs_what_serves(store: Cache) -> None:
    """Of its own major version of CUDA and of all before; the newest of these first."""
    made = {
        version: put(store, CONTENT, THERE, {"nvcc": f"release {version}, V{version}.9"})
        for version in ("11.8", "12.4", "12.10", "13.0")
    }
    for driver, best in (((13, 0), "13.0"), ((12, 4), "12.10"), ((11, 2), "11.8"), (None, "13.0")):
        found = find(store, Wanted("k", "n", CONTENT, None, None, driver))
        assert found is not None
        assert found[0] == made[best]
    assert find(store, Wanted("k", "n", CONTENT, None, None, (10, 2))) is None


def test_what_is_missing_is_raised_only_where_it_is_needed(
    store: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_lookup, "native_processor", lambda: NATIVE)
    built = []

    def nowhere() -> Compiler:
        raise ToolchainError("no C++ compiler")

    def build(folder: Path, compiler: Compiler, made_for: Processor) -> None:
        assert made_for == NATIVE or len(built) == 2
        built.append(compiler)
        (folder / "f").touch()

    def look(compiler: object) -> Path:
        return find_or_build(store, "k", "n", CONTENT, compiler, build)  # type: ignore[arg-type]

    with pytest.raises(ToolchainError, match="no C"):
        look(nowhere)
    here = Compiler("/usr/bin/g++", "g++ 12")
    place = look(lambda: here)
    assert look(nowhere) == look(lambda: here) == place
    assert look(lambda: Compiler("/opt/g++", "g++ 12")) == place
    assert look(lambda: Compiler("/opt/g++", "g++ 14")) != place
    assert built == [here, Compiler("/opt/g++", "g++ 14")]
    for _ in range(2):
        other = find_or_build(store, "k", "n", CONTENT, lambda: here, build, V4)
    assert other != place
    assert len(built) == 3
    assert look(lambda: here) == place
