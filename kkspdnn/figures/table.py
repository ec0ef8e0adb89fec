"""Tables, written as CSV and as LaTeX (booktabs)."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

Cell = str | int | float | None

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

    def csv(self) -> str:
        """Return the table as CSV, with all digits of numbers."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()

    def latex(self, label: str) -> str:
        """Return a table environment for \\usepackage{booktabs}, with three digits of numbers."""
        numeric = [
            all(isinstance(row[column], int | float | None) for row in self.rows)
            for column in range(len(self.columns))
        ]
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escaped(self.caption)}}}",
            rf"\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{''.join('r' if each else 'l' for each in numeric)}}}",
            r"\toprule",
            " & ".join(map(_escaped, self.columns)) + r" \\",
            r"\midrule",
            *(" & ".join(map(_cell, row)) + r" \\" for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


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


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(each, each) for each in text)
