"""The origin of a record: its time, the source commit, and the versions of Python and packages."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kkspdnn.version import own_version

_ROOT = Path(__file__).parents[2]
_EXPORTED = Path(__file__).parents[1] / "data" / "commit.txt"
"""`git archive` writes the commit into this file."""

_PACKAGES = ("numpy", "scipy", "mpi4py", "cupy-cuda12x", "cupy-cuda13x")


@dataclass(frozen=True)
class Provenance:
    """The origin of a record.

    created: ISO 8601, UTC
    commit: of the source, see `source_commit`
    versions: of kkspdnn, Python, the operating system and packages, by name
    """

    created: str
    commit: str | None
    versions: dict[str, str]


def collect_provenance() -> Provenance:
    """Return the origin of a record that is created now."""
    commit, versions = _of_this_process()
    return Provenance(now(), commit, dict(versions))


@cache
def _of_this_process() -> tuple[str | None, dict[str, str]]:
    # git and the metadata of packages take longer than a small run.
    return source_commit(), _own_versions() | package_versions(_PACKAGES)


def now() -> str:
    """Return the time as ISO 8601, UTC, in seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _own_versions() -> dict[str, str]:
    return {
        "kkspdnn": own_version(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those of these distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def load_average() -> float | None:
    """Return the load average of the last minute; None if the system does not tell."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def source_commit() -> str | None:
    """Return the commit of this clone or git archive; None if unknown.

    The commit of a clone ends with "+" if tracked files have changed.
    """
    try:
        exported = _EXPORTED.read_text(encoding="utf-8").strip()
    except OSError:
        exported = "$"
    if not exported.startswith("$"):
        return exported
    # A package that is installed below another project's clone does not have its commit.
    return git_commit(_ROOT, "--untracked-files=no") if (_ROOT / ".git").exists() else None


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
