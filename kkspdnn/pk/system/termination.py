"""Ending a process by SIGTERM or SIGHUP without leaving tools or temporary folders behind.

By default these signals end Python at once, while the compilers that it started run on. Inside the
blocks below they raise SystemExit in the main thread instead, so that `finally` and `with` clean
up, and the process ends with the conventional status, 128 plus the signal's number. A program that
catches SystemExit goes on.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import NoReturn, TypeVar

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)
"""In a thread of `in_parallel`: set when the main thread wants its tools ended."""


@contextmanager
def cleaning_up() -> Iterator[None]:
    """While active in the main thread, SIGTERM and SIGHUP raise SystemExit(128 + number).

    A handler that the program has set, and a signal that is ignored, as under nohup, stay as they
    are. Without effect in other threads, where Python allows no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, _: FrameType | None) -> NoReturn:
        # A second signal must not interrupt the cleaning up.
        for each in ours:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    try:
        for number in ours:
            signal.signal(number, end)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def deferred() -> Iterator[None]:
    """Deliver signals that a Python function handles when the block ends, not inside it.

    For a block whose result must not get lost between two steps, such as a process that has just
    been started.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = {n: h for n in (signal.SIGINT, *_SIGNALS) if callable(h := signal.getsignal(n))}
    arrived: list[int] = []
    try:
        for number in handled:
            signal.signal(number, lambda number, _: arrived.append(number))
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
        if arrived:
            signal.raise_signal(arrived[0])


def must_stop() -> bool:
    """Has the block that this thread works for ended by an exception?"""
    event = _stop.get()
    return event is not None and event.is_set()


def is_stoppable() -> bool:
    """Does this thread work for a block of `in_parallel`, which ends its tools?"""
    return _stop.get() is not None


def in_parallel(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int
) -> Generator[_Result, None, None]:
    """The results of function(item), in order, computed by threads.

    Where one raises, or the caller is interrupted or stops early, the tools that the threads run
    are ended and the rest is not begun. Close it, with contextlib.closing, where that may happen
    between two results.
    """
    stop = threading.Event()

    def call(item: _Item) -> _Result:
        token = _stop.set(stop)
        try:
            return function(item)
        finally:
            _stop.reset(token)

    with cleaning_up():
        pool = ThreadPoolExecutor(max_workers=workers)
        try:
            futures: list[Future[_Result]] = [pool.submit(call, item) for item in items]
            for future in futures:
                # Python has to wake up by itself to see an interrupt, see `toolchain._output`.
                while not future.done():
                    wait([future], timeout=0.2)
                yield future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
