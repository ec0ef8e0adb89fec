"""The command: 0 where all give the same values, 1 where not, 2 for what the user can mend."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.ceiling.report import RUNS, SPACES, measure
from bench.recorded import recorded
from kkspdnn.cli.options import Parser, count
from kkspdnn.device.space_names import add_space_option

ROWS = {"openmp": 8192, "cuda": 60_000}
"""Input rows, where --rows does not say."""


def parser() -> Parser:
    """The options of `python -m bench.ceiling`."""
    made = Parser(
        prog="python -m bench.ceiling",
        description="Time the fused workunit against a kernel written by hand, on a RadiX-Net in "
        f"float32: {RUNS} rounds in one process, no row leaving.",
        allow_abbrev=False,
    )
    add_space_option(made, SPACES)
    made.add_argument("--neurons", type=count, default=1024, metavar="N", help="(1024)")
    made.add_argument("--layers", type=count, default=120, metavar="L", help="(120)")
    text = ", ".join(f"{rows} with {space}" for space, rows in ROWS.items())
    made.add_argument("--rows", type=count, metavar="M", help=f"input rows ({text})")
    made.add_argument("--threads", type=count, metavar="T", help="of openmp (all cores)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(given)

    command = shlex.join(["python", "-m", "bench.ceiling", *given])

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

    return recorded(options.json, measured)
