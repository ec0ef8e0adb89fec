"""Tables, written as CSV and as LaTeX (booktabs)."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass

Cell = str | int | float | None

_COLUMN = 3.5
"""Inches of a column of the page."""

_LETTER, _GAP = 0.058, 0.11
"""Inches of a letter and of the gap between two columns of the table, in footnotesize."""

_ESCAPES = {c: "\\" + c for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


@dataclass(frozen=True)
class Table:
    """A table.

    caption: one or more sentences
    columns: the headings, with units
    rows: the cells; None is an empty cell
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def without(self, *names: str) -> Table:
        """Return the table without the columns of these headings."""
        kept = [index for index, name in enumerate(self.columns) if name not in names]
        rows = tuple(tuple(row[index] for index in kept) for row in self.rows)
        return Table(self.caption, tuple(self.columns[index] for index in kept), rows)

    @property
    def width(self) -> float:
        """The estimated width in inches, printed with footnotesize letters."""
        cells = [self.columns, *(map(_plain_text, row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return sum(widths) * _LETTER + len(widths) * _GAP

    def csv(self) -> str:
        """Return the table as CSV, with all digits of numbers."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()

    def latex(self, label: str) -> str:
        """Return a table environment for \\usepackage{booktabs}, with three digits of numbers.

        A table that is wider than a column of the page spans both columns.
        """
        numeric = [
            all(isinstance(row[column], int | float | None) for row in self.rows)
            for column in range(len(self.columns))
        ]
        body = [" & ".join(map(_cell, row)) for row in self.rows]
        environment = "table" if self.width <= _COLUMN else "table*"
        lines = [
            rf"\begin{{{environment}}}",
            r"\centering",
            r"\footnotesize",
            r"\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{_escaped(self.caption)}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{''.join('r' if each else 'l' for each in numeric)}}}",
            r"\toprule",
            " & ".join(map(_escaped, self.columns)) + r" \\",
            r"\midrule",
            *(line + r" \\" for line in body),
            r"\bottomrule",
            r"\end{tabular}",
            rf"\end{{{environment}}}",
        ]
        return "\n".join(lines) + "\n"


def pivot(table: Table, key: str, value: str) -> Table:
    """Return a table with one column for each value of the column `key`.

    value: the column that fills the new columns
    """
    keys = table.columns.index(key)
    values = table.columns.index(value)
    kept = [index for index in range(len(table.columns)) if index not in (keys, values)]
    heads = list(dict.fromkeys(row[keys] for row in table.rows))
    if all(isinstance(head, int | float) for head in heads):
        heads.sort(key=lambda head: float(head or 0))
    cells: dict[tuple[Cell, ...], dict[Cell, Cell]] = {}
    for row in table.rows:
        cells.setdefault(tuple(row[index] for index in kept), {})[row[keys]] = row[values]
    columns = *(table.columns[index] for index in kept), *map(_head, heads)
    rows = [(*own, *(found.get(head) for head in heads)) for own, found in cells.items()]
    return Table(table.caption, columns, tuple(rows))


def _head(value: Cell) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _cell(value: Cell) -> str:
    if value is None:
        return "--"
    if isinstance(value, str):
        return _escaped(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", r"\,")
    if value != 0 and not 0.01 <= abs(value) < 10000:
        mantissa, exponent = f"{value:.2e}".split("e")
        return rf"${mantissa} \cdot 10^{{{int(exponent)}}}$"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def _plain_text(value: Cell) -> str:
    """Return the text of a cell about as long as it is printed."""
    text = _cell(value)
    return re.sub(r"\$([0-9.-]+) \\cdot 10\^\{(-?[0-9]+)\}\$", r"\1*10\2", text)


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(each, each) for each in text)
