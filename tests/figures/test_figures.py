"""All figures: contents, sizes and fonts; the same records give the same files."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import pytest
from matplotlib.text import Text

from kkspdnn.cli.plot import draw, plot, select
from kkspdnn.errors import InputError
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.read import Records, read_records
from kkspdnn.figures.style import MAX_HEIGHT, WIDTHS, pictures, settings
from kkspdnn.records.published import published
from tests.figures.conftest import draw_chart

ROOT = Path(__file__).parents[2]
CHARTS = [
    *("rates", "speedup", "implementations", "size", "threads", "scaling", "roofline", "active"),
    *("spgemm", "pruning-accuracy", "pruning-speed", "pruning-published", "batch", "poster"),
]
FIGURES = [name for name in CHARTS if name != "implementations"]
MACHINES = ("Alpha 1, 2 cores", "Beta 2, 16 cores")
MACHINE_FREE = ("active", "pruning-accuracy", "pruning-published")
"""Figures whose values are the same on every machine, or were published."""


def all_texts(figure: Any) -> list[Text]:
    """Return the visible texts of a figure, with those of its legends."""
    return [t for t in figure.findobj(match=Text) if t.get_text().strip() and t.get_visible()]


def test_the_records_allow_every_figure(by_name: dict[str, Chart]) -> None:
    assert list(by_name) == CHARTS
    assert [name for name, chart in by_name.items() if chart.paint is None] == ["implementations"]


@pytest.mark.slow
@pytest.mark.parametrize("width", list(WIDTHS))
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_and_letters_are_readable(
    by_name: dict[str, Chart], name: str, width: str
) -> None:
    figure = draw_chart(by_name[name], width)
    inches = figure.get_size_inches()
    assert inches[0] == WIDTHS[width]
    assert inches[1] <= MAX_HEIGHT
    assert all(text.get_fontsize() >= 5.5 for text in all_texts(figure))
    box = figure.get_tightbbox()
    assert -0.01 <= box.x0 <= box.x1 <= inches[0] + 0.01
    assert -0.01 <= box.y0 <= box.y1 <= inches[1] + 0.01
    for axes in figure.axes:
        place = axes.get_position(original=False)
        assert place.width * inches[0] > 0.75
        assert place.height * inches[1] > 0.45


@pytest.mark.slow
@pytest.mark.parametrize("width", list(WIDTHS))
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_states_what_it_shows(
    by_name: dict[str, Chart], name: str, width: str
) -> None:
    figure = draw_chart(by_name[name], width)
    title = " ".join(figure.get_suptitle().split())
    everything = " ".join(" ".join(text.get_text().split()) for text in all_texts(figure))
    if name != "pruning-published":
        assert "float32" in title
        assert "error" in title
        assert any(word in title for word in ("layer", "networks", "perceptron", "a net"))
    if name not in MACHINE_FREE:
        for machine in MACHINES:
            assert machine in everything
        # "poster" has too many machines and layers for the threads of each.
        assert re.search("[0-9]+ threads?|thread\\(s\\)|threads", everything)
    for axes in figure.axes:
        shared = name in ("spgemm", "speedup", "poster")
        assert shared or axes.get_xlabel()
        assert shared or any(other.get_ylabel() for other in figure.axes)


@pytest.mark.parametrize("name", ["rates", "batch", "pruning-speed", "active", "size"])
def test_labels_do_not_overlap(by_name: dict[str, Chart], name: str) -> None:
    for width in WIDTHS:
        for axes in draw_chart(by_name[name], width).axes:
            texts = [text for text in axes.texts if text.get_text()]
            boxes = [text.get_window_extent().shrunk(1, 0.9) for text in texts]
            for index, box in enumerate(boxes):
                assert not any(box.overlaps(other) for other in boxes[:index])


def test_published_values_have_their_source(by_name: dict[str, Chart]) -> None:
    results = published()
    for system in results.systems:
        assert system.source in by_name["rates"].table.caption
    assert results.poster.source in by_name["poster"].table.caption
    assert results.speedup.source in by_name["speedup"].table.caption
    assert results.nodes.source in by_name["scaling"].table.caption
    assert results.pruning.source in by_name["pruning-published"].table.caption
    rows = {row[:4]: row[4] for row in by_name["pruning-published"].table.rows}
    assert rows["speed-up", "LSTM", "balanced", 80.0] == pytest.approx(294.1 / 120.2)
    assert rows["perplexity", "LSTM", "block, blocks of 16 x 16", 80.0] == 99.5
    # VGG-16, its last three layers, LSTM and CTC
    lines = draw_chart(by_name["pruning-published"]).axes[1].lines
    assert lines[0].get_ydata() == pytest.approx(
        [6814.141 / 5213, 979.9 / 231.1, 265.5 / 70.3, 144.5 / 58.9, 294.1 / 120.2, 117.9 / 83.9]
    )


@pytest.mark.parametrize("name", CHARTS)
def test_tables_fit_a_page(by_name: dict[str, Chart], name: str) -> None:
    printed = by_name[name].page_table
    text = printed.latex(name)
    assert printed.width <= WIDTHS["2col"]
    assert ("table*" in text) == (printed.width > WIDTHS["1col"])
    # 60 lines of 9.5 points are 8 inches.
    assert len(printed.rows) <= 60


@pytest.mark.slow
def test_files_and_fonts(drawn: dict[str, bytes]) -> None:
    names = {f"{n}-{w}.{suffix}" for n in FIGURES for w in WIDTHS for suffix in ("pdf", "png")}
    names |= {f"{n}.{suffix}" for n in CHARTS for suffix in ("csv", "tex")}
    assert set(drawn) == names
    for name in FIGURES:
        for width, inches in WIDTHS.items():
            png = drawn[f"{name}-{width}.png"]
            assert struct.unpack(">I", png[16:20])[0] == int(300 * inches)
            pdf = drawn[f"{name}-{width}.pdf"]
            box = re.search(rb"/MediaBox \[ ?0 0 ([0-9.]+) ", pdf)
            assert box is not None
            assert float(box.group(1)) == pytest.approx(72 * inches, abs=0.1)
            assert b"/Type3" not in pdf
            assert b"/Subtype /Image" not in pdf
            assert b"CreationDate" not in pdf


@pytest.mark.slow
def test_the_same_records_give_the_same_files(
    by_name: dict[str, Chart], drawn: dict[str, bytes]
) -> None:
    with settings():
        for name in FIGURES:
            again = pictures(f"{name}-1col", by_name[name].figure("1col"))
            assert again == {file: drawn[file] for file in again}


def test_the_order_of_the_files_does_not_matter(folder: Path, records: Records) -> None:
    from kkspdnn.cli.plot import possible_charts

    paths = sorted(folder.iterdir(), reverse=True)
    tables = {chart.name: chart.table for chart in possible_charts(read_records(paths))}
    for chart in possible_charts(records):
        assert tables[chart.name] == chart.table


def test_invalid_records_are_refused(folder: Path, tmp_path: Path) -> None:
    reading = ROOT / "bench" / "results" / "reading-65536.json"
    with pytest.raises(InputError, match="no record among 1 files"):
        read_records([reading])
    with pytest.raises(InputError, match="these records allow no figure"):
        select([], [])
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is not a folder"):
        list(plot([str(folder / "base-0.json"), "--out", str(tmp_path / "file")]))
    broken = folder / "broken.json"
    text = (folder / "base-0.json").read_text()
    broken.write_text(text.replace('"threads": 2', '"threads": "2"', 1))
    with pytest.raises(InputError, match=r"broken.json: threads: '2' is not a whole number"):
        list(plot([str(folder / "base-0.json"), str(broken), "--out", str(tmp_path / "none")]))
    assert not (tmp_path / "none").exists()


def test_a_chart_without_a_figure_has_only_tables(by_name: dict[str, Chart]) -> None:
    assert set(draw([by_name["implementations"]])) == {"implementations.csv", "implementations.tex"}
