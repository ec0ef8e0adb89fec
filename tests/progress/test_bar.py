"""The bar appears after its delay, also without progress, and only on a terminal."""

from __future__ import annotations

import io
import logging
import time

import pytest
from rich.console import Console

from kkspdnn.cli.logs import logs_on_stderr
from kkspdnn.pk.system.progress_log import PROGRESS_LOGGER, log_progress
from kkspdnn.progress.bar import DelayedBar, delayed_bar
from kkspdnn.progress.display import TerminalDisplay


def terminal() -> tuple[TerminalDisplay, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80, _environ={"TERM": "xterm"})
    return TerminalDisplay(console), text


def wait_for(text: io.StringIO, what: str) -> bool:
    end = time.monotonic() + 10
    while what not in text.getvalue() and time.monotonic() < end:
        time.sleep(0.02)
    return what in text.getvalue()


def test_a_bar_appears_after_its_delay_without_progress() -> None:
    display, text = terminal()
    bar = DelayedBar(display, delay=0.05)
    bar("compiling", 0.0)
    shown = wait_for(text, "compiling")
    bar("inference", 0.5)
    shown = shown and wait_for(text, "inference")
    bar.stop()
    assert shown


def test_a_short_run_shows_nothing() -> None:
    display, text = terminal()
    bar = DelayedBar(display, delay=0.1)
    bar("compiling", 0.5)
    bar.stop()
    time.sleep(0.25)
    assert text.getvalue() == ""


def test_no_bar_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with delayed_bar(True) as bar:
        assert bar is None


def test_a_bar_on_a_terminal_unless_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", stderr)
    with delayed_bar(True) as bar:
        assert bar is not None
    with delayed_bar(False) as bar:
        assert bar is None
    monkeypatch.setenv("TERM", "dumb")
    with delayed_bar(True) as bar:
        assert bar is None
    assert stderr.getvalue() == ""


def test_progress_records_are_the_text_of_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr", stderr)
    monkeypatch.setattr("kkspdnn.progress.bar._DELAY", 0.05)
    with logs_on_stderr(logging.INFO), delayed_bar(True) as bar:
        assert bar is not None
        bar._start()
        log_progress("waiting for process 12 to build kokkos/openmp")
        assert wait_for(stderr, "waiting for process 12")
        log_progress("compiling workunits: 3 of 12", 3, 12)
        assert wait_for(stderr, "compiling workunits: 3 of 12")
    assert "kkspdnn: " not in stderr.getvalue()
    stderr.truncate(0)
    with logs_on_stderr(logging.INFO):
        log_progress("compiling workunits: 4 of 12", 4, 12)
    assert "kkspdnn: compiling workunits: 4 of 12\n" in stderr.getvalue()


def test_the_last_bar_restores_the_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads may show a bar at the same time, and end in any order."""
    monkeypatch.setattr("kkspdnn.progress.bar.find_display", lambda: terminal()[0])
    before = PROGRESS_LOGGER.propagate, PROGRESS_LOGGER.level
    first, second = delayed_bar(True), delayed_bar(True)
    first.__enter__()
    second.__enter__()
    assert (PROGRESS_LOGGER.propagate, PROGRESS_LOGGER.level) == (False, logging.INFO)
    first.__exit__(None, None, None)
    assert (PROGRESS_LOGGER.propagate, PROGRESS_LOGGER.level) == (False, logging.INFO)
    second.__exit__(None, None, None)
    assert (PROGRESS_LOGGER.propagate, PROGRESS_LOGGER.level) == before


def test_calls_after_the_end_change_nothing() -> None:
    display, text = terminal()
    bar = DelayedBar(display, delay=0.0)
    bar("compiling", 0.5)
    assert wait_for(text, "compiling")
    bar.stop()
    shown = text.getvalue()
    bar("inference", 0.5)
    bar.stop()
    assert text.getvalue() == shown
