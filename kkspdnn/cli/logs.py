"""What the package reports while it works, on standard error: one line each.

Modules below the command line log to `logging.getLogger("kkspdnn")`: INFO for what takes long,
WARNING for what may change a result or its time.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class _Stderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # A live progress bar puts a stream of its own in place of sys.stderr.
        with suppress(OSError):
            print(f"kkspdnn: {self.format(record)}", file=sys.stderr, flush=True)


@contextmanager
def logs_on_stderr(level: int) -> Iterator[None]:
    """Write log records from `level` on to standard error inside the block."""
    logger = logging.getLogger("kkspdnn")
    handler, before, passes_on = _Stderr(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        logger.propagate = passes_on
