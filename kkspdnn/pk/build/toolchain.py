"""The C++ compiler, CMake and Ninja: finding and running them."""

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
from kkspdnn.pk.build.compiler_flags import FLAGS_VARIABLE, user_options
from kkspdnn.pk.system.cpu_quota import cpu_quota
from kkspdnn.pk.system.termination import (
    deferred_signals,
    exit_on_signals,
    in_worker_thread,
    stop_requested,
)

COMPILER_OPTIONS = ("-O3", "-march=native", "-ffp-contract=off", "-fPIC")
"""Options for workunits and the runtime library, in addition to those of Kokkos.

-ffp-contract=off: a product and a sum are rounded separately, as in other implementations. Then
w y - w y is exactly 0, and a sum that is 0 gets no bias. It costs no time in loops that are limited
by loads.
"""

_INHERITED = frozenset(
    {"HOME", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TEMP", "TMP", "TMPDIR", "USER"}
)
_INHERITED_PREFIXES = ("CRAY", "PE_")
"""Environment variables that tools inherit: the paths of programs, libraries and temporary files,
and those that the compiler wrappers of Cray systems need."""

_INHERITED_SUFFIX = "LICENSE_FILE"
"""The suffix of the variables for the licences of commercial compilers."""


def tool_environment(added: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for compilers and build tools.

    It contains a few of this process's variables, an English locale, and `added`. Compilers, CMake,
    Ninja and Make read dozens of variables, such as CXXFLAGS, CPATH, DESTDIR and NVCC_APPEND_FLAGS.
    The cache keeps their output, which must not depend on them. The inherited variables do not
    change it.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED
        or name.startswith(_INHERITED_PREFIXES)
        or name.endswith(_INHERITED_SUFFIX)
    }
    return {**inherited, "LC_ALL": "C.UTF-8", **(added or {})}


@dataclass(frozen=True)
class Compiler:
    """A C++ compiler.

    version: the first line of the output of `--version`
    user_options: from KKSPDNN_CXXFLAGS
    """

    path: str
    version: str
    user_options: tuple[str, ...] = ()

    @property
    def private_statics_option(self) -> tuple[str, ...]:
        """The option with which libraries in one process do not share static objects.

        Empty if the compiler does not know it, as Clang, whose libraries never share them.
        """
        command = [self.path, "-fno-gnu-unique", "-E", "-x", "c++", os.devnull]
        try:
            run_tool(command, f"checking whether {self.path} supports -fno-gnu-unique")
        except ToolchainError:
            return ()
        return ("-fno-gnu-unique",)


@cache
def host_compiler() -> Compiler:
    """Return the compiler named by CXX, else g++, else c++ on the PATH.

    Raises ToolchainError if there is none, if it does not print its version, or if KKSPDNN_CXXFLAGS
    has an option that is not allowed.
    """
    options = user_options()
    chosen = os.environ.get("CXX")
    names = [chosen] if chosen else ["g++", "c++"]
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return compiler_at(path, options)
    if chosen:
        raise ToolchainError(
            f"CXX={chosen}: there is no such program; set CXX to a C++17 compiler, or unset it"
            + (f"; options go into {FLAGS_VARIABLE}" if " " in chosen.strip() else "")
        )
    raise ToolchainError(
        "no C++ compiler: g++ is not on the PATH; install it (Debian: apt-get install g++) "
        "or set CXX"
    )


def compiler_at(path: str, options: tuple[str, ...]) -> Compiler:
    """Return the compiler at a path; options: the user's options for it.

    Raises ToolchainError if it does not print its version.
    """
    lines = run_tool([path, "--version"], f"asking {path} for its version").splitlines()
    return Compiler(path, lines[0] if lines else "unknown", options)


def build_tool(name: str) -> str:
    """Return the path of `cmake` or `ninja` from its PyPI package, else from the PATH.

    Raises ToolchainError if it is missing.
    """
    try:
        module = import_module(name)
    except ImportError:
        pass
    else:
        folder = getattr(module, "CMAKE_BIN_DIR", None) or getattr(module, "BIN_DIR", None)
        if folder is not None and (packaged := shutil.which(name, path=folder)) is not None:
            return packaged
    path = shutil.which(name)
    if path is None:
        raise ToolchainError(f"no {name}: run pip install {name}")
    return path


def run_tool(
    command: Sequence[str | Path],
    action: str,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    inherit: bool = False,
) -> str:
    """Run a tool until it ends and return its output.

    Raises ToolchainError with the first line of an error in its output if it fails. On an
    interrupt, SIGTERM or SIGHUP, the tool and all processes that it has started are ended.

    action: what the tool does, such as "configuring Kokkos", for the error message
    environment: variables to add to `tool_environment()`, or to the whole environment of this
    process if `inherit` is set, for programs that are not build tools
    """
    # With a session of its own, the tool can be ended together with all processes that it started.
    # In threads that get no signals, the terminal must be able to interrupt it instead.
    own_session = threading.current_thread() is threading.main_thread() or in_worker_thread()
    variables = {**os.environ, **(environment or {})} if inherit else tool_environment(environment)
    process: subprocess.Popen[str] | None = None
    with exit_on_signals():
        try:
            with deferred_signals():
                process = subprocess.Popen(
                    [str(c) for c in command],
                    cwd=cwd,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    start_new_session=own_session,
                )
            output = _collect_output(process, action)
        except BaseException as error:
            if process is not None:
                terminate_process(process, own_session)
            elif isinstance(error, OSError):
                message = f"{action}: cannot run {command[0]}: {error.strerror}"
                raise ToolchainError(message) from error
            raise
    if process.returncode != 0:
        raise ToolchainError(f"{action} failed: {_error_line(output, process.returncode)}")
    return output


def terminate_process(process: subprocess.Popen[Any], group: bool, grace: float = 1.0) -> None:
    """End a tool with SIGTERM, then SIGKILL. On SIGTERM, compilers remove their temporary files.

    group: end the whole process group, whose leader the tool is
    grace: the seconds between SIGTERM and SIGKILL
    """
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 0.0)):
        deadline = time.monotonic() + seconds
        try:
            (os.killpg if group else os.kill)(process.pid, number)
            while time.monotonic() < deadline and (group or process.poll() is None):
                process.poll()
                (os.killpg if group else os.kill)(process.pid, 0)
                time.sleep(0.02)
        except ProcessLookupError:
            break
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _collect_output(process: subprocess.Popen[str], action: str) -> str:
    """Return the output of a process when it ends.

    Some libraries let system calls continue after an interrupt. Python therefore wakes up
    regularly, to see the interrupt.
    """
    while True:
        try:
            return process.communicate(timeout=0.2)[0]
        except subprocess.TimeoutExpired:
            if stop_requested():
                raise ToolchainError(f"{action}: stopped") from None


_MESSAGE_ENDS = ("Call Stack", "-- ", "CMake Error")
"""The beginnings of lines that follow a message of CMake."""


def _error_line(output: str, status: int) -> str:
    """Return the line of a failed tool's output that describes the error best."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if line.startswith("CMake Error"):
            # CMake wraps its messages, and the reason may be at the end.
            rest = takewhile(lambda each: not each.startswith(_MESSAGE_ENDS), lines[number + 1 :])
            return " ".join([line, *islice(rest, 7)])
        # pip's "ERROR: Exception:" is only the first line of a traceback.
        is_error = "error:" in line.lower() and not line.endswith(":")
        if "/ld: " in line or (is_error and "collect2: error" not in line):
            return line
    if status < 0:
        return f"ended by signal {-status}"
    return lines[-1] if lines else "no output"


def machine() -> str:
    """Return the processor's model and the number of cores that this process may use, as text."""
    return f"{processor_model()}, {usable_cores()} cores"


def processor_model() -> str:
    """Return the processor's model, as the operating system names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return the number of cores that this process may use: its CPU affinity and CPU quota."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return min(cores, cpu_quota() or cores)


def omp_num_threads() -> int | None:
    """Return the first number in OMP_NUM_THREADS, for the outermost parallel region.

    None if the variable is unset or has no valid number.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isascii() and first.isdecimal() and int(first) else None
