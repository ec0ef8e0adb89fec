"""`python -m kkspdnn plot RECORDS --out DIR`: draw figures and tables from records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from kkspdnn.cli.exit_codes import ending_at_interrupt
from kkspdnn.cli.parser import Parser, file_path
from kkspdnn.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from kkspdnn.figures.chart import Chart
    from kkspdnn.figures.read import Records


def parser() -> Parser:
    """Return the parser of `python -m kkspdnn plot`."""
    options = Parser(
        prog="kkspdnn plot",
        description="Draw figures (PDF and PNG, one and two columns wide) and tables (LaTeX and "
        "CSV) from records of runs and benchmarks.",
        examples=["kkspdnn plot record-1.json record-2.json --out figures"],
    )
    options.add_argument("records", nargs="+", type=file_path, metavar="RECORD", help="JSON files")
    options.add_argument(
        "--out", type=file_path, required=True, metavar="DIR", help="folder for the files"
    )
    options.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="draw these figures only, such as rates (all that the records allow)",
    )
    return options


def plot(argv: Sequence[str]) -> Iterator[str]:
    """Write all figures and tables that the records allow; yields the lines to print.

    Raises InputError for invalid records, or if they allow no figure.
    """
    arguments = parser().parse_args(argv)
    with ending_at_interrupt():
        from kkspdnn.figures.left_out import left_out
        from kkspdnn.figures.read import read_records
        from kkspdnn.io.atomic_write import replace_file

    if arguments.out.exists() and not arguments.out.is_dir():
        raise InputError(f"--out {arguments.out}: is not a folder; give another name")
    records = read_records(arguments.records)
    found = select(possible_charts(records), arguments.only)
    files = draw(found)
    for name, content in files.items():
        with replace_file(arguments.out / name) as file:
            file.write(content)
    if not arguments.only:
        for each in left_out(arguments.records, records, found):
            yield f"left out: {each.path}: {each.reason}\n"
    yield f"{len(files)} files in {arguments.out}: {', '.join(chart.name for chart in found)}\n"


def possible_charts(records: Records) -> list[Chart]:
    """Return the figures and tables that the records allow.

    Raises InputError if Matplotlib is not installed.
    """
    try:
        from kkspdnn.figures import catalog
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "matplotlib":
            raise
        raise InputError("figures need Matplotlib: pip install matplotlib") from error
    return catalog.charts(records)


def select(found: list[Chart], names: Sequence[str]) -> list[Chart]:
    """Return the charts of these names, or all; raise InputError if there is none of a name."""
    if not found:
        raise InputError("these records allow no figure; add records of python -m bench run --json")
    known = [chart.name for chart in found]
    for name in names:
        if name not in known:
            close = did_you_mean(name, known)
            raise InputError(f"--only {name}{close}: these records allow {', '.join(known)}")
    return [chart for chart in found if not names or chart.name in names]


def draw(found: Sequence[Chart]) -> dict[str, bytes]:
    """Return the contents of all files by name.

    Of each chart: NAME-1col.pdf, NAME-1col.png, NAME-2col.pdf, NAME-2col.png, NAME.csv, NAME.tex;
    of one without a figure, the last two.
    """
    from kkspdnn.figures.style import WIDTHS, pictures, settings

    files: dict[str, bytes] = {}
    with settings():
        for chart in found:
            for width in WIDTHS if chart.paint is not None else ():
                files |= pictures(f"{chart.name}-{width}", chart.figure(width))
            files[f"{chart.name}.csv"] = chart.table.csv().encode()
            files[f"{chart.name}.tex"] = chart.page_table.latex(chart.name).encode()
    return files
