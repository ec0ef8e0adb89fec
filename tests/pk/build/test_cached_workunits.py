"""Workunits in the cache: their keys, machines without a compiler, several processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import kernels
import pykokkos as pk
import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import kokkos_cpu
from kkspdnn.pk.build import runtime_library as runtime_library_module
from kkspdnn.pk.build.cache import Cache
from kkspdnn.pk.build.cache_lookup import compiler_key
from kkspdnn.pk.build.find_runtime import find_runtime_library
from kkspdnn.pk.build.runtime_library import RuntimeLibrary
from kkspdnn.pk.build.toolchain import host_compiler
from kkspdnn.pk.codegen.emit import Generated
from kkspdnn.pk.compiler import generate


@pytest.fixture
def store(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def runtime_library(store: Cache, monkeypatch: pytest.MonkeyPatch) -> RuntimeLibrary:
    """A runtime library with an empty cache, whose compiler writes its command into a file."""

    real = find_runtime_library(pk.Serial)

    def run_tool(command: list[object], action: str, cwd: Path, environment: object) -> str:
        (cwd / "workunit.so").write_text(" ".join(map(str, command)))
        return ""

    monkeypatch.setattr(runtime_library_module, "run_tool", run_tool)
    fake = replace(real, cache=store)
    fake.__dict__["tools"] = real.tools
    return fake


def test_the_fields_of_a_workunit_s_key(runtime_library: RuntimeLibrary) -> None:
    generated = generate(kernels.dot, pk.Serial)
    entries = [runtime_library.compile_workunit(generated)]
    assert runtime_library.compile_workunit(generated) == entries[0]
    texts = [
        replace(generated, text=generated.text + "// changed\n"),
        generate(kernels.dot, pk.OpenMP),
    ]
    entries += [runtime_library.compile_workunit(text) for text in texts]
    tools, key = runtime_library.tools, dict(runtime_library.key)
    newer = replace(tools.compiler, version=tools.compiler.version + " (patched)")
    # Another runtime library, and another compiler than that of the runtime library.
    other = replace(runtime_library, folder=runtime_library.folder.with_name("another"))
    other.__dict__["_description"] = runtime_library._description
    other.__dict__["tools"] = tools
    patched = replace(
        runtime_library, key=tuple(sorted({**key, "compiler": newer.version}.items()))
    )
    patched.__dict__["tools"] = replace(tools, compiler=newer)
    entries += [each.compile_workunit(generated) for each in (other, patched)]
    assert len(set(entries)) == len(entries)


def test_no_path_of_this_machine_is_in_a_key(
    runtime_library: RuntimeLibrary, tmp_path: Path
) -> None:
    """Neither the path of the package, of the cache, nor of the compiler."""
    workunit = runtime_library.compile_workunit(generate(kernels.dot, pk.Serial)).parent
    real = find_runtime_library(pk.Serial)
    if real.user_kokkos is not None:
        pytest.skip("the key contains the path of the user's Kokkos")
    for entry in (workunit, real.folder):
        key = json.dumps(json.loads((entry / "manifest.json").read_text())["key"])
        for folder in (
            Path(runtime_library_module.__file__).parents[3],
            real.cache.root,
            tmp_path,
            Path(host_compiler().path).parent,
        ):
            assert f"{folder}/" not in key, (entry.name, folder)


def test_a_cached_workunit_needs_no_compiler(
    runtime_library: RuntimeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated = generate(kernels.dot, pk.Serial)
    library = runtime_library.compile_workunit(generated)

    def no_compiler() -> None:
        raise ToolchainError("no C++ compiler")

    monkeypatch.setattr(runtime_library_module, "host_compiler", no_compiler)
    without = replace(runtime_library)
    assert without.find_workunit(generated) == library
    assert without.compile_workunit(generated) == library
    missing = replace(generated, text=generated.text + "// changed\n")
    assert without.find_workunit(missing) is None
    with pytest.raises(ToolchainError, match="^workunit dot is not in the cache: no C"):
        without.compile_workunit(missing)


def test_the_types_of_a_launch_are_in_the_key() -> None:
    from kkspdnn.pk.types import DOUBLE, FLOAT, View

    texts = {
        generate(kernels.generic, pk.Serial, (View(scalar, 1), View(scalar, 1), scalar)).text
        for scalar in (FLOAT, DOUBLE)
    }
    assert len(texts) == 2


def test_a_damaged_library_is_compiled_again(store: Cache) -> None:
    runtime_library = replace(find_runtime_library(pk.Serial), cache=store)
    generated: Generated = generate(kernels.count_short, pk.Serial)
    library = runtime_library.compile_workunit(generated)
    size = library.stat().st_size
    os.truncate(library, size // 2)
    assert runtime_library.compile_workunit(generated) == library
    assert library.stat().st_size == size
    manifest = json.loads((library.parent / "manifest.json").read_text())
    assert manifest["key"]["source"] == generated.text


# ---- other processes --------------------------------------------------------------------------

PROGRAM = """
import sys
from kkspdnn.pk import provide_pykokkos
provide_pykokkos()
import numpy as np
import pykokkos as pk
import kernels

print("ready", flush=True)
x = np.arange(5.0)
print(pk.parallel_reduce("w", pk.RangePolicy(pk.OpenMP, 0, 5), kernels.dot, x=x, y=x))
"""


@pytest.fixture
def with_kokkos(tmp_path: Path) -> dict[str, str]:
    """The environment of a process whose cache contains Kokkos and no workunit."""
    root = tmp_path / "cache"
    root.mkdir(mode=0o700)
    runtime_library = find_runtime_library(pk.OpenMP)
    for path in (runtime_library.kokkos.config, runtime_library.folder):
        if path.is_relative_to(runtime_library.cache.root):
            category, entry = path.relative_to(runtime_library.cache.root).parts[:2]
            copied = root / category / entry
            shutil.copytree(runtime_library.cache.root / category / entry, copied, symlinks=True)
            copied.parent.chmod(0o700)
    folders = [
        str(Path(__file__).parents[1]),
        str(Path(runtime_library_module.__file__).parents[3]),
    ]
    return {**os.environ, "KKSPDNN_CACHE": str(root), "PYTHONPATH": os.pathsep.join(folders)}


def start(environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_compile_one_workunit(with_kokkos: dict[str, str]) -> None:
    both = [start(with_kokkos), start(with_kokkos)]
    for process in both:
        out, error = process.communicate(timeout=300)
        assert (process.returncode, out, error) == (0, "ready\n30.0\n", "")
    root = Path(with_kokkos["KKSPDNN_CACHE"])
    assert len([p for p in (root / "workunits").iterdir() if p.is_dir()]) == 1


def test_an_interrupt_during_a_compile(with_kokkos: dict[str, str], tmp_path: Path) -> None:
    root = Path(with_kokkos["KKSPDNN_CACHE"])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process = start({**with_kokkos, "TMPDIR": str(scratch)})
    deadline = time.monotonic() + 200
    while not list(root.glob("workunits/.building-*/workunit.cpp")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert error.rstrip().endswith("KeyboardInterrupt")
    assert [p for p in (root / "workunits").iterdir() if p.suffix != ".lock"] == []
    assert [p for p in scratch.iterdir() if p.name.startswith("kkspdnn")] == []
    again = start(with_kokkos)
    out, error = again.communicate(timeout=300)
    assert (again.returncode, out, error) == (0, "ready\n30.0\n", "")


def test_a_run_names_the_process_that_it_waits_for(tmp_path: Path) -> None:
    """The other process builds Kokkos and is stopped; the output is not a terminal."""
    if find_runtime_library(pk.OpenMP).user_kokkos is not None:
        pytest.skip("the user's Kokkos is not built")
    key = {**kokkos_cpu.key_content(openmp=True), **compiler_key(host_compiler())}
    building = (
        "import time, json, sys\n"
        "from kkspdnn.pk.build.cache import default_cache\n"
        "def build(folder):\n"
        "    print('building', flush=True)\n"
        "    time.sleep(100)\n"
        "default_cache().get_or_build('kokkos', 'openmp', json.loads(sys.argv[1]), build)\n"
    )
    folder = str(Path(runtime_library_module.__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": folder, "KKSPDNN_CACHE": str(tmp_path / "cache")}
    builder = subprocess.Popen(
        [sys.executable, "-c", building, json.dumps(key)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with builder:
        assert builder.stdout is not None
        assert builder.stdout.readline() == "building\n"
        builder.send_signal(signal.SIGSTOP)
        run = [
            sys.executable,
            "-m",
            "kkspdnn",
            "--neurons",
            "64",
            "--layers",
            "2",
            "--inputs",
            "10",
        ]
        with subprocess.Popen(run, env=environment, stderr=subprocess.PIPE, text=True) as waiting:
            assert waiting.stderr is not None
            message = waiting.stderr.readline()
            waiting.kill()
        builder.kill()
    assert message == f"kkspdnn: waiting for process {builder.pid} to build kokkos/openmp\n"
