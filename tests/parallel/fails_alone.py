"""Run by all ranks: the command line, where the last rank alone fails on its way."""

from __future__ import annotations

import sys

from kkspdnn.cli import main
from kkspdnn.errors import InputError
from kkspdnn.inference import run
from kkspdnn.parallel.launcher import launch

ERRORS = {
    "input": InputError("here it cannot be used"),
    "memory": MemoryError("here"),
    "bug": ZeroDivisionError("a bug"),
}

started = launch()
assert started is not None
if started.rank == started.size - 1:

    def fail(*arguments: object) -> None:
        raise ERRORS[sys.argv[1]]

    run.make_engine = fail  # type: ignore[assignment]

sys.exit(main.main(["--neurons", "64", "--layers", "3", "--inputs", "500", *sys.argv[2:]]))
