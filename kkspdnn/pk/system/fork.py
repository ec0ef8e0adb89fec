"""Locks, and the state of Kokkos, that stay correct in forked processes."""

from __future__ import annotations

import os
from functools import cache
from threading import RLock
from types import TracebackType

from kkspdnn.errors import SpaceError


class ProcessLock:
    """A reentrant lock that a forked process does not inherit: each process has its own.

    A fork copies an ordinary lock in its current state. If another thread holds it at that time,
    no thread of the child will ever release it.
    """

    def __init__(self) -> None:
        self._locks = {os.getpid(): RLock()}

    def __enter__(self) -> None:
        # setdefault is atomic, so that all threads of a process get the same lock.
        self._locks.setdefault(os.getpid(), RLock()).acquire()

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._locks[os.getpid()].release()

    def __reduce__(self) -> tuple[type[ProcessLock], tuple[()]]:
        """A pickled lock is unpickled as a new one, as in a forked process."""
        return ProcessLock, ()


class KokkosProcess:
    """Records which process started Kokkos.

    The threads of OpenMP and the contexts of CUDA exist in that process only. In a process forked
    from it, a launch would wait forever for threads that do not exist.
    """

    def __init__(self) -> None:
        self._process: int | None = None

    def claim(self) -> None:
        """Record this process as the one that starts Kokkos.

        Raises SpaceError if Kokkos was started before the fork.
        """
        self.check()
        self._process = os.getpid()

    @property
    def is_usable(self) -> bool:
        """Whether Kokkos runs in this process or has not been started."""
        return self._process is None or self._process == os.getpid()

    def check(self) -> None:
        """Raise SpaceError in a process that was forked after Kokkos was started."""
        if not self.is_usable:
            raise SpaceError(
                "this process was forked after Kokkos was started, and its threads were not: "
                "start processes with the `spawn` method (multiprocessing.get_context('spawn')), "
                "or fork before the first computation"
            )


@cache
def kokkos_process() -> KokkosProcess:
    """Return the record that this process shares with the processes forked from it."""
    return KokkosProcess()
