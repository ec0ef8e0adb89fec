"""A progress bar on a terminal or in a notebook, for functions that take longer than a second."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer

from kkspdnn.pk.system.progress_log import PROGRESS_LOGGER
from kkspdnn.progress.display import Display, find_display

_DELAY = 1.0
"""Seconds before the bar appears."""


class DelayedBar:
    """A progress bar that appears after `delay` seconds, and is updated by a call.

    A timer starts it, because a long compile reports no progress. In a forked process it does
    nothing: the bar belongs to the parent, and other threads may have held its locks.
    """

    def __init__(self, display: Display, delay: float = _DELAY) -> None:
        self._display = display
        self._lock = Lock()
        self._shown = self._stopped = False
        self._process = os.getpid()
        self._timer = Timer(delay, self._start)
        self._timer.daemon = True
        self._timer.start()

    def __call__(self, step: str, done: float) -> None:
        """Show the name of the current step and its completed fraction, 0 if unknown."""
        if os.getpid() != self._process:
            return
        with self._lock:
            if not self._stopped:
                self._display.update(step, done)

    def _start(self) -> None:
        with self._lock:
            if not self._stopped:
                self._shown = True
                self._display.show()

    def stop(self) -> None:
        """Remove the bar."""
        if os.getpid() != self._process:
            return
        self._timer.cancel()
        with self._lock:
            self._stopped = True
            if self._shown:
                self._shown = False
                self._display.remove()


@contextmanager
def delayed_bar(enabled: bool) -> Iterator[DelayedBar | None]:
    """Yield a DelayedBar if there is a notebook or a terminal and `enabled` is true, else None."""
    display = find_display() if enabled else None
    if display is None:
        yield None
        return
    bar = DelayedBar(display, _DELAY)
    try:
        with _log_to(bar):
            yield bar
    finally:
        bar.stop()


class _BarHandler(logging.Handler):
    """Shows progress records, see kkspdnn.pk.system.progress_log, as the text of a bar.

    previous: whether the logger propagated its records before the first bar, and its level
    """

    def __init__(self, bar: DelayedBar, previous: tuple[bool, int]) -> None:
        super().__init__()
        self._bar = bar
        self.previous = previous

    def emit(self, record: logging.LogRecord) -> None:
        done, total = getattr(record, "done", None), getattr(record, "total", None)
        self._bar(record.getMessage(), done / total if done is not None and total else 0.0)


@contextmanager
def _log_to(bar: DelayedBar) -> Iterator[None]:
    """Show progress records in the bar instead of as log lines.

    Other threads may show a bar at the same time: the last one to end restores the logger.
    """
    logger = PROGRESS_LOGGER
    others = _bar_handlers()
    handler = _BarHandler(bar, others[0].previous if others else (logger.propagate, logger.level))
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        if not _bar_handlers():
            logger.propagate, level = handler.previous
            logger.setLevel(level)


def _bar_handlers() -> list[_BarHandler]:
    return [each for each in PROGRESS_LOGGER.handlers if isinstance(each, _BarHandler)]
