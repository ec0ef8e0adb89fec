"""Kokkos in this process: the runtime library, started, and its threads."""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import threading
from contextlib import suppress
from functools import cache

from kkspdnn.errors import SpaceError, ToolchainError
from kkspdnn.pk.build.runtime_library import ONE_AT_A_TIME, toolkit
from kkspdnn.pk.build.toolchain import omp_num_threads
from kkspdnn.pk.build.toolkit import Toolkit
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime.core_watch import CoreWatch
from kkspdnn.pk.runtime.device_context import DeviceContext
from kkspdnn.pk.runtime.openmp import openmp_is_loaded, starting_openmp, was_forked
from kkspdnn.pk.system.cpu_quota import cpu_quota
from kkspdnn.pk.system.cuda_driver import Device, selected_device
from kkspdnn.pk.system.fork import kokkos_process

MOST_THREADS = 512
"""OpenMP threads that Kokkos 3.4 has room for; it dies of more without a word."""

_PATIENCE = 5
"""Seconds after which OpenMP is taken to be dead, see `_check_openmp`."""


class Runtime:
    """Kokkos, started. One for a process: Kokkos cannot be started twice."""

    def __init__(
        self, kit: Toolkit, threads: int | None, device: Device | None = None, watch: bool = False
    ) -> None:
        """threads: as for `runtime`. watch: launch with one thread while the machine is busy"""
        self.toolkit = kit
        self.device = device
        self.lock = threading.Lock()
        self._process = os.getpid()
        self._thread = threading.get_ident()
        self._entered = threading.local()
        inherited = was_forked() and openmp_is_loaded()
        self._library = kit.load()
        self._library.kkspdnn_last_error.restype = ctypes.c_char_p
        wanted = self._allowed(threads)
        if inherited:
            self._check_openmp(wanted)
        number = device.number if device is not None else -1
        kokkos_process().claim()
        if self._library.kkspdnn_initialize(wanted, number) != 0:
            raise ToolchainError(f"Kokkos did not start: {self.last_error()}")
        self._entered.done = True
        self._context = DeviceContext(number) if device is not None else None
        self.threads: int = self._library.kkspdnn_concurrency()
        self._run = self._library.kkspdnn_run
        self._run.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int]
        self._watch = CoreWatch() if watch and self._library.kkspdnn_can_run_alone() else None
        self._single = False
        atexit.register(self._finalize)

    def _allowed(self, threads: int | None) -> int:
        """The threads to start Kokkos with, no more than OpenMP gives."""
        limit: int = self._library.kkspdnn_thread_limit()
        if threads is not None:
            if threads > limit:
                raise SpaceError(
                    f"{threads} threads: OMP_THREAD_LIMIT allows {limit}; ask for at most {limit}, "
                    "or raise OMP_THREAD_LIMIT"
                )
            return threads
        said = omp_num_threads()
        if said is None:
            # OpenMP counts the cores that it may run on, but knows no quota.
            most = min(limit, MOST_THREADS, cpu_quota() or MOST_THREADS)
            default: int = self._library.kkspdnn_default_threads()
            return min(most, default)
        if said > limit:
            logging.getLogger("kkspdnn").warning(
                "OMP_NUM_THREADS=%d, but OMP_THREAD_LIMIT allows %d: running with %d threads",
                said,
                limit,
                limit,
            )
        return min(said, limit)

    def _check_openmp(self, threads: int) -> None:
        """Raise SpaceError if OpenMP waits for threads that a fork has left behind."""
        if not self._library.kkspdnn_openmp_answers(threads, _PATIENCE):
            raise SpaceError(
                "this process was forked after a library in it had used OpenMP, whose threads "
                "were not: start processes with the `spawn` method "
                "(multiprocessing.get_context('spawn'))"
            )

    def _finalize(self) -> None:
        """Stop Kokkos when the process ends. A process that was forked from it leaves it alone."""
        if os.getpid() != self._process:
            return
        if self._context is None:
            self._library.kkspdnn_finalize()
            return
        # A device that failed was reported when it failed.
        with suppress(SpaceError):
            self._context.enter()
            self._library.kkspdnn_finalize()

    def launch(self, function: int, label: bytes, arguments: bytes, divisible: bool) -> bool:
        """Run the compiled workunit at the address `function`; False if it failed.

        divisible: whether any number of threads may share the work items, so also a single one.

        Raises SpaceError in a process that was forked after Kokkos was started.
        """
        if os.getpid() != self._process:
            kokkos_process().check()
        with self.lock:
            self._enter()
            if self._context is not None:
                before = self._context.enter()
                try:
                    return not self._run(function, label, arguments, False)
                finally:
                    self._context.leave(before)
            single = divisible and self._watch is not None and self._watch.single()
            if single != self._single:
                self._single = single
                self._reset_modes()
            return not self._run(function, label, arguments, single)

    def reset_modes(self) -> None:
        """Let all threads of OpenMP compute as IEEE 754 says, whatever other libraries set.

        Cheap: to be called before each computation.
        """
        kokkos_process().check()
        with self.lock:
            self._enter()
            self._reset_modes()

    def _reset_modes(self) -> None:
        if not self._single:  # else the other threads sleep
            self._library.kkspdnn_reset_modes()

    def _enter(self) -> None:
        """Make OpenMP know the thread that launches, and has the lock."""
        if hasattr(self._entered, "done"):
            return
        before = os.sched_getaffinity(0)
        try:
            self._library.kkspdnn_enter()
        finally:
            # See starting_openmp: what else this thread of Python does is not OpenMP's business.
            os.sched_setaffinity(0, before)
        self._entered.done = True

    def last_error(self) -> str:
        text: bytes = self._library.kkspdnn_last_error()
        first = text.decode(errors="replace").partition("\n")[0]
        if threading.get_ident() != self._thread:
            # Kokkos 3.5 to 3.7 refuse others.
            first += "; launch from the thread that started Kokkos"
        return first


class _Runtimes:
    """Those of this process: a Runtime for each library and device."""

    def __init__(self) -> None:
        self._started: dict[tuple[Toolkit, Device | None], Runtime] = {}

    def get(self, kit: Toolkit, device: Device | None, threads: int | None) -> Runtime:
        """threads: only for the first call"""
        found = self._started.get((kit, device))
        if found is None:
            # A user who sets how threads wait also decides what they do on a busy machine.
            with starting_openmp(threads or omp_num_threads()) as watch:
                found = self._started[kit, device] = Runtime(kit, threads, device, watch)
        return found


@cache
def _runtimes() -> _Runtimes:
    return _Runtimes()


def runtime(space: ExecutionSpace, threads: int | None = None) -> Runtime:
    """Kokkos for `space`, started on the first call; later calls give the same Runtime.

    threads: how many OpenMP threads it is started with; None: OMP_NUM_THREADS, else as many as
    there are cores for this process. OMP_THREAD_LIMIT is obeyed. On a GPU it runs on the device
    that KOKKOS_DEVICE_ID names.

    Raises SpaceError if OpenMP does not allow so many threads, if Kokkos runs on another device of
    this process already, and in a process that was forked after Kokkos was started.
    """
    kokkos_process().check()
    with ONE_AT_A_TIME:
        if space is not ExecutionSpace.Cuda:
            return _runtimes().get(toolkit(space), None, threads)
        return _on_device(selected_device())


@cache
def _device_of_process() -> Device:
    """The first that was asked for: Kokkos keeps it to the end."""
    return selected_device()


def _on_device(wanted: Device) -> Runtime:
    first = _device_of_process()
    if first != wanted:
        raise SpaceError(
            f"Kokkos runs on device {first.number} in this process already; "
            f"start a new process for device {wanted.number}"
        )
    return _runtimes().get(toolkit(ExecutionSpace.Cuda), wanted, None)
