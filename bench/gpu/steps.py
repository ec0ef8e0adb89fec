"""The steps of `python -m bench.gpu run`: most informative first, each with a time limit."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kkspdnn.pk.system.cuda_driver import devices

SPACES = ("cuda", "openmp")

_DETAILS = r"ok |FAIL|failures|=====|rror"


@dataclass(frozen=True)
class Step:
    """One measurement: a command in a process of its own.

    seconds: time limit
    device: the step needs a GPU; program: name of a program that must be on the PATH, or None
    shows: regular expression; the last `lines` output lines that match go into the summary
    """

    name: str
    seconds: int
    command: tuple[str, ...]
    device: bool = True
    program: str | None = None
    shows: str = "."
    lines: int = 14


@dataclass(frozen=True)
class Session:
    """The options that all steps of one `run` share.

    small: small networks, for a dry run
    records: folder for records
    has_device: the machine meets all requirements of the execution space
    arch: GPU architecture of the pack, used to compile on a machine without a GPU; None: no pack
    expected: file of expected categories of 1,024 neurons and 120 layers, or None
    """

    space: str
    small: bool
    records: Path
    has_device: bool
    arch: str | None = None
    expected: Path | None = None

    @property
    def label(self) -> str:
        """The suffix of the names of records: execution space and GPU."""
        return record_label(self.space)

    def command(self, name: str, *arguments: str) -> tuple[str, ...]:
        """Return the command line of a subcommand of `bench.gpu`."""
        common = ("--space", self.space, *(("--small",) if self.small else ()))
        return (*_module("bench.gpu", name), *arguments, *common, "--records", str(self.records))

    def record(self, name: str) -> str:
        """Return the path of a record, for the option --json."""
        return str(self.records / f"{name}-{self.label}.json")


def record_label(space: str) -> str:
    """Return the suffix of record names on this machine, such as `cuda-h100-80gb-hbm3`."""
    gpus = devices() if space == "cuda" else ()
    words = re.findall(r"[a-z0-9]+", gpus[0].name.lower()) if gpus else []
    return "-".join([space, *(word for word in words if word != "nvidia")])


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *arguments)


def first_steps(session: Session) -> Iterator[Step]:
    """Yield the default steps: correctness, speed, and the reasons for it."""
    gpu = session.space == "cuda"
    yield Step("environment", 30, session.command("environment"), device=False, lines=40)
    compile_all = ["compile", "--space", session.space]
    if gpu and not session.has_device and session.arch is not None:
        compile_all += ["--arch", session.arch]
    yield Step("compile", 200, _module("kkspdnn", *compile_all), device=False, lines=4)
    yield Step("values", 100, session.command("values"), gpu, shows=_DETAILS, lines=24)
    cases = (
        ("1024-120:x7 1024-120:dead:x7 1024-120:none:x5 1024-120:fold:x5 1024-120:spgemm:x3 ")
        + "1024-480:x5 1024-1920:x5 4096-120:x5 1024-120:different:none:x3 1024-120:none:r500:x5"
        if not session.small
        else "64-24:x3 64-24:none:x3 64-24:spgemm:x2 64-24:different:x2 64-24:r500:x2"
    )
    yield Step("times", 80, session.command("times", *cases.split()), gpu)
    ceiling = ["--space", session.space, "--json", session.record("ceiling-1024")]
    if session.small:
        ceiling += ["--neurons", "1024", "--layers", "8", "--rows", "256"]
    yield Step("hand-written", 70, _module("bench.ceiling", *ceiling), gpu)
    shows = r"^fused_|^best|no time|FAIL|rror"
    yield Step("sweep", 60, session.command("sweep"), gpu, shows=shows, lines=40)
    yield Step("launches", 40, session.command("launches"), gpu, lines=20)
    sanitizer = "compute-sanitizer"
    sanitized = session.command("sanitized")
    if gpu:
        sanitized = (sanitizer, "--tool", "memcheck", "--leak-check", "no", *sanitized)
    needed = sanitizer if gpu else None
    yield Step("memcheck", 75, sanitized, gpu, needed, shows=_DETAILS)
    profile = "profile" if gpu else "profiled"
    needed = "ncu" if gpu else None
    yield Step("profile", 90, session.command(profile), gpu, needed, lines=110)
    yield Step("tests", 80, _tests(session, _FIRST_TESTS), gpu, lines=12)
    yield Step("peers", 80, _peers(session), gpu, lines=20)
    if not session.small:
        large = "16384-120:x2", "65536-120:x2", "65536-120:dead:x1"
        yield Step("large-networks", 80, session.command("times", *large), gpu)


def second_steps(session: Session) -> Iterator[Step]:
    """Yield the steps of --second: tuning, and slower checks."""
    gpu = session.space == "cuda"
    yield Step("environment", 30, session.command("environment"), device=False, lines=40)
    small = ["--neurons", "64", "--layers", "24", "--inputs", "600", "--seconds", "3"]
    options = ["--space", session.space, *(small if session.small else [])]
    yield Step("tune", 75, _module("kkspdnn", "tune", *options), gpu, lines=24)
    if gpu:
        for tool in ("racecheck", "initcheck", "synccheck"):
            command = ("compute-sanitizer", "--tool", tool, *session.command("sanitized"))
            yield Step(tool, 75, command, True, "compute-sanitizer", shows=_DETAILS)
    yield Step("language-tests", 120, _tests(session, _MORE_TESTS), gpu, lines=12)
    if not session.small:
        more = "4096-480:x3", "4096-1920:x3", "16384-480:x2", "65536-480:x1"
        yield Step("more-networks", 90, session.command("times", *more), gpu)
    native = _module("kkspdnn", "compile", "--space", session.space, "--dtype", "float32")
    # An empty cache, besides the unpacked one.
    cache = f"KKSPDNN_CACHE={session.records.parent / 'native'}"
    yield Step("native-build", 240, ("env", cache, *native), gpu, lines=6)


_FIRST_TESTS = "tests/engines", "tests/test_inference.py", "tests/workunits"
_MORE_TESTS = "tests/pk", "tests/test_predictor.py", "tests/bench"
_SMALL_TESTS = ("tests/engines/test_limits.py",)


def _tests(session: Session, paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command for the tests of this space; parallel if pytest-xdist is installed."""
    options = ["-q", "--maxfail=10", "-p", "no:cacheprovider", "--timeout", "100", "-m", "not slow"]
    # Other versions of NumPy, SciPy and CuPy may emit other warnings.
    options += ["-o", "filterwarnings=default", "-k", session.space]
    if find_spec("xdist") is not None and not session.small:
        workers = max(1, min(6, (os.cpu_count() or 1) // 2))
        options += ["-n", str(workers), "--dist", "worksteal"]
    return _module("pytest", *options, *(_SMALL_TESTS if session.small else paths))


def _peers(session: Session) -> tuple[str, ...]:
    names = "cusparse cusparse-dense torch hand none all" if session.space == "cuda" else "none all"
    options = ["--space", session.space, "--json", session.record("peers-1024-120")]
    if session.expected is not None and not session.small:
        options += ["--expected", str(session.expected)]
    if session.small:
        options += ["--neurons", "64", "--layers", "24", "--inputs", "600"]
    options += ["--seconds", "0.5", "--runs", "3", "--only", *names.split()]
    return _module("bench", "run", *options)
