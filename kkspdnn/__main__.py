"""`python -m kkspdnn`."""

import sys
from typing import NoReturn

from kkspdnn.guard import end_at_interrupt


def entry() -> NoReturn:
    """Run the command line, from the first import to the end of the process."""
    end_at_interrupt()
    from kkspdnn.cli import main

    sys.exit(main())


if __name__ == "__main__":
    entry()
