"""This process among the ranks of a run."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from time import perf_counter, sleep
from types import ModuleType
from typing import Any, NoReturn, TypeVar, cast

from kkspdnn.errors import InputError, KkspdnnError
from kkspdnn.parallel.launcher import Launch
from kkspdnn.parallel.shared_memory import NotMadeError, shared

T = TypeVar("T")

_PAUSE, _LONGEST_PAUSE = 1e-5, 1e-3
"""Seconds between two looks at whether the others have come: at least and at most."""


class CollectiveError(Exception):
    """What failed on one rank, `rank`, raised on all of them."""

    def __init__(self, error: Exception, rank: int) -> None:
        super().__init__(str(error))
        self.error = error
        self.rank = rank

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are made again from their text alone.
        return type(self), (self.error, self.rank)


class Ranks:
    """The ranks of a communicator, or this process alone.

    comm: None, or an mpi4py communicator, which is duplicated
    rank, size: of this process and in all; local_rank, local_size: on its node; host: the node

    All methods but send, receive and fail are collective: every rank of the run, or of the node,
    calls them.
    """

    def __init__(self, comm: Any = None) -> None:
        self.rank, self.size = 0, 1
        self.local_rank, self.local_size = 0, 1
        self.host = socket.gethostname()
        self._comm: Any = None
        self._node: Any = None
        if comm is None or comm.Get_size() == 1:
            return
        # Pickle 5 sends arrays without a copy, and more than 2 GiB of them.
        pkl5 = import_module("mpi4py.util.pkl5")
        self._comm = pkl5.Intracomm(comm.Dup())
        self._node = self._comm.Split_type(_mpi().COMM_TYPE_SHARED)
        self.rank, self.size = self._comm.rank, self._comm.size
        self.local_rank, self.local_size = self._node.rank, self._node.size

    @classmethod
    def of(cls, comm: Any) -> Ranks:
        """Ranks as they are, or those of a communicator; None: this process alone."""
        return comm if isinstance(comm, Ranks) else cls(comm)

    def gather(self, value: T) -> list[T]:
        """Of every rank its value, in order, on rank 0; elsewhere nothing."""
        if self._comm is None:
            return [value]
        self._meet(self._comm)
        return self._comm.gather(value) or []

    def all_gather(self, value: T) -> list[T]:
        """Of every rank its value, in order, on every rank."""
        if self._comm is None:
            return [value]
        self._meet(self._comm)
        found: list[T] = self._comm.allgather(value)
        return found

    def all_gather_node(self, value: T) -> list[T]:
        """Of every rank of this node its value, in order."""
        if self._node is None:
            return [value]
        found: list[T] = self._node.allgather(value)
        return found

    def broadcast(self, value: T | None) -> T:
        """The value of rank 0, where it is not None."""
        if self._comm is None:
            return cast(T, value)
        self._meet(self._comm)
        found: T = self._comm.bcast(value)
        return found

    def run_collectively(self, action: Callable[[], T]) -> T:
        """What `action` gives on this rank, once it is done on all. Where it fails on any with what
        the user can mend, CollectiveError is raised on all: for what takes all ranks about as
        long."""
        made: T | None = None
        error: Exception | None = None
        try:
            made = action()
        except (KkspdnnError, OSError, MemoryError) as found:
            error = found
        if self._comm is None and error is not None:
            raise error
        for rank, found_there in enumerate(self.all_gather(error)):
            if found_there is not None and not isinstance(found_there, NotMadeError):
                raise CollectiveError(found_there, rank)
        return cast(T, made)

    def barrier(self) -> None:
        """Return once all ranks have come here, to all at the same time."""
        if self._comm is not None:
            self._meet(self._comm)
            self._comm.Barrier()

    def once_per_node(self, make: Callable[[], T]) -> T:
        """What `make` gives on the first rank of each node; the node has its arrays once, and they
        are read-only."""
        if self._node is None:
            return make()
        return shared(self._node, make)

    def first_of_node_first(self, action: Callable[[], T]) -> T:
        """Every rank's own `action`, after that of the first rank of its node, which so compiles
        what the others then find in the cache."""
        if self._node is None:
            return action()
        if self.local_rank == 0:
            done = action()
            self._meet(self._node)
            return done
        self._meet(self._node)
        return action()

    def send(self, value: object, to: int) -> None:
        """Give a value to another rank, which must receive it; returns once it is on its way."""
        request = self._comm.isend(value, to)
        _wait(lambda: request.test()[0])

    def receive(self, source: int) -> Any:
        """The next value that another rank sends to this one."""
        _wait(lambda: self._comm.iprobe(source))
        return self._comm.recv(source=source)

    def close(self) -> None:
        """Give back what MPI keeps for these ranks; it has room for some thousand."""
        if self._comm is not None:
            self._node.Free()
            self._comm.Free()

    def fail(self, code: int) -> NoReturn:
        """End every rank of the run, wherever it is, with this exit code."""
        if self._comm is not None:
            self._comm.Abort(code)
        os._exit(code)

    def _meet(self, comm: Any) -> None:
        _wait(comm.Ibarrier().Test)


def _wait(over: Callable[[], bool]) -> None:
    """Wait for others without taking a core from those that still compute: MPI's own waiting is a
    busy loop. It takes a twentieth longer than it must."""
    begun = perf_counter()
    while not over():
        sleep(min(max(_PAUSE, (perf_counter() - begun) / 20), _LONGEST_PAUSE))


def launched_ranks(launch: Launch | None) -> Ranks:
    """All processes of a launch; None: this process alone.

    InputError where mpi4py is missing, or its MPI is not the launcher's.
    """
    if launch is None:
        return Ranks()
    try:
        world = _mpi().COMM_WORLD
    except ImportError as error:
        raise InputError(
            f"{launch.by} started {launch.size} processes, but mpi4py cannot be used ({error}): "
            f"pip install 'kkspdnn[mpi]', or unset {launch.variable} for a process of its own"
        ) from error
    except RuntimeError as error:
        raise InputError(
            f"{launch.by} started {launch.size} processes, but mpi4py finds no MPI library: "
            "pip install 'kkspdnn[mpi]', or load your cluster's MPI, or unset "
            f"{launch.variable} for a process of its own"
        ) from error
    if world.size != launch.size:
        library = " ".join(_mpi().Get_library_version().split(",")[0].split()[:3])
        raise InputError(
            f"{launch.by} started {launch.size} processes, but mpi4py's MPI ({library}) sees "
            f"{world.size}: start them with the mpiexec of that MPI, or srun --mpi=pmi2 or pmix, "
            f"or unset {launch.variable} for a process of its own"
        )
    return Ranks(world)


def abort(code: int) -> NoReturn:
    """End every process of the launch with this exit code, before its ranks are known too."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized():
        mpi.COMM_WORLD.Abort(code)
    os._exit(code)


def _mpi() -> ModuleType:
    return import_module("mpi4py.MPI")
