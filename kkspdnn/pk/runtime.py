"""Kokkos in this process: the runtime library, started, and its threads."""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from kkspdnn.errors import SpaceError, ToolchainError
from kkspdnn.pk.driver import Device, device
from kkspdnn.pk.policy import ExecutionSpace
from kkspdnn.pk.runtime_library import ONE_AT_A_TIME, toolkit
from kkspdnn.pk.toolchain import omp_num_threads, usable_cores
from kkspdnn.pk.toolkit import Toolkit


class Runtime:
    """Kokkos, started. One for a process: Kokkos cannot be started twice."""

    def __init__(self, kit: Toolkit, threads: int, device: Device | None = None) -> None:
        self.toolkit = kit
        self.device = device
        self.lock = threading.Lock()
        self._thread = threading.get_ident()
        self._entered = threading.local()
        self._library = kit.load()
        self._library.kkspdnn_last_error.restype = ctypes.c_char_p
        number = device.number if device is not None else -1
        if self._library.kkspdnn_initialize(threads, number) != 0:
            raise ToolchainError(f"Kokkos did not start: {self.last_error()}")
        self._entered.done = True
        self.threads: int = self._library.kkspdnn_concurrency()
        atexit.register(self._library.kkspdnn_finalize)

    def enter(self) -> None:
        """To be called before every launch, by the thread that launches and has the lock."""
        if hasattr(self._entered, "done"):
            return
        before = os.sched_getaffinity(0)
        try:
            self._library.kkspdnn_enter()
        finally:
            # See _placed_threads: what else this thread of Python does is not OpenMP's business.
            os.sched_setaffinity(0, before)
        self._entered.done = True

    def last_error(self) -> str:
        text: bytes = self._library.kkspdnn_last_error()
        first = text.decode(errors="replace").partition("\n")[0]
        if threading.get_ident() != self._thread:
            # Kokkos 3.5 to 3.7 refuse others.
            first += "; launch from the thread that started Kokkos"
        return first


@cache
def _started(kit: Toolkit, device: Device | None) -> Runtime:
    if device is not None:
        return Runtime(kit, 0, device)
    with _placed_threads():
        return Runtime(kit, omp_num_threads() or 0)


def runtime(space: ExecutionSpace) -> Runtime:
    """Kokkos for `space`, started on the first call: with OMP_NUM_THREADS threads, or on the
    device that KOKKOS_DEVICE_ID names.

    Raises SpaceError where it runs on another device of this process already.
    """
    with ONE_AT_A_TIME:
        if space is not ExecutionSpace.Cuda:
            return _started(toolkit(space), None)
        return _on_device(device())


@cache
def _device_of_process() -> Device:
    """The first that was asked for: Kokkos keeps it to the end."""
    return device()


def _on_device(wanted: Device) -> Runtime:
    first = _device_of_process()
    if first != wanted:
        raise SpaceError(
            f"Kokkos runs on device {first.number} in this process already; "
            f"start a new process for device {wanted.number}"
        )
    return _started(toolkit(ExecutionSpace.Cuda, wanted.arch), wanted)


@contextmanager
def _placed_threads() -> Iterator[None]:
    """Keep OpenMP's threads on their cores, unless the user or a busy machine has other plans.

    OpenMP reads its variables when its library is loaded, so they need not stay. It also binds the
    thread that starts it; that one goes free again, for else all that Python does later, and every
    tool that it starts, would share one core.
    """
    fits = (omp_num_threads() or 0) <= usable_cores()
    chosen = any(name.startswith(("OMP_PROC_BIND", "OMP_PLACES")) for name in os.environ)
    added = {"OMP_PROC_BIND": "spread", "OMP_PLACES": "cores"} if fits and not chosen else {}
    before = os.sched_getaffinity(0)
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
        if added:
            os.sched_setaffinity(0, before)
