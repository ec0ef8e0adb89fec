"""The figure of the time of a row against the rows at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from kkspdnn.figures import batch_size
from kkspdnn.figures.batch_curves import batch_times
from kkspdnn.figures.direct_labels import spread_positions
from kkspdnn.figures.points import Records, read_records
from kkspdnn.figures.pruning_curves import speedup_panels
from kkspdnn.figures.style import COLOURS, Chart, settings
from kkspdnn.records.pruning_study import Study, Timing
from kkspdnn.records.published import published

DENSE = ("NumPy", "PyTorch", "ONNX Runtime", "OpenVINO")
SPARSE = ("SciPy CSR", "MKL CSR", "DeepSparse", "kkspdnn")
ROWS = (1, 2, 4, 8, 16, 64, 256, 4096)
RECORD = Path(__file__).parents[2] / "bench" / "results" / "balanced-speed.json"


def batch_study() -> Study:
    """A study of all rows and three sparsities. Its implementations take 1, 2, 3 … µs for a row."""
    timings = []
    for number, name in enumerate((*DENSE, *SPARSE), start=1):
        dense = name in DENSE
        patterns = ("dense",) if dense else ("balanced", "unstructured")
        for pattern, requested, rows in product(
            patterns, (None,) if dense else (0.8, 0.9, 0.95), ROWS
        ):
            seconds = tuple(1e-6 * number * rows * factor for factor in (1, 0.9, 1.5))
            sparsity = 0.0 if requested is None else requested + 0.01
            timings.append(
                Timing(name, pattern, sparsity, rows, seconds, 0.0, 2, "openmp", requested)
            )
    return Study(
        created="2020-01-01T00:00:00+00:00",
        machine="Processor with a long name (R) @ 2.00GHz, 2 cores",
        threads=2,
        versions={},
        commit=None,
        command="",
        layers=(1024, 1024, 1024, 10),
        timings=tuple(timings),
    )


def chart_of(*studies: Study) -> Chart:
    chart = batch_size.chart(Records((), (), studies), published())
    assert chart is not None
    return chart


def draw(chart: Chart, width: str = "2col") -> Any:
    with settings():
        figure = chart.figure(width)
        figure.draw_without_rendering()
    return figure


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts if text.get_text()]


def test_the_curves_are_microseconds_of_a_row() -> None:
    times = batch_times([batch_study()])
    assert times is not None
    assert [curve.label for curve in times.dense] == list(DENSE)
    assert [panel.percent for panel in times.panels] == pytest.approx([81, 91, 96])
    for panel in times.panels:
        assert [curve.label for curve in panel.curves] == list(SPARSE)
        assert list(panel.curves[3].values) == list(ROWS)
        assert panel.curves[3].values[64] == pytest.approx((7.2, 8.0, 12.0))


def test_the_machine_with_the_most_sizes_is_drawn() -> None:
    study = batch_study()
    few = replace(study, machine="b", timings=tuple(t for t in study.timings if t.rows < 8))
    one = replace(study, timings=tuple(replace(t, threads=1) for t in study.timings))
    for studies in ((few, study, one), (one, study, few)):
        times = batch_times(studies)
        assert times is not None
        assert times.hardware == f"{study.machine}, 2 threads"
    later = replace(
        study,
        created="2021-01-01T00:00:00+00:00",
        timings=tuple(replace(t, seconds=(t.rows * 7e-6,)) for t in study.timings),
    )
    times = batch_times([later, study])
    assert times is not None
    assert times.panels[0].curves[0].values[1] == pytest.approx((7.0, 7.0, 7.0))


def test_there_is_no_figure_without_the_pattern() -> None:
    study = batch_study()
    balanced = tuple(t for t in study.timings if t.pattern != "unstructured")
    assert batch_times([replace(study, timings=balanced)]) is None
    assert batch_size.chart(Records((), ()), published()) is None


@pytest.mark.parametrize("width", ["1col", "2col"])
def test_the_axes_state_what_is_drawn(width: str) -> None:
    figure = draw(chart_of(batch_study()), width)
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "(a) rows at a time, 81 % pruned",
        "(b) rows at a time, 91 % pruned",
        "(c) rows at a time, 96 % pruned",
    ]
    assert figure.axes[0].get_ylabel() == "time of a row (µs)"
    assert {axes.get_ylim() for axes in figure.axes} == {figure.axes[0].get_ylim()}
    assert {(axes.get_xscale(), axes.get_yscale()) for axes in figure.axes} == {("log", "log")}
    title = " ".join(figure.get_suptitle().split())
    for part in ("1024-1024-1024-10", "float32", "unstructured", "2 threads", "2 cores"):
        assert part in title


@pytest.mark.parametrize("width", ["1col", "2col"])
def test_every_curve_has_a_label_and_nothing_is_cut_off(width: str) -> None:
    figure = draw(chart_of(batch_study()), width)
    labelled = figure.axes if width == "1col" else figure.axes[-1:]
    for axes in labelled:
        assert set(texts(axes)) == {*DENSE, *SPARSE}
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert not any(
            a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i] if a.width and b.width
        )
    inches = figure.get_tightbbox()
    width_in_inches, height_in_inches = figure.get_size_inches()
    assert 0 <= inches.x0 <= inches.x1 <= width_in_inches
    assert 0 <= inches.y0 <= inches.y1 <= height_in_inches


def test_a_style_does_not_depend_on_the_other_implementations() -> None:
    study = batch_study()
    alone = replace(study, timings=tuple(t for t in study.timings if t.implementation == "kkspdnn"))
    for chart in (chart_of(study), chart_of(alone)):
        axes = draw(chart).axes[0]
        (line,) = [line for line in axes.lines if line.get_color() == COLOURS[0]][:1]
        assert line.get_marker() == "o"
        assert line.get_linestyle() == "-"
    dashed = [line for line in draw(chart_of(study)).axes[0].lines if line.get_linestyle() == "--"]
    assert len(dashed) == len(DENSE)


def test_the_table_has_dense_networks_once() -> None:
    chart = chart_of(batch_study())
    rows = {row[:4]: row[4:] for row in chart.table.rows}
    assert len(rows) == len(chart.table.rows) == len(ROWS) * (len(DENSE) + 3 * len(SPARSE))
    assert rows["NumPy", "dense", 0.0, 64] == pytest.approx((1.0, 0.9, 1.5))
    assert rows["kkspdnn", "unstructured", 96.0, 1] == pytest.approx((8.0, 7.2, 12.0))
    assert "1024-1024-1024-10" in chart.table.caption


def test_the_committed_record_is_drawn() -> None:
    chart = chart_of(*read_records([RECORD]).studies)
    for width in ("1col", "2col"):
        figure = draw(chart, width)
        assert "kkspdnn" in texts(figure.axes[-1])


def test_speed_ups_are_those_at_90_percent_and_three_numbers_of_rows() -> None:
    (panel,) = speedup_panels([batch_study()])
    by_label = {curve.label: curve.values for curve in panel.curves}
    assert set(by_label) == {f"{n}, {p}" for n, p in product(SPARSE, ("balanced", "unstructured"))}
    assert list(by_label["kkspdnn, balanced"]) == [1, 64, 4096]
    only_80 = tuple(t for t in batch_study().timings if t.nominal_sparsity in (0.0, 0.8))
    assert speedup_panels([replace(batch_study(), timings=only_80)]) == []


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ([], []),
        ([0.1, 0.5, 0.9], [0.1, 0.5, 0.9]),
        ([0.5, 0.5], [0.4, 0.6]),
        ([0.1, 0.5, 0.5, 0.5], [0.1, 0.3, 0.5, 0.7]),
        ([0.0, 0.3, 0.4], [0.0, 0.25, 0.45]),
    ],
)
def test_labels_keep_a_distance(positions: list[float], expected: list[float]) -> None:
    assert spread_positions(positions, 0.2) == pytest.approx(expected)
