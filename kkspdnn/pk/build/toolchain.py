"""The C++ compiler, CMake and Ninja: which ones there are, and running them."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.compiler_flags import VARIABLE as OPTIONS_VARIABLE
from kkspdnn.pk.build.compiler_flags import extra_options
from kkspdnn.pk.system.cpu_quota import cpu_quota
from kkspdnn.pk.system.termination import (
    deferred_signals,
    exit_on_signals,
    in_worker_thread,
    stop_requested,
)

OPTIONS = ("-O3", "-march=native", "-ffp-contract=off", "-fPIC")
"""How workunits and the runtime library are compiled, beside what Kokkos asks for.

A product and a sum stay two roundings: w y - w y is then exactly 0, as it is everywhere else, and a
sum that is 0 gets no bias. It costs nothing where loads are the limit.
"""

_PASSED = frozenset({"HOME", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TEMP", "TMP", "TMPDIR", "USER"})
_PASSED_PREFIXES = ("CRAY", "PE_")
"""The variables that tools get: where programs and their libraries are, where temporary files go,
and what the compiler wrappers of Cray systems cannot do without."""

_PASSED_SUFFIX = "LICENSE_FILE"
"""Where commercial compilers ask for their licence."""


def tool_environment(added: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of every compiler and build tool: a few of this process's variables, an
    English locale, and `added`.

    Compilers, CMake, Ninja and Make read dozens of variables, such as CXXFLAGS, CPATH, DESTDIR and
    NVCC_APPEND_FLAGS. What is built is kept and must not depend on them; PATH and TMPDIR alone do
    not change it.
    """
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED or name.startswith(_PASSED_PREFIXES) or name.endswith(_PASSED_SUFFIX)
    }
    return {**passed, "LC_ALL": "C.UTF-8", **(added or {})}


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler: its path, the first line of `--version`, and the user's own options for it,
    from KKSPDNN_CXXFLAGS."""

    path: str
    version: str
    extra: tuple[str, ...] = ()

    @property
    def own_statics(self) -> tuple[str, ...]:
        """The option that keeps a library's static objects its own, where it has any other way."""
        try:
            doing = f"asking {self.path} for -fno-gnu-unique"
            run([self.path, "-fno-gnu-unique", "-E", "-x", "c++", os.devnull], doing)
        except ToolchainError:
            return ()  # Clang never shares them.
        return ("-fno-gnu-unique",)


@cache
def host_compiler() -> Compiler:
    """The compiler named by CXX, else g++, else c++ on the PATH.

    Raises ToolchainError where there is none, where it cannot say its version, or where
    KKSPDNN_CXXFLAGS has an option that changes answers.
    """
    extra = extra_options()
    chosen = os.environ.get("CXX")
    names = [chosen] if chosen else ["g++", "c++"]
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return compiler_at(path, extra)
    if chosen:
        raise ToolchainError(
            f"CXX={chosen}: there is no such program; set CXX to a C++17 compiler, or unset it"
            + (f"; options go into {OPTIONS_VARIABLE}" if " " in chosen.strip() else "")
        )
    raise ToolchainError(
        "no C++ compiler: g++ is not on the PATH; install it (Debian: apt-get install g++) "
        "or set CXX"
    )


def compiler_at(path: str, extra: tuple[str, ...]) -> Compiler:
    """The compiler at a path. Raises ToolchainError where it does not say its version."""
    lines = run([path, "--version"], f"asking {path} for its version").splitlines()
    return Compiler(path, lines[0] if lines else "unknown", extra)


def build_tool(name: str) -> str:
    """The path of `cmake` or `ninja`, from its PyPI package, else from the PATH."""
    try:
        module = import_module(name)
    except ImportError:
        pass
    else:
        folder = getattr(module, "CMAKE_BIN_DIR", None) or getattr(module, "BIN_DIR", None)
        if folder is not None and (found := shutil.which(name, path=folder)) is not None:
            return found
    found = shutil.which(name)
    if found is None:
        raise ToolchainError(f"no {name}: run pip install {name}")
    return found


def run(
    command: Sequence[str | Path],
    doing: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    inherit: bool = False,
) -> str:
    """Run a tool to its end and give what it printed.

    environment: what to add to `tool_environment()`, or, with inherit, to the whole environment of
    this process, for programs that are not build tools. Raises ToolchainError with the first error
    line of its output where it fails. An interrupt, SIGTERM or SIGHUP ends the tool and all that it
    has started.
    """
    # The tool gets a session of its own, so that it can be ended whole, where a signal reaches us:
    # Python gives them to the main thread alone. Elsewhere it stays with the terminal.
    alone = threading.current_thread() is threading.main_thread() or in_worker_thread()
    whole = {**os.environ, **(environment or {})} if inherit else tool_environment(environment)
    process: subprocess.Popen[str] | None = None
    with exit_on_signals():
        try:
            with deferred_signals():
                process = subprocess.Popen(
                    [str(c) for c in command],
                    cwd=cwd,
                    env=whole,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=alone,
                )
            printed = _output(process, doing)
        except BaseException as error:
            if process is not None:
                end_process(process, alone)
            elif isinstance(error, OSError):
                said = f"{doing}: cannot run {command[0]}: {error.strerror}"
                raise ToolchainError(said) from error
            raise
    if process.returncode != 0:
        raise ToolchainError(f"{doing} failed: {_cause(printed, process.returncode)}")
    return printed


def end_process(process: subprocess.Popen[Any], group: bool, grace: float = 1.0) -> None:
    """End a tool and, where it is the head of a group, all that it has started; SIGTERM first, for
    compilers then remove their temporary files.

    grace: seconds from SIGTERM to SIGKILL
    """
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 0.0)):
        end = time.monotonic() + seconds
        try:
            (os.killpg if group else os.kill)(process.pid, number)
            while time.monotonic() < end and (group or process.poll() is None):
                process.poll()
                (os.killpg if group else os.kill)(process.pid, 0)
                time.sleep(0.02)
        except ProcessLookupError:
            break
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _output(process: subprocess.Popen[str], doing: str) -> str:
    """All that it prints. Some libraries let system calls go on after an interrupt, so Python has
    to wake up by itself to see one."""
    while True:
        try:
            return process.communicate(timeout=0.2)[0]
        except subprocess.TimeoutExpired:
            if stop_requested():
                raise ToolchainError(f"{doing}: stopped") from None


_AFTER = ("Call Stack", "-- ", "CMake Error")
"""What follows a message of CMake's."""


def _cause(output: str, status: int) -> str:
    """The line of a failed tool's output that says most."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if line.startswith("CMake Error"):
            # CMake breaks its messages into lines, and the reason may come last.
            rest = takewhile(lambda each: not each.startswith(_AFTER), lines[number + 1 :])
            return " ".join([line, *islice(rest, 7)])
        # pip's "ERROR: Exception:" is only the head of a traceback.
        says_it = "error:" in line.lower() and not line.endswith(":")
        if "/ld: " in line or (says_it and "collect2: error" not in line):
            return line
    if status < 0:
        return f"ended by signal {-status}"
    return lines[-1] if lines else "no output"


def machine() -> str:
    """The processor's model and the number of its cores that this process may use."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{model}, {usable_cores()} cores"


def usable_cores() -> int:
    """The cores that this process may run on, and has the quota of processor time for."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return min(cores, cpu_quota() or cores)


def omp_num_threads() -> int | None:
    """OMP_NUM_THREADS, of which the first number is for the outermost parallel region; None where
    it says nothing."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdecimal() and int(first) else None
