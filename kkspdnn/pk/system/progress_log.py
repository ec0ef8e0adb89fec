"""Progress of slow steps in the log: building Kokkos, compiling workunits, waiting for a lock.

All lines go to `logging.getLogger("kkspdnn.progress")` at level INFO. A record has the attributes
`done` and `total`, the number of finished steps and of all steps; both are None if there is nothing
to count. A handler for a terminal may show the last record as the text of a progress bar.
"""

from __future__ import annotations

import logging

PROGRESS_LOGGER = logging.getLogger("kkspdnn.progress")


def log_progress(text: str, done: int | None = None, total: int | None = None) -> None:
    """Log one line of progress.

    done, total: the number of finished steps and of all steps
    """
    PROGRESS_LOGGER.info(text, extra={"done": done, "total": total})
