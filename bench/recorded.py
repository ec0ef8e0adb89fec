"""What the commands that measure have in common: a record is written whole, or there is a line that
says why not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kkspdnn.cli.guard import guarded
from kkspdnn.records.run import check_writable, write_text


def recorded(path: Path | None, measured: Callable[[], tuple[str, int]]) -> int:
    """
    The exit code of a command that measures.

    measured: measures and shows, and gives the record as text, and the exit code; path: where the
    record goes, which is tried before anything is measured. 2, with one line on standard error, for
    what the user can mend.
    """

    def run() -> int:
        if path is not None:
            check_writable(path)
        text, code = measured()
        if path is not None:
            write_text(path, text)
        return code

    return guarded(run)
