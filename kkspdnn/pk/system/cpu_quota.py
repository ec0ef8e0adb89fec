"""The CPU quota of a container, read from its control groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


@dataclass(frozen=True)
class _Mount:
    """A mounted hierarchy of control groups.

    group: the control group that is mounted; folder: the mount point; unified: version 2
    """

    group: PurePosixPath
    folder: PurePosixPath
    unified: bool


def cpu_quota(root: Path = _ROOT) -> int | None:
    """Return the number of whole cores that the control groups of this process allow.

    None means no limit. Both versions of control groups are read, and the groups above this
    process's own; the smallest quota counts. A quota of 2.5 cores is 2, one below 1 is 1.

    If the threads of a container use more than its quota, the kernel stops all of them until the
    next period begins (usually 0.1 s). One thread too many therefore costs more than it computes.

    root: the folder that contains `proc` and the control groups, for tests
    """
    readings = (_read_quota(folder) for folder in _group_folders(root))
    quotas = [quota for quota in readings if quota is not None]
    return max(1, int(min(quotas))) if quotas else None


def _read_quota(folder: Path) -> float | None:
    """Return the quota of a control group in cores, None if it has none.

    Version 2 has the file `cpu.max`; version 1 has one file for the quota, one for the period.
    """
    words = _read_words(folder / "cpu.max")
    if not words:
        words = _read_words(folder / "cpu.cfs_quota_us") + _read_words(folder / "cpu.cfs_period_us")
    try:
        quota, period = (int(word) for word in words)
    except ValueError:  # "max 100000", or the files are missing
        return None
    return quota / period if quota > 0 and period > 0 else None


def _group_folders(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's control groups and of the visible groups above them."""
    groups = dict(_own_groups(root))
    for mount in _mounts(root):
        group = groups.get(mount.unified)
        if group is None:
            continue
        try:
            relative = group.relative_to(mount.group)
        except ValueError:
            # In a container the mount may show a group that is not above this process's path. The
            # top of the mount is then the container's own group.
            relative = PurePosixPath()
        for path in (relative, *relative.parents):
            yield root / mount.folder.relative_to("/") / path


def _own_groups(root: Path) -> Iterator[tuple[bool, PurePosixPath]]:
    """Yield whether a hierarchy is of version 2, and the path of this process's group in it."""
    for line in _read_lines(root / "proc/self/cgroup"):
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if hierarchy == "0" and not controllers:
            yield True, PurePosixPath(path)
        elif "cpu" in controllers.split(","):
            yield False, PurePosixPath(path)


def _mounts(root: Path) -> Iterator[_Mount]:
    """Yield the mounted hierarchies that may have CPU quotas.

    A line of mountinfo, see proc(5):
    `30 23 0:26 /group /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct`.
    """
    for line in _read_lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, filesystem = before.split(), after.split()
        if len(fields) < 5 or len(filesystem) < 3 or filesystem[0] not in ("cgroup", "cgroup2"):
            continue
        if filesystem[0] == "cgroup2" or "cpu" in filesystem[2].split(","):
            group, folder = (PurePosixPath(_unescape(field)) for field in fields[3:5])
            if folder.is_absolute():
                yield _Mount(group, folder, filesystem[0] == "cgroup2")


def _unescape(path: str) -> str:
    """Decode a path of mountinfo, in which a space is \\040."""
    return re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), path)


def _read_words(path: Path) -> list[str]:
    return [word for line in _read_lines(path) for word in line.split()]


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
