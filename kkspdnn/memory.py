"""How much memory is left, and a clear refusal of what cannot fit into it."""

from __future__ import annotations

from pathlib import Path

import psutil

from kkspdnn.errors import InputError

_GROUPS = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)
"""The files of a control group, versions 2 and 1: its limit, its use, and what of that is cache."""


def free_memory(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that are free on this machine, or in the container that this process runs in."""
    free = int(psutil.virtual_memory().available)
    for limit, used, cached in _GROUPS:
        try:
            most = (groups / limit).read_text().strip()
            current = int((groups / used).read_text())
            stat = (groups / used).with_name("memory.stat").read_text()
            cache = dict(line.split() for line in stat.splitlines()).get(cached, "0")
            if most != "max":
                free = min(free, max(0, int(most) - current + int(cache)))
        except (OSError, ValueError):
            continue
    return free


def require_memory(needed: int, what: str) -> None:
    """Raise InputError, beginning with `what`, where `needed` bytes are more than are free."""
    free = free_memory()
    if needed > free:
        raise InputError(
            f"{what} need {needed / 2**30:.1f} GiB of memory, {free / 2**30:.1f} GiB are free"
        )
