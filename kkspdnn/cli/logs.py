"""Log records as lines on standard error.

The package logs to `logging.getLogger("kkspdnn")`: INFO before slow steps, WARNING for conditions
that may change a result or its time.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class _StderrHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Looked up for each record: a live progress bar replaces sys.stderr.
        with suppress(OSError):
            print(f"kkspdnn: {self.format(record)}", file=sys.stderr, flush=True)


@contextmanager
def logs_on_stderr(level: int) -> Iterator[None]:
    """Write log records of `level` and above to standard error inside the block."""
    logger = logging.getLogger("kkspdnn")
    handler, previous_level, propagates = _StderrHandler(), logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(previous_level)
        logger.propagate = propagates
