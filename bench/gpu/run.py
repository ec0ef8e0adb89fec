"""`python -m bench.gpu run`: unpack, then every step in turn, going on after failures.

Results are written after each step, so that nothing is lost if the machine is taken away.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from shutil import which
from time import monotonic

from bench.gpu.steps import Session, Step, first, second
from bench.gpu.unpack import unpack
from kkspdnn.device.cuda_check import cuda_requirements
from kkspdnn.errors import InputError
from kkspdnn.pk.build.nvcc import nvcc_path
from kkspdnn.pk.build.toolchain import terminate_process

SCHEMA = "kkspdnn-gpu-session/1"

_LEAST_SECONDS = 5
"""A step is not begun with less time left."""

_GRACE_SECONDS = 3
"""From SIGTERM to SIGKILL for a step that has reached its limit."""

_LAST_LINES = 8
"""Shown of a step that failed, whatever they say."""

_WIDEST = 240
"""Characters of a line in the summary."""


@dataclass(frozen=True)
class PartialResult:
    """How a step ended. status: passed, failed, timed out or skipped; reason: of the last three."""

    step: str
    status: str
    seconds: float = 0.0
    reason: str = ""
    command: str = ""


@dataclass(frozen=True)
class _Output:
    """The files that `run` writes: a summary, the whole output, and the records in one archive."""

    folder: Path
    records: Path

    def tell(self, *lines: str) -> None:
        """Print lines, and put them into the summary."""
        text = "\n".join(lines)
        print(text, flush=True)
        with (self.folder / "summary.txt").open("a", encoding="utf-8") as summary:
            summary.write(text + "\n")

    def log(self, text: str) -> None:
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(text)

    def save(self, outcomes: Iterable[PartialResult], session: Session) -> None:
        """Write the record of the session, and the archive of all records so far."""
        record = {
            "schema": SCHEMA,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "space": session.space,
            "small": session.small,
            "steps": [asdict(each) for each in outcomes],
        }
        path = self.records / f"session-{session.label}.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        # A fixed set of few files is easy to copy back.
        with tarfile.open(self.folder / "records.tar.gz", "w:gz") as archive:
            archive.add(self.records, arcname="records")


def command(arguments: argparse.Namespace) -> int:
    """0: all that could run has passed; 1: something failed; 2: what the space needs is missing.

    Raises InputError for a pack that cannot be used, a folder that cannot be written and an unknown
    step.
    """
    begun = monotonic()
    output = _output(arguments.out)
    missing = _missing(arguments.space)
    session = Session(arguments.space, arguments.small, output.records, not missing)
    outcomes: list[PartialResult] = []
    environment = _environment(output.records.parent)
    if arguments.pack is not None:
        unpacked = unpack(arguments.pack, output.records.parent)
        environment |= unpacked.environment
        session = replace(session, arch=unpacked.arch, expected=unpacked.expected)
        outcomes.append(PartialResult("unpack", "passed", round(monotonic() - begun, 1)))
        output.tell(f"=== unpack: passed, {outcomes[0].seconds} s", *unpacked.lines)
    steps = _steps(session, arguments)
    left_out = [step.name for step in steps if step.device and missing]
    if left_out:
        output.tell(f"{missing}; skipped without it: {', '.join(left_out)}")
    for step in steps:
        left = arguments.seconds - (monotonic() - begun)
        outcome = _skipped(step, left, missing, environment["PATH"])
        if outcome is None:
            outcome = _run(step, min(step.seconds, left), environment, output)
        elif step.name not in left_out:
            output.tell(f"=== {step.name}: skipped, {outcome.reason}")
        outcomes.append(outcome)
        output.save(outcomes, session)
    output.tell(f"=== all: {monotonic() - begun:.0f} s, results in {arguments.out}")
    if any(each.status in ("failed", "timed out") for each in outcomes):
        return 1
    return 2 if left_out else 0


def _output(folder: Path) -> _Output:
    """The folder for results, made and emptied of earlier ones, and a new one for records."""
    records = Path(tempfile.mkdtemp(prefix="kkspdnn-gpu-")) / "records"
    try:
        records.mkdir()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("summary.txt", "log.txt", "records.tar.gz"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: {error.strerror}; name another folder") from error
    return _Output(folder, records)


def _environment(work: Path) -> dict[str, str]:
    """Variables of every step, in addition to those of this process."""
    nvcc = nvcc_path()
    # Where nvcc is, ncu and compute-sanitizer usually are as well.
    toolkit = [] if nvcc is None else [str(Path(nvcc).resolve().parent)]
    return {
        "PYTHONUNBUFFERED": "1",
        "CUPY_CACHE_DIR": str(work / "cupy"),
        "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), *toolkit]),
    }


def _steps(session: Session, arguments: argparse.Namespace) -> list[Step]:
    """Those that the user wants, in their order."""
    steps = list(second(session) if arguments.second else first(session))
    names = [step.name for step in steps]
    for name in arguments.only or ():
        if name not in names:
            raise InputError(f"--only {name}: there is no such step; choose of {', '.join(names)}")
    return [step for step in steps if not arguments.only or step.name in arguments.only]


def _missing(space: str) -> str:
    """One line about what the space lacks on this machine, or nothing."""
    requirements = cuda_requirements() if space == "cuda" else []
    # Without the driver there is no device either; the compiler is in question only to compile.
    for each in requirements:
        if each.detected is None and each.name != "compiler":
            return f"no {each.name}: {each.remedy}"
    return ""


def _skipped(step: Step, left: float, missing: str, programs: str) -> PartialResult | None:
    """The outcome of a step that cannot run; None if it can."""
    reason = ""
    if step.device and missing:
        reason = missing
    elif step.program is not None and which(step.program, path=programs) is None:
        reason = f"no {step.program} on the PATH"
    elif left < _LEAST_SECONDS:
        reason = "no time left"
    return PartialResult(step.name, "skipped", reason=reason) if reason else None


def _run(step: Step, limit: float, added: Mapping[str, str], output: _Output) -> PartialResult:
    """Run a step, and show the lines of its output that say most."""
    begun = monotonic()
    text = " ".join(step.command)
    output.log(f"=== {step.name}: at most {limit:.0f} s: {text}\n")
    lines, code = _captured(step.command, limit, {**os.environ, **added})
    seconds = monotonic() - begun
    output.log(lines)
    status, reason = "passed", ""
    if code is None:
        status, reason = "timed out", f"stopped after {limit:.0f} s"
    elif code != 0:
        status, reason = "failed", f"exit code {code}"
    output.tell(f"=== {step.name}: {status}, {seconds:.1f} s{reason and ': ' + reason}")
    shown = _shown(step, lines.splitlines(), status == "passed")
    if shown:
        output.tell(*(f"  {line[:_WIDEST]}" for line in shown))
    return PartialResult(step.name, status, round(seconds, 1), reason, text)


def _shown(step: Step, lines: list[str], passed: bool) -> list[str]:
    """The lines of a step's output for the summary; of one that failed, its last ones as well."""
    telling = [n for n, line in enumerate(lines) if re.search(step.shows, line)][-step.lines :]
    last = [] if passed else range(max(0, len(lines) - _LAST_LINES), len(lines))
    return [lines[number].rstrip() for number in sorted({*telling, *last})]


def _captured(
    command: Iterable[str], limit: float, environment: Mapping[str, str]
) -> tuple[str, int | None]:
    """What a command prints, and its exit code; None where it was stopped at the limit."""
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,
        )
        code: int | None = None
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Also what a step has started and left running.
            terminate_process(process, group=True, grace=_GRACE_SECONDS)
        file.seek(0)
        return file.read().decode("utf-8", "replace"), code
