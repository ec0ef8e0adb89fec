"""The command line of `python -m bench.ceiling`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.ceiling.report import RUNS, SPACES, measure
from bench.measurement import run_measurement
from kkspdnn.cli.parser import Parser, positive_int
from kkspdnn.device.space_names import add_space_option

ROWS = {"openmp": 8192, "cuda": 60_000}
"""Default of --rows for each execution space."""


def parser() -> Parser:
    """Return the parser of `python -m bench.ceiling`."""
    root = Parser(
        prog="python -m bench.ceiling",
        description="Time the fused workunit and a hand-written kernel on the same layers of a "
        f"RadiX-Net in float32: {RUNS} rounds in one process, early exit off.",
    )
    add_space_option(root, SPACES)
    root.add_argument("--neurons", type=positive_int, default=1024, metavar="N", help="(1024)")
    root.add_argument("--layers", type=positive_int, default=120, metavar="L", help="(120)")
    text = ", ".join(f"{rows} with {space}" for space, rows in ROWS.items())
    root.add_argument("--rows", type=positive_int, metavar="M", help=f"input rows ({text})")
    root.add_argument(
        "--threads", type=positive_int, metavar="T", help="threads of openmp (all cores)"
    )
    root.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: all candidates computed the same values; 1: they did not; 2: an error that the user can
    correct.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(words)

    command = shlex.join(["python", "-m", "bench.ceiling", *words])

    def measured() -> tuple[str, int]:
        report = measure(
            options.neurons,
            options.layers,
            ROWS[options.space] if options.rows is None else options.rows,
            options.threads,
            command,
            options.space,
        )
        for line in report.lines():
            print(line)
        return report.to_json(), 0 if report.same else 1

    return run_measurement(options.json, measured)
