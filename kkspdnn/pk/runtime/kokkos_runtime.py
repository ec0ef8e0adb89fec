"""Kokkos in this process: starts it, and launches compiled workunits on its threads."""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from time import perf_counter

from kkspdnn.errors import SpaceError, ToolchainError
from kkspdnn.pk.build.find_runtime import KOKKOS_LOCK, find_runtime_library
from kkspdnn.pk.build.runtime_library import RuntimeLibrary
from kkspdnn.pk.build.toolchain import omp_num_threads
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime.cpu_load import CpuLoadMonitor
from kkspdnn.pk.runtime.device_context import DeviceContext
from kkspdnn.pk.runtime.launch_times import Recorders, active_recorders, timed
from kkspdnn.pk.runtime.openmp import openmp_is_loaded, openmp_start_settings, was_forked
from kkspdnn.pk.system.cpu_quota import cpu_quota
from kkspdnn.pk.system.cuda_driver import Device, selected_device
from kkspdnn.pk.system.fork import kokkos_process

MAX_THREADS = 512
"""The maximum number of OpenMP threads in Kokkos 3.4, which crashes with more."""

_OPENMP_TIMEOUT = 5
"""Seconds that a parallel region may take in `_check_openmp`."""


class Runtime:
    """Kokkos, started with the runtime library of an execution space.

    Kokkos cannot be started twice in a process, so there is one Runtime for each library and
    device, see `get_runtime`.
    """

    def __init__(
        self,
        library: RuntimeLibrary,
        threads: int | None,
        device: Device | None = None,
        monitor_load: bool = False,
    ) -> None:
        """Load the libraries and start Kokkos.

        threads: see `get_runtime`
        monitor_load: launch with a single thread while other processes use the cores
        """
        self.library = library
        self.device = device
        self.lock = threading.Lock()
        self._acquire, self._release = self.lock.acquire, self.lock.release
        self._process = os.getpid()
        self._thread = threading.get_ident()
        self._registered = threading.local()
        # A forked process has none of the threads: its launches must register, which is refused.
        os.register_at_fork(after_in_child=self._forget_threads)
        inherited = was_forked() and openmp_is_loaded()
        self._functions = library.load()
        self._functions.kkspdnn_last_error.restype = ctypes.c_char_p
        thread_count = self._thread_count(threads)
        if inherited:
            self._check_openmp(thread_count)
        number = device.number if device is not None else -1
        kokkos_process().claim()
        if self._functions.kkspdnn_initialize(thread_count, number) != 0:
            raise ToolchainError(f"Kokkos did not start: {self.last_error()}")
        self._registered.done = True
        # The address of the launcher of several workunits, see `LaunchSequence`.
        self.launch_all = ctypes.cast(self._functions.kkspdnn_launch_all, ctypes.c_void_p)
        self._context = DeviceContext(number) if device is not None else None
        self.threads: int = self._functions.kkspdnn_concurrency()
        self._run: Callable[..., int]
        active_recorders().follow(self._record)
        can_run_alone = monitor_load and self._functions.kkspdnn_can_run_alone()
        self._load_monitor = CpuLoadMonitor() if can_run_alone else None
        self._single = 0
        atexit.register(self._finalize)

    def _thread_count(self, threads: int | None) -> int:
        """Return the number of threads to start Kokkos with, within OpenMP's limit."""
        limit: int = self._functions.kkspdnn_thread_limit()
        if threads is not None:
            if threads > limit:
                raise SpaceError(
                    f"{threads} threads: OMP_THREAD_LIMIT allows {limit}; ask for at most {limit}, "
                    "or raise OMP_THREAD_LIMIT"
                )
            return threads
        requested = omp_num_threads()
        if requested is None:
            # OpenMP counts the cores that it may run on, but does not know the quota.
            maximum = min(limit, MAX_THREADS, cpu_quota() or MAX_THREADS)
            default: int = self._functions.kkspdnn_default_threads()
            return min(maximum, default)
        if requested > limit:
            logging.getLogger("kkspdnn").warning(
                "OMP_NUM_THREADS=%d, but OMP_THREAD_LIMIT allows %d: running with %d threads",
                requested,
                limit,
                limit,
            )
        return min(requested, limit)

    def _check_openmp(self, threads: int) -> None:
        """Raise SpaceError if OpenMP waits for threads that a fork did not copy."""
        if not self._functions.kkspdnn_openmp_answers(threads, _OPENMP_TIMEOUT):
            raise SpaceError(
                "this process was forked after a library in it had used OpenMP, whose threads "
                "were not: start processes with the `spawn` method "
                "(multiprocessing.get_context('spawn'))"
            )

    def _finalize(self) -> None:
        """Stop Kokkos when the process that started it ends."""
        if os.getpid() != self._process:
            return
        if self._context is None:
            self._functions.kkspdnn_finalize()
            return
        # The failure of a device was reported when it happened.
        with suppress(SpaceError):
            self._context.activate()
            self._functions.kkspdnn_finalize()

    def launch(
        self,
        function: ctypes.c_void_p,
        label: bytes,
        arguments: bytes,
        single_thread: bool | None,
    ) -> bool:
        """Run a compiled workunit; return False if it failed.

        Raises SpaceError in a process that was forked after Kokkos was started.

        function: its address; arguments: packed for its `launch`
        single_thread: whether one thread can do all work items; None if one does in any case
        """
        if not hasattr(self._registered, "done"):
            self._register_thread()
        if self._context is not None:
            return self._launch_on_device(self._context, function, label, arguments)
        self._acquire()  # takes half the time of a with statement
        try:
            single = 0
            monitor = self._load_monitor
            if monitor is not None and single_thread is not None:
                is_due = perf_counter() >= monitor.due
                prefers_single = monitor.prefers_single_thread() if is_due else monitor.single
                single = 1 if prefers_single and single_thread else 0
                if single != self._single:
                    self._single = single
                    self._reset_float_modes()
            return not self._run(function, label, arguments, single)
        finally:
            self._release()

    def _launch_on_device(
        self, context: DeviceContext, function: ctypes.c_void_p, label: bytes, arguments: bytes
    ) -> bool:
        with self.lock:
            previous = context.activate()
            try:
                return not self._run(function, label, arguments, 0)
            finally:
                context.restore(previous)

    def _record(self, recorders: Recorders) -> None:
        """Report the times of launches to these recorders."""
        wait = self._context.synchronize if self._context is not None else None
        self._run = timed(
            self._functions.kkspdnn_run,
            lambda _function, label, *_: label.decode(errors="replace"),
            recorders,
            wait,
        )

    def reset_float_modes(self) -> None:
        """Set all OpenMP threads to the default floating-point mode of IEEE 754.

        Other libraries may have changed it. The call is cheap; make it before each computation.
        """
        if not hasattr(self._registered, "done"):
            self._register_thread()
        with self.lock:
            self._reset_float_modes()

    def _reset_float_modes(self) -> None:
        if not self._single:  # else the other threads sleep
            self._functions.kkspdnn_reset_modes()

    def _register_thread(self) -> None:
        """Prepare OpenMP for launches from the calling thread.

        Raises SpaceError in a process that was forked after Kokkos was started.
        """
        kokkos_process().check()
        with self.lock:
            cores = os.sched_getaffinity(0)
            try:
                self._functions.kkspdnn_enter()
            finally:
                # OpenMP may bind this thread, see openmp_start_settings; the rest of the Python
                # program must not stay bound.
                os.sched_setaffinity(0, cores)
        self._registered.done = True

    def _forget_threads(self) -> None:
        self._registered = threading.local()

    def error_line(self) -> str:
        """Return the first line of the last error in the calling thread."""
        text: bytes = self._functions.kkspdnn_last_error()
        return text.decode(errors="replace").partition("\n")[0]

    def last_error(self) -> str:
        """Return the first line of the last error of Kokkos in the calling thread, and a hint."""
        first = self.error_line()
        if threading.get_ident() != self._thread:
            # Kokkos 3.5 to 3.7 refuse launches from other threads.
            first += "; launch from the thread that started Kokkos"
        return first


class _RuntimeRegistry:
    """The Runtime of this process for each library and device."""

    def __init__(self) -> None:
        self._started: dict[tuple[RuntimeLibrary, Device | None], Runtime] = {}

    def get(self, library: RuntimeLibrary, device: Device | None, threads: int | None) -> Runtime:
        """Return the Runtime; `threads` counts in the first call only, which starts it."""
        runtime = self._started.get((library, device))
        if runtime is None:
            # If the user sets how threads wait, kkspdnn does not change the number of threads on a
            # busy machine either.
            with openmp_start_settings(threads or omp_num_threads()) as default_waiting:
                runtime = Runtime(library, threads, device, monitor_load=default_waiting)
                self._started[library, device] = runtime
        return runtime


@cache
def _registry() -> _RuntimeRegistry:
    return _RuntimeRegistry()


def get_runtime(space: ExecutionSpace, threads: int | None = None) -> Runtime:
    """Return the Runtime of an execution space; the first call starts Kokkos.

    threads: the number of OpenMP threads; None means OMP_NUM_THREADS, else the number of cores that
    this process may use. OMP_THREAD_LIMIT limits both. A GPU runs on the device that
    KOKKOS_DEVICE_ID names.

    Raises SpaceError if OpenMP does not allow that many threads, if Kokkos runs on another device
    in this process, and in a process that was forked after Kokkos was started.
    """
    kokkos_process().check()
    with KOKKOS_LOCK:
        if space is not ExecutionSpace.Cuda:
            return _registry().get(find_runtime_library(space), None, threads)
        return _device_runtime(selected_device())


@cache
def _device_of_process() -> Device:
    """Return the device of the first call, which Kokkos uses until the process ends."""
    return selected_device()


def _device_runtime(device: Device) -> Runtime:
    first = _device_of_process()
    if first != device:
        raise SpaceError(
            f"Kokkos already runs on device {first.number} in this process; "
            f"start a new process for device {device.number}"
        )
    return _registry().get(find_runtime_library(ExecutionSpace.Cuda), device, None)
