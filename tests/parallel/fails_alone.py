"""The command line, run by all ranks; the last rank fails during the run."""

from __future__ import annotations

import sys

from kkspdnn.cli import main
from kkspdnn.errors import InputError
from kkspdnn.inference import run
from kkspdnn.parallel.launcher import detect_launch

ERRORS = {
    "input": InputError("cannot be used on this rank"),
    "memory": MemoryError("here"),
    "bug": ZeroDivisionError("a bug"),
}

started = detect_launch()
assert started is not None
if started.rank == started.size - 1:

    def fail(*arguments: object) -> None:
        raise ERRORS[sys.argv[1]]

    run.make_engine = fail  # type: ignore[assignment]

sys.exit(main.main(["--neurons", "64", "--layers", "3", "--inputs", "500", *sys.argv[2:]]))
