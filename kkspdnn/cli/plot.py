"""`python -m kkspdnn plot RECORDS --out DIR`: all figures and tables that the records allow."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kkspdnn.cli.guard import importing
from kkspdnn.cli.options import Parser, path
from kkspdnn.errors import InputError

if TYPE_CHECKING:
    from kkspdnn.figures.points import Records
    from kkspdnn.figures.table import Table


def parser() -> argparse.ArgumentParser:
    """The options of `python -m kkspdnn plot`."""
    made = Parser(
        prog="kkspdnn plot",
        description="Figures (PDF and PNG, one and two columns wide) and tables (LaTeX and CSV) "
        "from records alone.",
        allow_abbrev=False,
    )
    made.add_argument("records", nargs="+", type=path, metavar="RECORD", help="JSON files")
    made.add_argument("--out", type=path, required=True, metavar="DIR", help="folder for the files")
    return made


def plot(argv: Sequence[str]) -> Iterator[str]:
    """Write the files; gives text that says which. InputError for records that cannot be used."""
    arguments = parser().parse_args(argv)
    with importing():
        from kkspdnn.figures.points import read_records
        from kkspdnn.io.atomic_write import replace_file

    records = read_records(arguments.records)
    files = drawn(records)
    if arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"--out {arguments.out}: is no folder")
    for name, content in files.items():
        with replace_file(arguments.out / name) as file:
            file.write(content)
    for record in records.passed_over:
        yield f"passed over: {record} is no record of a run or comparison\n"
    yield f"{len(files)} files in {arguments.out}: {', '.join(_stems(files))}\n"


def drawn(records: Records) -> dict[str, bytes]:
    """File names and contents: for each chart, NAME-1col.pdf and .png, NAME-2col…, NAME.csv, .tex.

    InputError where Matplotlib is not installed, or the records allow no figure and no table.
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
            files |= _texts(chart.name, chart.table)
    everything = implementations.table(records)
    if everything is not None:
        files |= _texts("implementations", everything)
    if not files:
        raise InputError("these records allow no figure; see kkspdnn.figures for what each needs")
    return files


def _texts(name: str, table: Table) -> dict[str, bytes]:
    return {f"{name}.csv": table.csv().encode(), f"{name}.tex": table.latex(name).encode()}


def _stems(files: dict[str, bytes]) -> list[str]:
    return [Path(name).stem for name in files if name.endswith(".csv")]
