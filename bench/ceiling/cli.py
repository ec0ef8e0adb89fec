"""The command: 0 where all give the same values, 1 where not, 2 for what the user can mend."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.ceiling.report import RUNS, measure
from kkspdnn.cli import guarded
from kkspdnn.options import Parser, count
from kkspdnn.record import check_writable, write_text


def parser() -> Parser:
    """The options of `python -m bench.ceiling`."""
    made = Parser(
        prog="python -m bench.ceiling",
        description="Time the fused workunit against a kernel written by hand, on a RadiX-Net in "
        f"float32 with OpenMP: {RUNS} rounds in one process, no row leaving.",
        allow_abbrev=False,
    )
    made.add_argument("--neurons", type=count, default=1024, metavar="N", help="(1024)")
    made.add_argument("--layers", type=count, default=120, metavar="L", help="(120)")
    made.add_argument("--rows", type=count, default=8192, metavar="M", help="input rows (8192)")
    made.add_argument("--threads", type=count, metavar="T", help="(all cores)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the record")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(given)

    def run() -> int:
        if options.json is not None:
            check_writable(options.json)
        command = shlex.join(["python", "-m", "bench.ceiling", *given])
        report = measure(options.neurons, options.layers, options.rows, options.threads, command)
        for line in report.lines():
            print(line)
        if options.json is not None:
            write_text(options.json, report.to_json())
        return 0 if report.same else 1

    return guarded(run)
