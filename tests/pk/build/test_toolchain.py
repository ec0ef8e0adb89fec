"""Running tools: their environment, the line that describes an error, and interrupts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build import toolchain
from kkspdnn.pk.build.cache import default_cache
from kkspdnn.pk.build.toolchain import (
    build_tool,
    host_compiler,
    machine,
    run_tool,
    tool_environment,
    usable_cores,
)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("a.cpp:3:5: error: no x\nmore\n1 error generated.", "a.cpp:3:5: error: no x"),
        ("WARNING: odd\nERROR: no matching distribution", "ERROR: no matching distribution"),
        (
            "/usr/bin/ld: a.o: relocation R_X86_64_32; recompile with -fPIC\n"
            "collect2: error: ld returned 1 exit status",
            "/usr/bin/ld: a.o: relocation R_X86_64_32; recompile with -fPIC",
        ),
        (
            "-- Detecting\nCMake Error at CMakeLists.txt:6 (find_package):\n  Could not find it\n\n"
            "-- Configuring incomplete, errors occurred!",
            "CMake Error at CMakeLists.txt:6 (find_package): Could not find it",
        ),
        (
            "CMake Error at cmake_install.cmake:46 (file):\n  file INSTALL cannot copy file\n"
            '  "/a" to\n  "/b": No space\n  left on device.\nCall Stack (most recent call first):\n'
            "  CMakeLists.txt:3 (include)\n",
            "CMake Error at cmake_install.cmake:46 (file): file INSTALL cannot copy file "
            '"/a" to "/b": No space left on device.',
        ),
        (
            "ERROR: Exception:\nTraceback (most recent call last):\n  File ...\n"
            "OSError: [Errno 28] No space left on device\n",
            "OSError: [Errno 28] No space left on device",
        ),
        ("first\nlast\n", "last"),
        ("", "no output"),
    ],
)
def test_the_line_that_describes_an_error(output: str, line: str) -> None:
    script = f"import sys; print({output!r}); sys.exit(3)"
    with pytest.raises(ToolchainError) as caught:
        run_tool([sys.executable, "-c", script], "trying it")
    assert str(caught.value) == f"trying it failed: {line}"


def test_a_tool_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="trying it: cannot run /no/tool: No such file"):
        run_tool(["/no/tool"], "trying it")


def test_output_folder_environment_and_empty_input(tmp_path: Path) -> None:
    script = "import os, sys; print(os.getcwd(), os.environ['EXTRA'], sys.stdin.read())"
    output = run_tool([sys.executable, "-c", script], "x", cwd=tmp_path, environment={"EXTRA": "ö"})
    assert output == f"{tmp_path} ö \n"


def test_tools_inherit_few_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    leaking = ("CXXFLAGS", "CFLAGS", "CPPFLAGS", "LDFLAGS", "CPATH", "CPLUS_INCLUDE_PATH")
    leaking += ("LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "DEPENDENCIES_OUTPUT")
    leaking += ("DESTDIR", "CMAKE_INSTALL_MODE", "CMAKE_GENERATOR", "CMAKE_TOOLCHAIN_FILE")
    leaking += ("MAKEFLAGS", "NINJA_STATUS", "NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS", "CUDAFLAGS")
    leaking += (
        "CCC_OVERRIDE_OPTIONS",
        "LD_PRELOAD",
        "SOURCE_DATE_EPOCH",
        "LANGUAGE",
        "Kokkos_ROOT",
    )
    for name in leaking:
        monkeypatch.setenv(name, "/leaks" if name != "LD_PRELOAD" else "")
    for name in ("PATH", "TMPDIR", "HOME", "LM_LICENSE_FILE", "CRAY_CPU_TARGET"):
        monkeypatch.setenv(name, "/passes")
    environment = tool_environment({"EXTRA": "1", "HOME": "/own"})
    assert set(leaking).isdisjoint(environment)
    assert environment["PATH"] == environment["CRAY_CPU_TARGET"] == "/passes"
    assert (environment["EXTRA"], environment["HOME"]) == ("1", "/own")
    output = run_tool(["/usr/bin/env"], "asking")
    assert "LC_ALL=C.UTF-8\n" in output
    assert "/leaks" not in output
    assert "CXXFLAGS=/leaks\n" in run_tool(["/usr/bin/env"], "asking", inherit=True)


OVERFLOW = """
import os
import numpy as np
import kkspdnn as kk
weights = np.full((4, 4), 1e20, np.float32)
net = kk.network([kk.Layer.from_sparse(weights, 0.0)] * 2, ymax=None)
try:
    kk.Predictor(net)(np.ones((3, 4), np.float32))
except kk.InputError as error:
    print("refused")
tiny = np.float32(1e-40)
print(tiny * np.float32(0.5) > 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "leaking",
    [
        "CXXFLAGS=-ffast-math",
        "CXXFLAGS=-Werror -Wall -Wextra -Wundef",
        "LDFLAGS=-Wl,--no-such-option",
        "CPATH=HERE",
        "CMAKE_GENERATOR=Unix Makefiles",
        "NVCC_APPEND_FLAGS=-no-such-option",
    ],
)
def test_a_leaking_variable_changes_nothing(tmp_path: Path, leaking: str) -> None:
    """Neither the first run nor a run with its cache is affected; CPATH has a broken <cmath>."""
    (tmp_path / "cmath").write_text("#error not this one\n")
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    shared = default_cache().root / "kokkos"
    if shared.is_dir():
        shutil.copytree(shared, cache / "kokkos", symlinks=True)
    name, _, value = leaking.partition("=")
    environment = {**os.environ, "KKSPDNN_CACHE": str(cache)}
    for added in ({name: value.replace("HERE", str(tmp_path))}, {}):
        done = subprocess.run(
            [sys.executable, "-c", OVERFLOW],
            env={**environment, **added},
            cwd=Path(toolchain.__file__).parents[3],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("refused\nTrue\n", "")


def test_an_interrupt_ends_the_tool_and_its_processes(tmp_path: Path) -> None:
    """The signal is sent to one process only, as by `kill -INT`, not by Ctrl-C."""
    mark = tmp_path / "mark"
    program = (
        "import signal\n"
        # Some libraries do this: system calls continue after a signal.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.siginterrupt(signal.SIGINT, False)\n"
        "from kkspdnn.pk.build.toolchain import run_tool\n"
        f"run_tool(['/bin/sh', '-c', 'sleep 60 & echo $! > {mark}; wait'], 'waiting')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stderr=subprocess.PIPE,
        cwd=Path(toolchain.__file__).parents[3],
    )
    deadline = time.monotonic() + 60
    while not mark.exists() or not mark.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    sleeper = Path("/proc") / mark.read_text().strip() / "stat"
    while sleeper.exists() and sleeper.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_host_compiler() -> None:
    compiler = host_compiler()
    assert Path(compiler.path).is_file()
    assert compiler.version


def test_a_missing_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    find = host_compiler.__wrapped__
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ToolchainError, match="CXX=no-such-compiler: there is no such program; set"):
        find()
    monkeypatch.setenv("CXX", "")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        ToolchainError, match=r"no C\+\+ compiler: g\+\+ is not on the PATH; install"
    ):
        find()


def test_build_tools_are_found() -> None:
    assert Path(build_tool("cmake")).is_file()
    assert Path(build_tool("ninja")).is_file()


def test_an_unknown_build_tool() -> None:
    with pytest.raises(ToolchainError, match="no no-such-tool: run pip install no-such-tool"):
        build_tool("no-such-tool")


def test_the_description_of_the_machine() -> None:
    assert machine().endswith(f", {usable_cores()} cores")
