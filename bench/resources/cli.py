"""The command line of `python -m bench.resources`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.measurement import run_measurement
from bench.resources.compare import differences
from bench.resources.measure import measure
from bench.resources.record import CHIPS, Report, read_report
from bench.resources.table import tables, update
from kkspdnn.choices import DTYPES
from kkspdnn.cli.parser import Parser
from kkspdnn.records.run import check_writable, write_text

ARCHITECTURES = tuple(CHIPS)


def parser() -> Parser:
    """Return the parser of `python -m bench.resources`."""
    root = Parser(
        prog="python -m bench.resources",
        description="Compile the fused workunits and report, from the machine code, registers, "
        "spills, loads in flight, and instructions and L1 wavefronts per edge. Needs nvcc, "
        "cuobjdump and nvdisasm, but no GPU.",
    )
    add = root.add_argument
    add(
        "--arch",
        nargs="+",
        choices=ARCHITECTURES,
        default=ARCHITECTURES,
        help="GPU architectures (both)",
    )
    add("--dtype", nargs="+", choices=DTYPES, default=DTYPES, help="dtypes of activations (both)")
    add(
        "--record",
        type=Path,
        metavar="FILE",
        help="print the tables of this record; compile nothing",
    )
    add(
        "--against",
        type=Path,
        metavar="FILE",
        help="compare with this record; exit code 1 if it differs",
    )
    add("--json", type=Path, metavar="FILE", help="write the record")
    add("--docs", type=Path, metavar="FILE", help="replace the tables in this Markdown file")
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    0: success; 1: the report differs from the record of --against; 2: an error that the user can
    correct.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(words)
    command = shlex.join(["python", "-m", "bench.resources", *words])

    def measured() -> tuple[str, int]:
        if options.docs is not None:
            check_writable(options.docs)
        against = read_report(options.against) if options.against is not None else None
        report = (
            measure(options.arch, options.dtype, command)
            if options.record is None
            else read_report(options.record)
        )
        for line in tables(report):
            print(line)
        if options.docs is not None:
            write_text(options.docs, update(options.docs, report))
        return report.to_json(), _compare(against, report)

    return run_measurement(options.json, measured)


def _compare(record: Report | None, report: Report) -> int:
    """Print the differences from a record and return the exit code."""
    lines = list(differences(record, report)) if record is not None else []
    for line in lines:
        print(line)
    return 1 if lines else 0
