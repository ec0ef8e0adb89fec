"""Figures: contents, sizes and fonts; the same records give the same files."""

from __future__ import annotations

import json
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from matplotlib.colors import to_rgb
from matplotlib.container import ErrorbarContainer
from matplotlib.text import Text

from kkspdnn.choices import METHODS
from kkspdnn.cli.plot import draw, plot
from kkspdnn.errors import InputError
from kkspdnn.figures.charts import charts
from kkspdnn.figures.points import Records, read_records
from kkspdnn.figures.style import (
    COLOURS,
    GREY,
    HATCHES,
    LINES,
    MARKERS,
    WIDTHS,
    Chart,
    pictures,
    settings,
)
from kkspdnn.records.published import published

ROOT = Path(__file__).parents[2]
NAMES = [
    *("rates", "speedup", "size", "threads", "roofline", "active", "spgemm"),
    *("pruning", "batch", "poster"),
]


@pytest.fixture
def records(folder: Path) -> Records:
    return read_records(sorted(folder.iterdir()))


@pytest.fixture
def by_name(records: Records) -> dict[str, Chart]:
    return {chart.name: chart for chart in charts(records)}


def draw_chart(chart: Chart, width: str) -> Any:
    with settings():
        figure = chart.figure(width)
        figure.draw_without_rendering()
    return figure


def test_the_records_allow_every_figure(by_name: dict[str, Chart]) -> None:
    assert list(by_name) == NAMES


@pytest.mark.slow
@pytest.mark.parametrize("width", list(WIDTHS))
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_readable(by_name: dict[str, Chart], name: str, width: str) -> None:
    figure = draw_chart(by_name[name], width)
    assert figure.get_size_inches()[0] == WIDTHS[width]
    # The curves of "batch" have labels beside their ends.
    assert len(figure.legends) == (name != "batch")
    entries = [text for legend in figure.legends for text in legend.get_texts()]
    bounds = figure.bbox
    texts = [text for axes in figure.axes for text in axes.findobj(match=Text)]
    for text in [*texts, *entries]:
        if text.get_text() and text.get_visible():
            assert text.get_fontsize() >= 5.5
            box = text.get_window_extent()
            if box.width and text in entries:
                assert bounds.x0 - 1 <= box.x0
                assert box.x1 <= bounds.x1 + 1
    for axes in figure.axes:
        # The panels of "spgemm" share the labels of their rows and columns.
        assert axes.get_xlabel() or name in ("rates", "spgemm")
        # A panel without a y label shares that of its neighbour, or has the names of rows.
        assert any(other.get_ylabel() for other in figure.axes) or name in (
            *("speedup", "poster", "spgemm"),
        )
        assert axes.get_position().width > 0.25 / (1 if width == "1col" else 2)
    labels = [text.get_text() for text in entries]
    assert len(labels) == len(set(labels))
    assert labels or name == "batch"


@pytest.mark.parametrize(("name", "units"), [("rates", "edges/s"), ("size", "(s)")])
def test_axes_have_units(by_name: dict[str, Chart], name: str, units: str) -> None:
    assert units in draw_chart(by_name[name], "2col").axes[0].get_ylabel()


def test_bars_have_the_height_of_the_rates(by_name: dict[str, Chart]) -> None:
    axes = draw_chart(by_name["rates"], "2col").axes[0]
    heights = sorted(patch.get_height() for patch in axes.patches)
    expected = [60_000 * 32 * n * layers / 0.25 for n, layers in ((1024, 120), (4096, 120))]
    expected.append(60_000 * 32 * 1024 * 1920 / 0.25)
    assert heights == pytest.approx(sorted(expected))


def test_published_values_are_lines_with_their_source(by_name: dict[str, Chart]) -> None:
    figure = draw_chart(by_name["rates"], "1col")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    for system in published().systems:
        lossy = "" if system.exact else " (lossy)"
        assert f"published: {system.name}{lossy}" in labels
        assert system.source in by_name["rates"].table.caption
    line_positions = {float(line.get_ydata()[0]) for line in figure.axes[0].lines}
    assert {2.76e11, 1.05e13, 1.67e13, 1.76e13, 2.80e11} <= line_positions
    lines = draw_chart(by_name["speedup"], "1col").axes[0].lines
    assert {120.0, 500.0} <= {line.get_xdata()[0] for line in lines}
    assert published().poster.source in by_name["poster"].table.caption


def test_pruned_networks_are_compared_with_the_fastest_dense_one(by_name: dict[str, Chart]) -> None:
    accuracy = draw_chart(by_name["pruning"], "2col").axes[0]
    assert [line.get_xdata().tolist() for line in accuracy.lines if line.get_marker() == "o"] == [
        [80, 90]
    ]
    rows = {row[:5]: row[5:] for row in by_name["pruning"].table.rows}
    assert rows["accuracy (%)", "balanced, 32 blocks", "measured", 90.0, None] == pytest.approx(
        (97.0, 96.5, 97.5)
    )
    assert rows["accuracy (%)", "dense", "measured", 0.0, None][0] == pytest.approx(98.0)
    # 2 ms over 0.8 ms, and over the quartiles of 1, 0.8 and 0.5 ms
    one = "a processor, 2 cores, 1 thread"
    assert rows["speed-up", "kkspdnn, balanced", one, None, 64] == pytest.approx(
        (2.5, 2 / 0.9, 2 / 0.65)
    )


def test_threads_and_gpus_have_separate_panels(records: Records) -> None:
    (one,) = records.studies
    both = [replace(each, threads=2) for each in one.timings]
    gpu = [replace(each, space="cuda") for each in one.timings]
    more = replace(one, accuracies=(), timings=(*one.timings, *both, *gpu), gpu="A GPU, 1.0")
    alone = replace(records, points=(), comparisons=(), studies=(more,), spgemm_studies=())
    chart, _ = charts(alone)
    assert chart.name == "pruning"
    figure = draw_chart(chart, "2col")
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "(a) input rows, 1 thread",
        "(b) input rows, 2 threads",
        "(c) input rows, A GPU",
        "(d) published, on a GPU",
    ]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["kkspdnn, balanced", *(f"published: {pattern}" for pattern in METHODS)]
    assert {row[2] for row in chart.table.rows if row[0] == "speed-up"} >= {
        "a processor, 2 cores, 1 thread",
        "a processor, 2 cores, 2 threads",
        "A GPU, 1.0",
    }


def test_published_pruned_networks_are_grey(by_name: dict[str, Chart]) -> None:
    results = published().pruning
    axes = draw_chart(by_name["pruning"], "2col").axes
    assert [each.get_xlabel() for each in axes] == [
        "(a) sparsity (%)",
        "(b) sparsity (%), published",
        "(c) input rows, 1 thread",
        "(d) published, on a GPU",
    ]
    lines = {line.get_label(): line for each in (axes[1], axes[3]) for line in each.lines}
    grey = {label: line for label, line in lines.items() if label.startswith("published: ")}
    assert len(grey) == 2 + len(METHODS)
    assert {line.get_color() for line in grey.values()} == {GREY}
    assert lines["published: balanced, blocks of 50"].get_ydata().tolist() == [78.4, 78.7, 79.2]
    # VGG-16, its last three layers, LSTM and CTC.
    assert lines["published: balanced"].get_ydata() == pytest.approx(
        [6814.141 / 5213, 979.9 / 231.1, 265.5 / 70.3, 144.5 / 58.9, 294.1 / 120.2, 117.9 / 83.9]
    )
    rows = {row[:4]: row[5] for row in by_name["pruning"].table.rows}
    assert rows["speed-up", "balanced", "published, LSTM", 80.0] == pytest.approx(294.1 / 120.2)
    assert rows["perplexity", "block, blocks of 16 x 16", "published", 80.0] == 99.5
    assert results.source in by_name["pruning"].table.caption


def test_the_speedup_is_over_the_reference(by_name: dict[str, Chart]) -> None:
    rows = {row[0]: row for row in by_name["speedup"].table.rows}
    assert rows["kkspdnn, fused, early exit"][3] == pytest.approx(14 / 0.25)
    assert rows["TVM & co"][3] == pytest.approx(14 / 2 / 2)
    assert rows["kkspdnn, fused, early exit"][4:] == pytest.approx((14 / 0.375, 14 / 0.225))
    assert "Serial reference" not in rows
    assert rows["published: KK-SpDNN 2019, highest"][3] == 500


def test_scaling_is_over_the_fewest_threads(by_name: dict[str, Chart]) -> None:
    rows = {(row[1], row[2]): row[4] for row in by_name["threads"].table.rows}
    assert rows == pytest.approx(
        {
            ("strong", 1): 1.0,
            ("strong", 2): 2.0,
            ("weak", 1): 1.0,
            ("weak", 2): (60_000 / 0.25) / (30_000 / 0.3) / 2,
        }
    )


def test_ranks_are_compared_with_one_process_of_the_same_threads(records: Records) -> None:
    one = next(p for p in records.points if p.name == "all" and p.threads == 1)
    one = replace(one, problem_inputs=60_000, inputs=60_000, seconds=(0.5,))
    ranks = tuple(replace(one, ranks=n, threads=n, seconds=(1 / (1 + n),)) for n in (2, 4))
    alone = replace(records, points=(one,), of_ranks=ranks, comparisons=(), studies=())
    chart = next(chart for chart in charts(alone) if chart.name == "threads")
    rows = [(row[0], row[1], row[2], row[4]) for row in chart.table.rows]
    label = "kkspdnn, fused, early exit, ranks of 1 thread"
    assert rows == [
        (label, "strong", 1, 1.0),
        (label, "strong", 2, pytest.approx(1.5)),
        (label, "strong", 4, pytest.approx(2.5)),
    ]
    (axes,) = draw_chart(chart, "1col").axes
    assert axes.get_xlabel() == "(a) threads of all ranks, strong scaling"


def test_a_run_with_ranks_is_separate_from_runs_of_one_process() -> None:
    path = ROOT / "bench" / "results" / "1024-120-ranks-2.json"
    records = read_records([path])
    assert records.points == ()
    assert [(p.ranks, p.threads) for p in records.of_ranks] == [(2, 2)]


def test_the_ceiling_is_the_lowest_one(by_name: dict[str, Chart]) -> None:
    rows = {row[0]: row for row in by_name["roofline"].table.rows}
    _, intensity, rate, low, high, share = rows["kkspdnn, fused, early exit"]
    assert intensity == pytest.approx(1 / 4.5)
    assert rate == pytest.approx(7e9 / 0.25)
    assert (low, high) == pytest.approx((7e9 / 0.375, 7e9 / 0.225))
    assert share == pytest.approx(rate / min(1e11, 4e11 / 4.5))


def test_time_is_drawn_against_the_only_size_that_varies(by_name: dict[str, Chart]) -> None:
    axes = draw_chart(by_name["size"], "2col").axes
    assert [each.get_xlabel() for each in axes] == ["(a) layers", "(b) neurons per layer"]
    (line,) = [line for line in axes[0].lines if line.get_label() == "kkspdnn, fused, early exit"]
    assert line.get_xdata().tolist() == [120, 1920]
    assert line.get_ydata().tolist() == [0.25, 0.25]


@pytest.mark.slow
def test_active_rows_are_those_of_the_record(by_name: dict[str, Chart]) -> None:
    lines = draw_chart(by_name["active"], "1col").axes[0].lines
    assert lines[0].get_ydata().tolist()[:3] == [60_000, 30_000, 20_000]
    assert len(by_name["active"].table.rows) in (120, 1920)


def test_error_bars_reach_from_the_lowest_to_the_highest(by_name: dict[str, Chart]) -> None:
    axes = draw_chart(by_name["rates"], "2col").axes[0]
    bars = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    work = 60_000 * 32 * 1024 * 120
    (segment,) = bars[0].lines[2][0].get_segments()
    assert segment[:, 1] == pytest.approx([work / 0.375, work / 0.225])
    assert len(bars) == 3


def test_styles_differ_in_more_than_colour() -> None:
    assert len(COLOURS) == len(set(HATCHES)) == len(set(MARKERS)) == len(set(LINES))
    grey = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in map(to_rgb, COLOURS)]
    assert all(abs(a - b) > 0.05 for a, b in zip(grey, grey[1:], strict=False))


@pytest.mark.slow
def test_files_and_fonts(drawn: dict[str, bytes]) -> None:
    names = {f"{n}-{w}.{suffix}" for n in NAMES for w in WIDTHS for suffix in ("pdf", "png")}
    names |= {f"{n}.{suffix}" for n in [*NAMES, "implementations"] for suffix in ("csv", "tex")}
    assert set(drawn) == names
    for name in NAMES:
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
        for name, chart in by_name.items():
            again = pictures(f"{name}-1col", chart.figure("1col"))
            assert again == {file: drawn[file] for file in again}
            assert chart.table.csv().encode() == drawn[f"{name}.csv"]
            assert chart.table.latex(name).encode() == drawn[f"{name}.tex"]


def test_the_measurement_with_more_runs_is_kept(folder: Path) -> None:
    paths = sorted(folder.iterdir())
    more = json.loads(paths[0].read_text())
    more["rows"][3]["inference_seconds"] = [1.0] * 9
    (folder / "z.json").write_text(json.dumps(more))
    for order in ([folder / "z.json", *paths], [*paths, folder / "z.json"]):
        points = [
            p
            for p in read_records(order).points
            if (p.name, p.network, p.threads) == ("all", "1024-120", 2)
        ]
        assert [point.seconds for point in points] == [(1.0,) * 9]


def test_records_of_runs_are_drawn(tmp_path: Path) -> None:
    results = ROOT / "bench" / "results"
    paths = [results / f"1024-120-openmp{each}.json" for each in ("", "-none", "-spgemm")]
    records = read_records(
        [*paths, results / "1024-1920-openmp.json", results / "reading-65536.json"]
    )
    assert [path.name for path in records.skipped] == ["reading-65536.json"]
    assert {point.name for point in records.points} == {"all", "none", "spgemm"}
    assert {"rates", "size", "poster"} <= {chart.name for chart in charts(records)}
    assert "speedup" not in {chart.name for chart in charts(records)}
    record = json.loads(paths[0].read_text())
    path = tmp_path / "wrong.json"
    for change, message in (
        ({"truth": "failed"}, "this run failed its verification"),
        ({"inference_seconds": 0.0}, "inference_seconds and inputs must be above 0"),
        ({"layers": "many"}, "layers: 'many' is not a whole number"),
        ({"exits": "no"}, "exits: 'no' is unknown"),
    ):
        path.write_text(json.dumps({**record, **change}))
        with pytest.raises(InputError, match=message):
            read_records([path])


@pytest.mark.slow
def test_invalid_records_are_refused(folder: Path, tmp_path: Path) -> None:
    reading = ROOT / "bench" / "results" / "reading-65536.json"
    with pytest.raises(InputError, match="no record among 1 files"):
        read_records([reading])
    ceilings = read_records([folder / "f.json"])
    with pytest.raises(InputError, match="these records allow no figure"):
        draw(ceilings)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is not a folder"):
        list(plot([str(folder / "a.json"), "--out", str(tmp_path / "file")]))
    broken = folder / "broken.json"
    broken.write_text((folder / "a.json").read_text().replace('"threads": 2', '"threads": "2"', 1))
    with pytest.raises(InputError, match=r"broken.json: threads: '2' is not a whole number"):
        list(plot([str(folder / "a.json"), str(broken), "--out", str(tmp_path / "none")]))
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_missing_implementations_are_only_in_the_table(
    drawn: dict[str, bytes], by_name: dict[str, Chart]
) -> None:
    assert b"missing: PyTorch is not installed" in drawn["implementations.csv"]
    assert b"PyTorch" not in drawn["speedup.csv"]
    assert by_name["speedup"].table.rows


def test_stored_labels_are_displayed_in_current_words(records: Records) -> None:
    labels = {row.label for each in records.comparisons for row in each.rows}
    labels |= {point.label for point in records.points}
    assert {"kkspdnn, fused, no early exit", "kkspdnn, fused, early exit"} <= labels
    assert not any("leave" in label or "exits" in label for label in labels)
