"""Log records as lines on standard error."""

from __future__ import annotations

import io
import logging

import pytest

from kkspdnn.cli.logs import logs_on_stderr

LOGGER = logging.getLogger("kkspdnn")


def test_records_from_a_level_on_become_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with logs_on_stderr(logging.WARNING):
        LOGGER.info("building Kokkos")
        LOGGER.warning("the machine is %s", "busy")
    assert capsys.readouterr().err == "kkspdnn: the machine is busy\n"
    with logs_on_stderr(logging.INFO):
        logging.getLogger("kkspdnn.progress").info("compiling workunits 1 of 3")
    assert capsys.readouterr().err == "kkspdnn: compiling workunits 1 of 3\n"


def test_the_logger_is_restored() -> None:
    before = LOGGER.level, LOGGER.propagate, list(LOGGER.handlers)
    with logs_on_stderr(logging.INFO):
        pass
    assert (LOGGER.level, LOGGER.propagate, list(LOGGER.handlers)) == before


def test_the_current_stderr_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A live progress bar replaces sys.stderr to print above itself."""
    with logs_on_stderr(logging.INFO):
        live = io.StringIO()
        monkeypatch.setattr("sys.stderr", live)
        LOGGER.info("waiting")
    assert live.getvalue() == "kkspdnn: waiting\n"
