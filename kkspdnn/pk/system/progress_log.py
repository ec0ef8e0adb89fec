"""
Progress of slow steps below the command line: building Kokkos, compiling workunits, waiting.

All of it goes to `logging.getLogger("kkspdnn.progress")` at level INFO, one line a record. A record
has the attributes `done` and `total`: how many steps are finished and how many there are in all,
both int, or None where there is nothing to count. A handler for a terminal may show the last record
as the text of a progress bar.
"""

from __future__ import annotations

import logging

PROGRESS = logging.getLogger("kkspdnn.progress")


def tell(text: str, done: int | None = None, total: int | None = None) -> None:
    """Log one line of progress; done, total: steps finished and steps in all."""
    PROGRESS.info(text, extra={"done": done, "total": total})
