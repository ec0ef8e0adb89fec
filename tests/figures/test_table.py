"""Tables as CSV and LaTeX."""

from __future__ import annotations

import csv
import io

from kkspdnn.figures.table import Table

TABLE = Table(
    "Rates & 50 % of_them.",
    ("name", "a (s)", "b", "c"),
    (("x_1, y", 0.5, 60_000, None), ('"z" \\ {}', 2.76e11, 7, 1234.5)),
)


def test_csv_keeps_every_digit() -> None:
    rows = list(csv.reader(io.StringIO(TABLE.csv())))
    assert rows[0] == list(TABLE.columns)
    assert rows[1] == ["x_1, y", "0.5", "60000", ""]
    assert rows[2] == ['"z" \\ {}', str(2.76e11), "7", "1234.5"]
    assert float(rows[2][1]) == 2.76e11


def test_latex_is_booktabs_and_escaped() -> None:
    lines = TABLE.latex("rates").splitlines()
    assert lines[0] == r"\begin{table}"
    assert r"\caption{Rates \& 50 \% of\_them.}" in lines
    assert r"\label{tab:rates}" in lines
    assert r"\begin{tabular}{lrrr}" in lines
    assert [line for line in lines if line.endswith("rule")] == [
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
    ]
    assert r"x\_1, y & 0.500 & 60\,000 & -- \\" in lines
    assert r'"z" \textbackslash{} \{\} & $2.76 \cdot 10^{11}$ & 7 & 1.23e+03 \\' not in lines
    assert r'"z" \textbackslash{} \{\} & $2.76 \cdot 10^{11}$ & 7 & 1234 \\' in lines
