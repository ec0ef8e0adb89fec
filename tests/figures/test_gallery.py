"""The committed figures, their tables and the page that shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kkspdnn.cli.plot import possible_charts
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.read import read_records
from kkspdnn.figures.style import WIDTHS

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "plots" / "figures"
PAGE = (ROOT / "docs" / "figures.md").read_text()


@pytest.fixture(scope="module")
def charts() -> list[Chart]:
    """The charts of the committed records."""
    return possible_charts(read_records(sorted((ROOT / "bench" / "results").glob("*.json"))))


def test_the_committed_tables_are_those_of_the_committed_records(charts: list[Chart]) -> None:
    for chart in charts:
        assert (FIGURES / f"{chart.name}.csv").read_text() == chart.table.csv()
        assert (FIGURES / f"{chart.name}.tex").read_text() == chart.page_table.latex(chart.name)


def test_there_are_no_other_files(charts: list[Chart]) -> None:
    expected = {f"{chart.name}.{suffix}" for chart in charts for suffix in ("csv", "tex")}
    for chart in charts:
        if chart.paint is not None:
            expected |= {f"{chart.name}-{w}.{suffix}" for w in WIDTHS for suffix in ("pdf", "png")}
    assert {path.name for path in FIGURES.iterdir()} == expected


def test_the_page_has_every_figure_with_its_commands(charts: list[Chart]) -> None:
    _, *sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    by_name = {section.partition("\n")[0]: section for section in sections}
    drawn = [chart.name for chart in charts if chart.name != "implementations"]
    assert set(by_name) == set(drawn)
    for chart in charts:
        section = by_name.get(chart.name, PAGE)
        if chart.paint is not None:
            assert f"](../plots/figures/{chart.name}-2col.png)" in section
        assert re.search(rf"--only [a-z ]*{chart.name}\b", section)
        assert section.count("```sh") == 1 or section == PAGE
