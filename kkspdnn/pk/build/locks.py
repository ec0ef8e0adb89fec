"""
File locks between processes, by flock(2). The kernel releases them when a process ends.

A lock's file holds the process id and the host of its holder, so that others can say whom they
wait for.
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

_POLL = 0.05
_PATIENCE = 1.0
"""Seconds between two attempts, and until a process says that it waits."""


@contextmanager
def exclusive(path: Path, doing: str) -> Iterator[None]:
    """Hold the lock alone; wait for another holder, and log that after a second.

    doing: what the holder does, after "to", for the message. Raises OSError where the file cannot
    be made.
    """
    with _opened(path) as descriptor:
        begun, told = monotonic(), False
        while not _try(descriptor, fcntl.LOCK_EX):
            holder = _holder(descriptor)
            if not told and monotonic() - begun > _PATIENCE and holder != _self():
                log_progress(f"waiting for {holder or 'another process'} to {doing}")
                told = True
            if stop_requested():
                raise ToolchainError(f"waiting for {holder} to {doing}: stopped")
            sleep(_POLL)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _self().encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock together with other shared holders; wait for an exclusive one."""
    with _opened(path) as descriptor:
        while not _try(descriptor, fcntl.LOCK_SH):
            sleep(_POLL)
        yield


@contextmanager
def at_once(path: Path) -> Iterator[bool]:
    """Hold the lock alone if nobody else holds it; gives whether it does."""
    with _opened(path) as descriptor:
        yield _try(descriptor, fcntl.LOCK_EX)


def holder_of(path: Path) -> str | None:
    """Who holds the exclusive lock of this file, such as `process 12`; None where nobody does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return None if _try(descriptor, fcntl.LOCK_SH) else _holder(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        yield descriptor
    finally:
        # Closing alone would leave it locked by a process that was forked meanwhile.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _try(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _self() -> str:
    return f"process {os.getpid()} on {platform.node()}"


def _holder(descriptor: int) -> str:
    """The text in the lock's file, without the host where that is this one."""
    text = os.pread(descriptor, 200, 0).decode(errors="replace").partition("\n")[0]
    return text if text == _self() else text.removesuffix(f" on {platform.node()}")
