"""File locks between processes, with flock(2). The kernel releases them when a process ends.

The file of a lock contains the process id and the host of its holder, so that a waiting process can
name the holder.
"""

from __future__ import annotations

import fcntl
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from kkspdnn.errors import ToolchainError
from kkspdnn.pk.system.progress_log import log_progress
from kkspdnn.pk.system.termination import stop_requested

_POLL_SECONDS = 0.05
"""The time between two attempts to get a lock."""

_LOG_AFTER_SECONDS = 1.0
"""The time after which a waiting process logs that it waits."""


@contextmanager
def exclusive(path: Path, action: str) -> Iterator[None]:
    """Hold the exclusive lock; wait for other holders, and log that after a second.

    Raises OSError if the file cannot be created, and ToolchainError if the wait is stopped.

    action: what the holder does, for the message "waiting for ... to `action`"
    """
    with _open_file(path) as descriptor:
        start, logged = monotonic(), False
        while not _try_lock(descriptor, fcntl.LOCK_EX):
            holder = _read_holder(descriptor)
            waited = monotonic() - start
            if not logged and waited > _LOG_AFTER_SECONDS and holder != _this_process():
                log_progress(f"waiting for {holder or 'another process'} to {action}")
                logged = True
            if stop_requested():
                raise ToolchainError(f"waiting for {holder} to {action}: stopped")
            sleep(_POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _this_process().encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the shared lock; wait for an exclusive holder."""
    with _open_file(path) as descriptor:
        while not _try_lock(descriptor, fcntl.LOCK_SH):
            sleep(_POLL_SECONDS)
        yield


@contextmanager
def try_exclusive(path: Path) -> Iterator[bool]:
    """Hold the exclusive lock if it is free; yield whether it was."""
    with _open_file(path) as descriptor:
        yield _try_lock(descriptor, fcntl.LOCK_EX)


def holder_of(path: Path) -> str | None:
    """Return the holder of an exclusive lock, such as `process 12`; None if it is free."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return None if _try_lock(descriptor, fcntl.LOCK_SH) else _read_holder(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _open_file(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        yield descriptor
    finally:
        # Closing the file is not enough: a process that was forked meanwhile still has it open.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _try_lock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _this_process() -> str:
    return f"process {os.getpid()} on {platform.node()}"


def _read_holder(descriptor: int) -> str:
    """Return the text in the file of a lock, without the host if it is this one."""
    text = os.pread(descriptor, 200, 0).decode(errors="replace").partition("\n")[0]
    return text if text == _this_process() else text.removesuffix(f" on {platform.node()}")
