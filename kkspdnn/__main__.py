"""The entry point of `python -m kkspdnn` and of the command `kkspdnn`."""

import gc
import sys
from typing import NoReturn

from kkspdnn.cli.exit_codes import end_at_interrupt


def entry() -> NoReturn:
    """Run the command line and exit.

    The garbage collector is off during imports and excludes imported modules afterwards: they are
    never freed, and traversing them would cost a tenth of a short run.
    """
    end_at_interrupt()
    gc.disable()  # `main` enables it after the imports.
    from kkspdnn.cli.main import main

    code = main()
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    entry()
