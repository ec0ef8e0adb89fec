"""The environment of a record: machine, GPU, compilers, package versions and source commit."""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench.peer import package_version
from kkspdnn.errors import ToolchainError
from kkspdnn.pk.build.toolchain import host_compiler, machine, run_tool
from kkspdnn.pk.system.cuda_driver import devices
from kkspdnn.records.comparison import (
    Ceilings,
    Comparison,
    LayerCounts,
    NetworkSize,
    PeerResult,
)
from kkspdnn.records.spgemm_study import SpgemmCase, SpgemmStudy
from kkspdnn.version import own_version

_FEATURES = ("sse", "ssse", "avx", "fma", "f16c", "bmi", "amx", "asimd", "sve", "vsx")
_ROOT = Path(__file__).parents[1]
_EXPORTED = Path(__file__).with_name("commit.txt")
"""`git archive` writes the commit into this file."""


@dataclass(frozen=True)
class Environment:
    """The fields of `kkspdnn.records.comparison.Comparison` that do not depend on a measurement."""

    machine: str
    cpu_features: tuple[str, ...]
    gpu: str | None
    compilers: dict[str, str]
    versions: dict[str, str]
    commit: str | None

    def header(self, kind: str, module: str) -> dict[str, Any]:
        """Return the first fields of a JSON record, created now.

        kind: the name and version of the record's format
        module: the module that `python -m` runs to make the record
        """
        return {
            "kind": kind,
            "created": _now(),
            "machine": self.machine,
            "compilers": self.compilers,
            "versions": self.versions,
            "commit": self.commit,
            "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        }

    def record(
        self,
        threads: int,
        command: str,
        network: NetworkSize | None,
        rows: tuple[PeerResult, ...] = (),
        layers: LayerCounts | None = None,
        ceilings: Ceilings | None = None,
    ) -> Comparison:
        """Return a comparison record in this environment, created now."""
        return Comparison(
            created=_now(),
            threads=threads,
            command=command,
            **vars(self),
            network=network,
            rows=rows,
            layers=layers,
            ceilings=ceilings,
        )

    def spgemm_record(
        self, threads: int, command: str, cases: tuple[SpgemmCase, ...]
    ) -> SpgemmStudy:
        """Return a record of SpGEMM implementations in this environment, created now."""
        return SpgemmStudy(
            created=_now(),
            threads=threads,
            command=command,
            **vars(self),
            cases=cases,
        )


def collect_environment() -> Environment:
    """Return the environment of this process: this machine and this source tree."""
    try:
        compilers = {"c++": host_compiler().version}
    except ToolchainError:
        compilers = {}
    versions = {name: package_version(name) for name in ("numpy", "scipy")}
    return Environment(
        machine=machine(),
        cpu_features=_features(),
        gpu=_gpu(),
        compilers=compilers,
        versions={
            "kkspdnn": own_version(),
            "python": platform.python_version(),
            "system": platform.platform(),
            **versions,
        },
        commit=source_commit(),
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _features() -> tuple[str, ...]:
    """Return the SIMD features of the processor, as named in /proc/cpuinfo."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ()
    for line in lines:
        name, _, words = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return tuple(sorted(w for w in set(words.split()) if w.startswith(_FEATURES)))
    return ()


def _gpu() -> str | None:
    try:
        command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        if shutil.which("nvidia-smi") is not None:
            return run_tool(command, "asking nvidia-smi").strip().replace("\n", "; ") or None
    except ToolchainError:
        pass
    return "; ".join(f"{device.name}, {device.arch}" for device in devices()) or None


def source_commit() -> str | None:
    """Return the commit of this clone or git archive; None if unknown.

    The commit of a clone ends with "+" if tracked files have changed.
    """
    exported = _EXPORTED.read_text(encoding="utf-8").strip()
    if not exported.startswith("$"):
        return exported
    return git_commit(_ROOT, "--untracked-files=no")


def git_commit(folder: Path, *status_options: str) -> str | None:
    """Return the commit of the git checkout in a folder; None if there is none.

    The commit ends with "+" if `git status` with these options lists a changed file.
    """
    git = ["git", "-C", str(folder)]
    commands = [*git, "rev-parse", "HEAD"], [*git, "status", "--porcelain", *status_options]
    try:
        head, changes = (
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changes else "")
