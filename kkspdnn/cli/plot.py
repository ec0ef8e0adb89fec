"""`python -m kkspdnn plot RECORDS --out DIR`: draw figures and tables from records."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kkspdnn.cli.exit_codes import ending_at_interrupt
from kkspdnn.cli.parser import Parser, file_path
from kkspdnn.errors import InputError

if TYPE_CHECKING:
    from kkspdnn.figures.points import Records
    from kkspdnn.figures.table import Table


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m kkspdnn plot`."""
    options = Parser(
        prog="kkspdnn plot",
        description="Draw figures (PDF and PNG, one and two columns wide) and tables (LaTeX and "
        "CSV) from records of runs and benchmarks.",
        allow_abbrev=False,
    )
    options.add_argument("records", nargs="+", type=file_path, metavar="RECORD", help="JSON files")
    options.add_argument(
        "--out", type=file_path, required=True, metavar="DIR", help="folder for the files"
    )
    return options


def plot(argv: Sequence[str]) -> Iterator[str]:
    """Write all figures and tables that the records allow; yields the lines to print.

    Raises InputError for invalid records, or if they allow no figure.
    """
    arguments = parser().parse_args(argv)
    with ending_at_interrupt():
        from kkspdnn.figures.points import read_records
        from kkspdnn.io.atomic_write import replace_file

    if arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"--out {arguments.out}: is not a folder; give another name")
    records = read_records(arguments.records)
    files = draw(records)
    for name, content in files.items():
        with replace_file(arguments.out / name) as file:
            file.write(content)
    for skipped in records.skipped:
        yield f"skipped: {skipped} is not a record of a run or comparison\n"
    yield f"{len(files)} files in {arguments.out}: {', '.join(_table_names(files))}\n"


def draw(records: Records) -> dict[str, bytes]:
    """Return the contents of all files by name.

    Of each chart: NAME-1col.pdf, NAME-1col.png, NAME-2col.pdf, NAME-2col.png, NAME.csv, NAME.tex.
    Raises InputError if Matplotlib is not installed, or if the records allow no figure or table.
    """
    try:
        from kkspdnn.figures import charts
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        raise InputError("figures need Matplotlib: pip install 'kkspdnn[plot]'") from error
    from kkspdnn.figures import implementations

    files: dict[str, bytes] = {}
    with charts.settings():
        for chart in charts.charts(records):
            for width in charts.WIDTHS:
                files |= charts.pictures(f"{chart.name}-{width}", chart.figure(width))
            files |= _table_files(chart.name, chart.table)
    table = implementations.table(records)
    if table is not None:
        files |= _table_files("implementations", table)
    if not files:
        raise InputError("these records allow no figure; add records of python -m bench run --json")
    return files


def _table_files(name: str, table: Table) -> dict[str, bytes]:
    return {f"{name}.csv": table.csv().encode(), f"{name}.tex": table.latex(name).encode()}


def _table_names(files: dict[str, bytes]) -> list[str]:
    return [Path(name).stem for name in files if name.endswith(".csv")]
