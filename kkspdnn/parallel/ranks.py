"""The MPI ranks of a run, and this process among them."""

from __future__ import annotations

import os
import socket
import sys
from array import array
from collections.abc import Callable
from contextlib import suppress
from fcntl import ioctl
from importlib import import_module
from stat import S_ISFIFO
from termios import FIONREAD
from time import perf_counter, sleep
from types import ModuleType
from typing import Any, NoReturn, TypeVar, cast

from kkspdnn.errors import InputError, KkspdnnError, short_repr
from kkspdnn.parallel.launcher import Launch
from kkspdnn.parallel.shared_memory import NodeLeaderError, share_on_node

T = TypeVar("T")

_MIN_SLEEP, _MAX_SLEEP = 1e-5, 1e-3
"""Seconds between two polls, at least and at most."""

_STDERR, _MAX_READ_DELAY = 2, 1.0
"""The descriptor of standard error, and the maximum wait for its reader in seconds."""


class CollectiveError(Exception):
    """An error of one rank, raised on all ranks.

    error: the original error; rank: the rank that raised it
    """

    def __init__(self, error: Exception, rank: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.rank = rank

    def __reduce__(self) -> tuple[Any, ...]:
        # By default, pickle would pass only the message to the constructor.
        return type(self), (self.error, self.rank)


class Ranks:
    """The ranks of an MPI communicator, or this process alone.

    comm: an mpi4py communicator, which is duplicated; None: this process alone
    rank, size: the number of this rank, and of ranks
    local_rank, local_size: the same among the ranks of this node
    host: the name of this node

    All methods are collective over all ranks, or over those of the node, except send, receive and
    fail.
    """

    def __init__(self, comm: Any = None) -> None:
        self.rank, self.size = 0, 1
        self.local_rank, self.local_size = 0, 1
        self.host = socket.gethostname()
        self._comm: Any = None
        self._node: Any = None
        if comm is None or comm.Get_size() == 1:
            return
        # Pickle protocol 5 sends arrays without a copy, and more than 2 GiB at once.
        pkl5 = import_module("mpi4py.util.pkl5")
        self._comm = pkl5.Intracomm(comm.Dup())
        self._node = self._comm.Split_type(_mpi().COMM_TYPE_SHARED)
        self.rank, self.size = self._comm.rank, self._comm.size
        self.local_rank, self.local_size = self._node.rank, self._node.size

    @classmethod
    def from_comm(cls, comm: Any) -> Ranks:
        """Return the Ranks of a communicator or None; Ranks are returned unchanged.

        Raises InputError for any other object.
        """
        if comm is not None and not isinstance(comm, Ranks) and not hasattr(comm, "Get_size"):
            raise InputError(
                f"comm={short_repr(comm)}: give a communicator of mpi4py, such as MPI.COMM_WORLD"
            )
        return comm if isinstance(comm, Ranks) else cls(comm)

    def gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in order, on rank 0, and an empty list on the others."""
        if self._comm is None:
            return [value]
        _wait_for_all(self._comm)
        return self._comm.gather(value) or []

    def all_gather(self, value: T) -> list[T]:
        """Return the values of all ranks, in order, on every rank."""
        if self._comm is None:
            return [value]
        _wait_for_all(self._comm)
        values: list[T] = self._comm.allgather(value)
        return values

    def all_gather_node(self, value: T) -> list[T]:
        """Return the values of all ranks of this node, in order."""
        if self._node is None:
            return [value]
        values: list[T] = self._node.allgather(value)
        return values

    def broadcast(self, value: T | None) -> T:
        """Return the value of rank 0, which must not be None, on every rank."""
        if self._comm is None:
            return cast(T, value)
        _wait_for_all(self._comm)
        received: T = self._comm.bcast(value)
        return received

    def run_collectively(self, action: Callable[[], T]) -> T:
        """Return the result of `action` on this rank once it is done on all ranks.

        If it raises an error that the user can correct on any rank, CollectiveError is raised on
        all ranks. All ranks wait for the slowest one.
        """
        result: T | None = None
        error: Exception | None = None
        try:
            result = action()
        except (KkspdnnError, OSError, MemoryError) as raised:
            error = raised
        if self._comm is None and error is not None:
            raise error
        for rank, raised_there in enumerate(self.all_gather(error)):
            if raised_there is not None and not isinstance(raised_there, NodeLeaderError):
                raise CollectiveError(raised_there, rank)
        return cast(T, result)

    def barrier(self) -> None:
        """Wait until all ranks have called this method."""
        if self._comm is not None:
            _wait_for_all(self._comm)
            self._comm.Barrier()

    def once_per_node(self, create: Callable[[], T]) -> T:
        """Return the object that `create` returns on the first rank of this node.

        The node has one copy of its arrays, which are read-only.
        """
        if self._node is None:
            return create()
        return share_on_node(self._node, create)

    def first_of_node_first(self, action: Callable[[], T]) -> T:
        """Run `action` on the first rank of each node, then on the others.

        Returns the result on this rank. So the first rank compiles, and the others find the
        compiled code in the cache.
        """
        if self._node is None:
            return action()
        if self.local_rank == 0:
            result = action()
            _wait_for_all(self._node)
            return result
        _wait_for_all(self._node)
        return action()

    def send(self, value: object, to: int) -> None:
        """Send a value to another rank, which must receive it; returns once it may be changed."""
        request = self._comm.isend(value, to)
        _wait(lambda: request.test()[0])

    def receive(self, source: int) -> Any:
        """Return the next value that the rank `source` sends to this one."""
        _wait(lambda: self._comm.iprobe(source))
        return self._comm.recv(source=source)

    def close(self) -> None:
        """Free the communicators; an MPI library supports only some thousand of them."""
        if self._comm is not None:
            self._node.Free()
            self._comm.Free()

    def fail(self, code: int) -> NoReturn:
        """Abort all ranks with this exit code."""
        _abort(self._comm, code)


def _wait_for_all(comm: Any) -> None:
    """Wait until all ranks of a communicator have called this function."""
    _wait(comm.Ibarrier().Test)


def _wait(is_done: Callable[[], bool]) -> None:
    """Poll until `is_done`, and sleep in between.

    MPI itself waits in a busy loop, which would take a core from ranks that still compute. A sleep
    lasts a twentieth of the time waited so far, within the limits above.
    """
    start = perf_counter()
    while not is_done():
        sleep(min(max(_MIN_SLEEP, (perf_counter() - start) / 20), _MAX_SLEEP))


def launched_ranks(launch: Launch | None) -> Ranks:
    """Return the ranks of a launch; None: this process alone.

    Raises InputError if mpi4py is missing, or if its MPI is not the one of the launcher.
    """
    if launch is None:
        return Ranks()
    try:
        world = _mpi().COMM_WORLD
    except ImportError as error:
        raise InputError(
            f"{launch.launcher} started {launch.size} processes, but mpi4py cannot be imported "
            f"({error}): pip install mpi4py, or unset {launch.variable} to run each "
            "process by itself"
        ) from error
    except RuntimeError as error:
        raise InputError(
            f"{launch.launcher} started {launch.size} processes, but mpi4py finds no MPI library: "
            "pip install mpich, or load your cluster's MPI, or unset "
            f"{launch.variable} to run each process by itself"
        ) from error
    if world.size != launch.size:
        library = " ".join(_mpi().Get_library_version().split(",")[0].split()[:3])
        raise InputError(
            f"{launch.launcher} started {launch.size} processes, but mpi4py's MPI ({library}) sees "
            f"{world.size}: start them with the mpiexec of that MPI, or srun --mpi=pmi2 or pmix, "
            f"or unset {launch.variable} to run each process by itself"
        )
    return Ranks(world)


def abort(code: int) -> NoReturn:
    """Abort all processes of the launch with this exit code, even before Ranks exist."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or not mpi.Is_initialized() or mpi.Is_finalized():
        os._exit(code)
    _abort(mpi.COMM_WORLD, code)


def _abort(comm: Any, code: int) -> NoReturn:
    """Abort all ranks of the communicator with this exit code; None: end this process alone."""
    if comm is not None:
        _wait_until_read(_STDERR)
        comm.Abort(code)
    os._exit(code)


def _wait_until_read(descriptor: int) -> None:
    """Wait until the reader of a pipe has read all that was written, for at most a second.

    At an abort, MPICH's launcher discards output that it has not read yet, such as the error
    message. Returns at once for anything but a pipe.
    """
    end = perf_counter() + _MAX_READ_DELAY
    with suppress(OSError):  # the descriptor is closed
        if S_ISFIFO(os.fstat(descriptor).st_mode):
            _wait(lambda: _unread_bytes(descriptor) == 0 or perf_counter() > end)


def _unread_bytes(pipe: int) -> int:
    count = array("i", [0])
    ioctl(pipe, FIONREAD, count)
    return count[0]


def _mpi() -> ModuleType:
    return import_module("mpi4py.MPI")
