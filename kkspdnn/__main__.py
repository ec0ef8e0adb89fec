"""`python -m kkspdnn`."""

import gc
import sys
from typing import NoReturn

from kkspdnn.cli.guard import end_at_interrupt


def entry() -> NoReturn:
    """Run the command line, from the first import to the end of the process.

    Imported modules live until the process ends. The garbage collector does not search them, which
    would take a tenth of a short run.
    """
    end_at_interrupt()
    gc.disable()  # `main` enables it after the imports.
    from kkspdnn.cli.main import main

    code = main()
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    entry()
