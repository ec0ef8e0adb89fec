"""A progress bar on a terminal, for runs longer than a second."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import TYPE_CHECKING

from kkspdnn.pk.system.progress_log import PROGRESS_LOGGER

if TYPE_CHECKING:
    from rich.console import Console

_DELAY = 1.0
"""Seconds before the bar appears."""


class DelayedBar:
    """A progress bar that appears after `delay` seconds, and is updated by a call.

    A timer starts it, because a long compile reports no progress. In a forked process it does
    nothing: the bar belongs to the parent, and other threads may have held its locks.
    """

    def __init__(self, console: Console, delay: float = _DELAY) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None)
        self._step = ""
        self._lock = Lock()
        self._stopped = False
        self._process = os.getpid()
        self._timer = Timer(delay, self._start)
        self._timer.daemon = True
        self._timer.start()

    def __call__(self, step: str, done: float) -> None:
        """Show the name of the current step and its completed fraction, 0 if unknown."""
        if os.getpid() != self._process:
            return
        if step != self._step:
            self._step = step
            self._bar.reset(self._task, description=step, total=None)
        if done > 0:
            self._bar.update(self._task, total=1.0, completed=done)

    def _start(self) -> None:
        with self._lock:
            if not self._stopped:
                self._bar.start()

    def stop(self) -> None:
        """Remove the bar from the terminal."""
        if os.getpid() != self._process:
            return
        self._timer.cancel()
        with self._lock:
            self._stopped = True
            if self._bar.live.is_started:
                self._bar.stop()


@contextmanager
def delayed_bar(enabled: bool) -> Iterator[DelayedBar | None]:
    """Yield a DelayedBar if stderr is a terminal and `enabled` is true, else None."""
    # Rich is imported only if there is a terminal.
    if not enabled or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_interactive:
        yield None
        return
    bar = DelayedBar(console)
    try:
        with _log_to(bar):
            yield bar
    finally:
        bar.stop()


class _BarHandler(logging.Handler):
    """Shows progress records, see kkspdnn.pk.system.progress_log, as the text of a bar."""

    def __init__(self, bar: DelayedBar) -> None:
        super().__init__()
        self._bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        done, total = getattr(record, "done", None), getattr(record, "total", None)
        self._bar(record.getMessage(), done / total if done is not None and total else 0.0)


@contextmanager
def _log_to(bar: DelayedBar) -> Iterator[None]:
    """Show progress records in the bar instead of as log lines."""
    handler, propagates = _BarHandler(bar), PROGRESS_LOGGER.propagate
    PROGRESS_LOGGER.addHandler(handler)
    PROGRESS_LOGGER.propagate = False
    try:
        yield
    finally:
        PROGRESS_LOGGER.removeHandler(handler)
        PROGRESS_LOGGER.propagate = propagates
