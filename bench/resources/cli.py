"""The command: 0 where all went well, 1 where a record differs, 2 for what the user can mend."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.recorded import recorded
from bench.resources.compare import differences
from bench.resources.measure import measure
from bench.resources.record import CHIPS, Report, read_report
from bench.resources.table import tables, update
from kkspdnn.choices import DTYPES
from kkspdnn.cli.options import Parser
from kkspdnn.records.run import check_writable, write_text

ARCHITECTURES = tuple(CHIPS)


def parser() -> Parser:
    """The options of `python -m bench.resources`."""
    made = Parser(
        prog="python -m bench.resources",
        description="Compile the fused workunits and report, from the machine code, registers, "
        "spills, loads in flight, and instructions and L1 wavefronts an edge. Needs nvcc, "
        "cuobjdump and nvdisasm, and no GPU.",
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--arch", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES, help="(both)")
    add("--dtype", nargs="+", choices=DTYPES, default=DTYPES, help="of activations (both)")
    add("--record", type=Path, metavar="FILE", help="show this record; compile nothing")
    add("--against", type=Path, metavar="FILE", help="exit code 1 where this record differs")
    add("--json", type=Path, metavar="FILE", help="write the record")
    add("--docs", type=Path, metavar="FILE", help="put the tables into this Markdown file")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = parser().parse_args(given)
    command = shlex.join(["python", "-m", "bench.resources", *given])

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
        return report.to_json(), _compared(against, report)

    return recorded(options.json, measured)


def _compared(record: Report | None, report: Report) -> int:
    found = list(differences(record, report)) if record is not None else []
    for line in found:
        print(line)
    return 1 if found else 0
