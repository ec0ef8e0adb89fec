"""The frame of every measuring command: check the output file, measure, write the record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kkspdnn.cli.exit_codes import exit_code_of
from kkspdnn.records.run import check_writable, write_text


def run_measurement(path: Path | None, measure: Callable[[], tuple[str, int]]) -> int:
    """Run a measurement, write its record, and return the exit code of the command.

    path: file of the record, checked before the measurement starts; None writes no record
    measure: measures, prints, and returns the record as text and the exit code

    Returns 2 after an error that the user can correct, with one line on standard error.
    """

    def run() -> int:
        if path is not None:
            check_writable(path)
        text, code = measure()
        if path is not None:
            write_text(path, text)
        return code

    return exit_code_of(run)
