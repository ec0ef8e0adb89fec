"""Clean exit on SIGTERM and SIGHUP: no running tools and no temporary folders are left.

By default these signals end Python at once, but not the compilers that it started. Inside the
blocks below they raise SystemExit in the main thread instead, so that `finally` and `with` clean
up. The process then ends with the conventional status, 128 plus the signal's number. A program that
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
"""In a thread of `map_in_threads`: set when the thread must end its tools and stop."""


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit(128 + number) inside the block.

    Handlers that the program has set stay, and so do ignored signals, as under nohup. In other
    threads than the main one the block has no effect, as Python allows no handlers there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]

    def end(number: int, _: FrameType | None) -> NoReturn:
        # A second signal must not interrupt the clean-up.
        for each in handled:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    try:
        for number in handled:
            signal.signal(number, end)
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def deferred_signals() -> Iterator[None]:
    """Deliver signals that have a Python handler when the block ends, not inside it.

    For a block whose result must not get lost between two steps, such as starting a process and
    assigning it to a variable.
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


def stop_requested() -> bool:
    """Return whether this thread of `map_in_threads` must end its tools and stop."""
    event = _stop.get()
    return event is not None and event.is_set()


def in_worker_thread() -> bool:
    """Return whether this is a thread of `map_in_threads`."""
    return _stop.get() is not None


def map_in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item], workers: int
) -> Generator[_Result, None, None]:
    """Compute function(item) in threads and yield the results in the order of the items.

    If a call raises, or the caller is interrupted or stops early, the tools that the threads run
    are ended, and the remaining calls are not started. A caller that may stop between two results
    must close the generator, with contextlib.closing.
    """
    stop = threading.Event()

    def call(item: _Item) -> _Result:
        token = _stop.set(stop)
        try:
            return function(item)
        finally:
            _stop.reset(token)

    with exit_on_signals():
        pool = ThreadPoolExecutor(max_workers=workers)
        try:
            futures: list[Future[_Result]] = [pool.submit(call, item) for item in items]
            for future in futures:
                # Python sees an interrupt only when it wakes up, see `toolchain._collect_output`.
                while not future.done():
                    wait([future], timeout=0.2)
                yield future.result()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
