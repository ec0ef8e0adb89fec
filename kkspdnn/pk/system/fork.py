"""What a fork leaves behind: locks that another thread holds, and the threads of Kokkos."""

from __future__ import annotations

import os
from functools import cache
from threading import RLock
from types import TracebackType

from kkspdnn.errors import SpaceError


class ProcessLock:
    """A reentrant lock, of which a forked process has its own.

    A fork copies a lock in the state in which it is. If another thread holds it at that time, no
    thread of the child will ever release it.
    """

    def __init__(self) -> None:
        self._locks = {os.getpid(): RLock()}

    def __enter__(self) -> None:
        # setdefault is atomic, so that all threads of a process get the same lock.
        self._locks.setdefault(os.getpid(), RLock()).acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._locks[os.getpid()].release()

    def __reduce__(self) -> tuple[type[ProcessLock], tuple[()]]:
        """A copy is a new lock, as in a forked process."""
        return ProcessLock, ()


class KokkosProcess:
    """The process in which Kokkos was started.

    The threads of OpenMP and the contexts of CUDA stay in that process. In a process forked from
    it, a launch would wait forever for threads that do not exist.
    """

    def __init__(self) -> None:
        self._process: int | None = None

    def claim(self) -> None:
        """Make this process the one; SpaceError if Kokkos was started before the fork."""
        self.check()
        self._process = os.getpid()

    @property
    def is_this(self) -> bool:
        """Is Kokkos usable here, as far as forks are concerned?"""
        return self._process is None or self._process == os.getpid()

    def check(self) -> None:
        """Raise SpaceError in a process that was forked after Kokkos was started."""
        if not self.is_this:
            raise SpaceError(
                "this process was forked after Kokkos was started, and its threads were not: "
                "start processes with the `spawn` method (multiprocessing.get_context('spawn')), "
                "or fork before the first computation"
            )


@cache
def kokkos_process() -> KokkosProcess:
    """Of this process and those that are forked from it."""
    return KokkosProcess()
