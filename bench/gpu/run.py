"""`python -m bench.gpu run`: unpack a pack, then run all steps.

The next step runs even if a step fails. Results are written after each step, so that they survive
if the machine is withdrawn.
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
from pathlib import Path
from shutil import which
from time import monotonic

from bench.gpu.steps import Session, Step, first_steps, second_steps
from bench.gpu.unpack import unpack
from kkspdnn.device.cuda_check import cuda_requirements
from kkspdnn.errors import InputError
from kkspdnn.pk.build.nvcc import nvcc_path
from kkspdnn.pk.build.toolchain import terminate_process
from kkspdnn.records.provenance import collect_provenance, load_average

SCHEMA = "kkspdnn-gpu-session/1"

_MIN_SECONDS = 5
"""A step does not start if less time is left."""

_GRACE_SECONDS = 3
"""Seconds from SIGTERM to SIGKILL for a step that has reached its time limit."""

_LAST_LINES = 8
"""Last output lines of a failed step that go into the summary."""

_MAX_WIDTH = 240
"""Maximum characters of a line in the summary."""


@dataclass(frozen=True)
class StepResult:
    """How a step ended.

    status: passed, failed, timed out or skipped; reason: empty if it passed
    """

    step: str
    status: str
    seconds: float = 0.0
    reason: str = ""
    command: str = ""


@dataclass(frozen=True)
class _Output:
    """The files that `run` writes: summary, full output, and an archive of the records."""

    folder: Path
    records: Path

    def summarize(self, *lines: str) -> None:
        """Print lines, and append them to the summary."""
        text = "\n".join(lines)
        print(text, flush=True)
        with (self.folder / "summary.txt").open("a", encoding="utf-8") as summary:
            summary.write(text + "\n")

    def log(self, text: str) -> None:
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(text)

    def save(self, results: Iterable[StepResult], session: Session) -> None:
        """Write the record of the session, and the archive of all records."""
        record = {
            "schema": SCHEMA,
            **vars(collect_provenance()),
            "load_average": load_average(),
            "space": session.space,
            "small": session.small,
            "steps": [asdict(result) for result in results],
        }
        path = self.records / f"session-{session.label}.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        # One archive is easier to copy back than many files.
        with tarfile.open(self.folder / "records.tar.gz", "w:gz") as archive:
            archive.add(self.records, arcname="records")


def command(arguments: argparse.Namespace) -> int:
    """Run the steps and return the exit code.

    0: all steps passed or were skipped; 1: a step failed; 2: steps were skipped because the machine
    lacks a requirement of the execution space.

    Raises InputError if the pack is not usable, the folder cannot be written, or a step is unknown.
    """
    begun = monotonic()
    output = _output(arguments.out)
    missing = _missing(arguments.space)
    session = Session(arguments.space, arguments.small, output.records, not missing)
    results: list[StepResult] = []
    env = _step_env(output.records.parent)
    if arguments.pack is not None:
        unpacked = unpack(arguments.pack, output.records.parent)
        env |= unpacked.env
        session = replace(session, arch=unpacked.arch, expected=unpacked.expected)
        results.append(StepResult("unpack", "passed", round(monotonic() - begun, 1)))
        output.summarize(f"=== unpack: passed, {results[0].seconds} s", *unpacked.lines)
    steps = _steps(session, arguments)
    skipped = [step.name for step in steps if step.device and missing]
    if skipped:
        output.summarize(f"{missing}; skipped: {', '.join(skipped)}")
    for step in steps:
        left = arguments.seconds - (monotonic() - begun)
        result = _skipped(step, left, missing, env["PATH"])
        if result is None:
            result = _run(step, min(step.seconds, left), env, output)
        elif step.name not in skipped:
            output.summarize(f"=== {step.name}: skipped, {result.reason}")
        results.append(result)
        output.save(results, session)
    output.summarize(f"=== total: {monotonic() - begun:.0f} s, results in {arguments.out}")
    if any(result.status in ("failed", "timed out") for result in results):
        return 1
    return 2 if skipped else 0


def _output(folder: Path) -> _Output:
    """Create the folder for results, remove earlier results, and create a folder for records."""
    records = Path(tempfile.mkdtemp(prefix="kkspdnn-gpu-")) / "records"
    try:
        records.mkdir()
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("summary.txt", "log.txt", "records.tar.gz"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: {error.strerror}; name another folder") from error
    return _Output(folder, records)


def _step_env(work: Path) -> dict[str, str]:
    """Return the environment variables of every step, in addition to those of this process."""
    nvcc = nvcc_path()
    # Where nvcc is, ncu and compute-sanitizer usually are as well.
    toolkit = [] if nvcc is None else [str(Path(nvcc).resolve().parent)]
    return {
        "PYTHONUNBUFFERED": "1",
        "CUPY_CACHE_DIR": str(work / "cupy"),
        "PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), *toolkit]),
    }


def _steps(session: Session, arguments: argparse.Namespace) -> list[Step]:
    """Return the requested steps in the order of the list."""
    steps = list(second_steps(session) if arguments.second else first_steps(session))
    names = [step.name for step in steps]
    for name in arguments.only or ():
        if name not in names:
            raise InputError(f"--only {name}: no such step; choose from {', '.join(names)}")
    return [step for step in steps if not arguments.only or step.name in arguments.only]


def _missing(space: str) -> str:
    """Return one line about a missing requirement of the space, or an empty string."""
    requirements = cuda_requirements() if space == "cuda" else []
    # A missing driver comes before a missing device. Only compiling needs the compiler.
    for requirement in requirements:
        if requirement.detected is None and requirement.name != "compiler":
            return f"no {requirement.name}: {requirement.remedy}"
    return ""


def _skipped(step: Step, left: float, missing: str, programs: str) -> StepResult | None:
    """Return the result of a step that cannot run; None if it can."""
    reason = ""
    if step.device and missing:
        reason = missing
    elif step.program is not None and which(step.program, path=programs) is None:
        reason = f"no {step.program} on the PATH"
    elif left < _MIN_SECONDS:
        reason = "no time left"
    return StepResult(step.name, "skipped", reason=reason) if reason else None


def _run(step: Step, limit: float, env: Mapping[str, str], output: _Output) -> StepResult:
    """Run a step, and add the key lines of its output to the summary."""
    begun = monotonic()
    text = " ".join(step.command)
    output.log(f"=== {step.name}: limit {limit:.0f} s: {text}\n")
    lines, code = _captured(step.command, limit, {**os.environ, **env})
    seconds = monotonic() - begun
    output.log(lines)
    status, reason = "passed", ""
    if code is None:
        status, reason = "timed out", f"stopped after {limit:.0f} s"
    elif code != 0:
        status, reason = "failed", f"exit code {code}"
    output.summarize(f"=== {step.name}: {status}, {seconds:.1f} s{reason and ': ' + reason}")
    shown = _key_lines(step, lines.splitlines(), status == "passed")
    if shown:
        output.summarize(*(f"  {line[:_MAX_WIDTH]}" for line in shown))
    return StepResult(step.name, status, round(seconds, 1), reason, text)


def _key_lines(step: Step, lines: list[str], passed: bool) -> list[str]:
    """Return the output lines that match `step.shows`, and the last lines if the step failed."""
    matches = [n for n, line in enumerate(lines) if re.search(step.shows, line)][-step.lines :]
    last = [] if passed else range(max(0, len(lines) - _LAST_LINES), len(lines))
    return [lines[number].rstrip() for number in sorted({*matches, *last})]


def _captured(
    command: Iterable[str], limit: float, env: Mapping[str, str]
) -> tuple[str, int | None]:
    """Return the output of a command and its exit code; None if it reached the time limit."""
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
        code: int | None = None
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Also end processes that the step started and left running.
            terminate_process(process, group=True, grace=_GRACE_SECONDS)
        file.seek(0)
        return file.read().decode("utf-8", "replace"), code
