"""The processor time that a container may use: the quota of its control group."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


@dataclass(frozen=True)
class _Mount:
    """A mounted hierarchy of control groups: the group that is mounted, and where."""

    group: PurePosixPath
    folder: PurePosixPath
    unified: bool


def cpu_quota(root: Path = _ROOT) -> int | None:
    """How many whole cores the control group of this process, and those above it, allow.

    None if they set no limit. Versions 1 and 2 of control groups count, the smallest quota wins.

    A quota of 2.5 cores is 2, one below 1 is 1. Threads that use more than the quota are all
    stopped until the next period begins (usually 0.1 s), those that others wait for as well, so
    that one thread too many costs more than it computes.

    root: the folder under which `proc` and the control groups are, for tests.
    """
    shares = [quota for folder in _folders(root) if (quota := _quota(folder)) is not None]
    return max(1, int(min(shares))) if shares else None


def _quota(folder: Path) -> float | None:
    """The cores of one group: `cpu.max` of version 2, or the two files of version 1."""
    words = _words(folder / "cpu.max")
    if not words:
        words = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
    try:
        allowed, period = (int(word) for word in words)
    except ValueError:  # "max 100000", or no such files
        return None
    return allowed / period if allowed > 0 and period > 0 else None


def _folders(root: Path) -> Iterator[Path]:
    """The folders of this process's group and of all groups above it, as far as they are seen."""
    groups = dict(_groups(root))
    for mount in _mounts(root):
        group = groups.get(mount.unified)
        if group is None:
            continue
        try:
            inside = group.relative_to(mount.group)
        except ValueError:
            # The mount shows a group that is not above this one, as the container sees it: its
            # top is then the container's.
            inside = PurePosixPath()
        for part in (inside, *inside.parents):
            yield root / mount.folder.relative_to("/") / part


def _groups(root: Path) -> Iterator[tuple[bool, PurePosixPath]]:
    """For version 2 (True) and version 1, the path of this process's group."""
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield True, PurePosixPath(path)
        elif "cpu" in controllers.split(","):
            yield False, PurePosixPath(path)


def _mounts(root: Path) -> Iterator[_Mount]:
    """The mounted hierarchies that may have the quotas, from lines such as
    `30 23 0:26 /group /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct`."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        if kind[0] == "cgroup2" or "cpu" in kind[2].split(","):
            group, folder = (PurePosixPath(_unescaped(field)) for field in fields[3:5])
            if folder.is_absolute():
                yield _Mount(group, folder, kind[0] == "cgroup2")


def _unescaped(path: str) -> str:
    """Spaces in mountinfo are \\040."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), path)


def _words(path: Path) -> list[str]:
    return [word for line in _lines(path) for word in line.split()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
