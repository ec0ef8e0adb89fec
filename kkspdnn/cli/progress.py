"""A progress bar for what takes longer than a second, on a terminal only."""

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

_PATIENCE = 1.0


class DelayedBar:
    """Shows itself once `patience` seconds have gone by; told of progress through a call.

    A timer starts it, because a long compile tells nothing while it lasts. In a process that is
    forked meanwhile it does nothing: the bar is the parent's, and other threads may hold its locks.
    """

    def __init__(self, console: Console, patience: float = _PATIENCE) -> None:
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
        self._doing = ""
        self._lock = Lock()
        self._over = False
        self._process = os.getpid()
        self._timer = Timer(patience, self._start)
        self._timer.daemon = True
        self._timer.start()

    def __call__(self, doing: str, done: float) -> None:
        if os.getpid() != self._process:
            return
        if doing != self._doing:
            self._doing = doing
            self._bar.reset(self._task, description=doing, total=None)
        if done > 0:
            self._bar.update(self._task, total=1.0, completed=done)

    def _start(self) -> None:
        with self._lock:
            if not self._over:
                self._bar.start()

    def stop(self) -> None:
        """Take the bar off the screen."""
        if os.getpid() != self._process:
            return
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._bar.live.is_started:
                self._bar.stop()


@contextmanager
def delayed_bar(wanted: bool) -> Iterator[DelayedBar | None]:
    """A DelayedBar on stderr where that is a terminal and one is wanted, else None."""
    # Rich is worth its import where there is a terminal to draw on.
    if not wanted or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_interactive:
        yield None
        return
    bar = DelayedBar(console)
    try:
        with _logged_to(bar):
            yield bar
    finally:
        bar.stop()


class _BarHandler(logging.Handler):
    """Shows records of progress, see kkspdnn.pk.system.progress_log, as the text of a bar."""

    def __init__(self, bar: DelayedBar) -> None:
        super().__init__()
        self._bar = bar

    def emit(self, record: logging.LogRecord) -> None:
        done, total = getattr(record, "done", None), getattr(record, "total", None)
        self._bar(record.getMessage(), done / total if done is not None and total else 0.0)


@contextmanager
def _logged_to(bar: DelayedBar) -> Iterator[None]:
    """Send progress of the modules below to the bar rather than to lines of their own."""
    handler, passes_on = _BarHandler(bar), PROGRESS_LOGGER.propagate
    PROGRESS_LOGGER.addHandler(handler)
    PROGRESS_LOGGER.propagate = False
    try:
        yield
    finally:
        PROGRESS_LOGGER.removeHandler(handler)
        PROGRESS_LOGGER.propagate = passes_on
