"""The figure of the time of a row against the rows at a time."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from kkspdnn.figures import batch_size
from kkspdnn.figures.appearance import BLUE
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.hardware import make_hardware
from kkspdnn.figures.pruning_curves import machine_timings
from kkspdnn.figures.pruning_speed import speed_panels
from kkspdnn.figures.read import Records, read_records
from kkspdnn.records.pruning_study import Study, Timing
from kkspdnn.records.published import published
from tests.figures.conftest import SECOND, draw_chart, sourced

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
        machine="Gamma(R) 3 Processor, 2 cores",
        threads=2,
        versions={},
        commit=None,
        command="",
        layers=(1024, 1024, 1024, 10),
        timings=tuple(timings),
    )


def chart_of(*studies: Study) -> Chart:
    chart = batch_size.chart(Records(pruning_studies=sourced(*studies)), published())
    assert chart is not None
    return chart


def panels_of(*studies: Study) -> list[batch_size.BatchPanel]:
    return batch_size.batch_panels(machine_timings(sourced(*studies)))


def texts(axes: Any) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in axes.texts if text.get_text()]


def test_the_curves_are_microseconds_of_a_row() -> None:
    panels = panels_of(batch_study())
    assert [panel.percent for panel in panels] == pytest.approx([81, 91, 96])
    for panel in panels:
        assert [curve.label for curve in panel.dense] == list(DENSE)
        assert [curve.label for curve in panel.pruned] == list(SPARSE)
        assert list(panel.pruned[3].values) == list(ROWS)
        assert panel.pruned[3].values[64] == pytest.approx((7.2, 8.0, 12.0))


def test_each_machine_has_a_panel_for_each_sparsity() -> None:
    study = batch_study()
    second = replace(study, machine=SECOND)
    gpu = replace(
        study, gpu="X, 1.0", timings=tuple(replace(t, space="cuda") for t in study.timings[:80])
    )
    panels = panels_of(second, gpu, study)
    found = [(panel.machine.hardware, panel.sparsity) for panel in panels]
    cpus = [make_hardware(study.machine, 2), make_hardware(SECOND, 2)]
    assert found[:6] == list(product(sorted(cpus), (0.8, 0.9, 0.95)))
    assert {each for each, _ in found[6:]} == {make_hardware("", 0, "X")}
    figure = draw_chart(chart_of(second, study))
    assert len(figure.axes) == 6
    assert figure.axes[0].get_title(loc="left").startswith(f"(a) {sorted(cpus)[0].title}\n81 %")
    assert figure.axes[5].get_title(loc="left").startswith(f"(f) {sorted(cpus)[1].title}\n96 %")


def test_the_most_threads_and_the_latest_record_are_drawn() -> None:
    study = batch_study()
    one = replace(study, timings=tuple(replace(t, threads=1) for t in study.timings))
    for studies in ((study, one), (one, study)):
        assert {panel.machine.hardware.threads for panel in panels_of(*studies)} == {2}
    later = replace(
        study,
        created="2021-01-01T00:00:00+00:00",
        timings=tuple(replace(t, seconds=(t.rows * 7e-6,)) for t in study.timings),
    )
    panels = panels_of(later, study)
    assert panels[0].pruned[0].values[1] == pytest.approx((7.0, 7.0, 7.0))


def test_there_is_no_figure_without_the_pattern() -> None:
    study = batch_study()
    balanced = tuple(t for t in study.timings if t.pattern != "unstructured")
    assert panels_of(replace(study, timings=balanced)) == []
    assert batch_size.chart(Records(), published()) is None


@pytest.mark.parametrize("width", ["1col", "2col"])
def test_the_axes_state_what_is_drawn(width: str) -> None:
    figure = draw_chart(chart_of(batch_study()), width)
    title = "Gamma 3, 2 cores, 2 threads"
    assert [axes.get_title(loc="left").split("\n")[1] for axes in figure.axes] == [
        f"{percent} % of the weights pruned" for percent in (81, 91, 96)
    ]
    assert figure.axes[0].get_title(loc="left").startswith(f"(a) {title}")
    assert {axes.get_xlabel() for axes in figure.axes} == {"batch size (rows)"}
    assert figure.axes[0].get_ylabel() == "time per row (µs)"
    assert {axes.get_ylim() for axes in figure.axes} == {figure.axes[0].get_ylim()}
    assert {(axes.get_xscale(), axes.get_yscale()) for axes in figure.axes} == {("log", "log")}
    stated = " ".join(figure.get_suptitle().split())
    for part in ("1024-1024-1024-10", "float32", "unstructured", "error bars"):
        assert part in stated


@pytest.mark.parametrize("width", ["1col", "2col"])
def test_every_curve_has_a_label(width: str) -> None:
    figure = draw_chart(chart_of(batch_study()), width)
    labelled = figure.axes if width == "1col" else figure.axes[-1:]
    for axes in labelled:
        assert set(texts(axes)) == {*DENSE, *SPARSE}


def test_dense_networks_are_dashed_and_kkspdnn_is_blue() -> None:
    lines = draw_chart(chart_of(batch_study())).axes[0].lines
    dashed = [line for line in lines if line.get_linestyle() == "--"]
    assert len(dashed) == len(DENSE)
    assert {line.get_markerfacecolor() for line in dashed} == {"white"}
    (own,) = [line for line in lines if line.get_color() == BLUE][:1]
    assert (own.get_marker(), own.get_linestyle()) == ("o", "-")


def test_the_table_has_dense_networks_once() -> None:
    chart = chart_of(batch_study())
    rows = {row[1:4]: row[4:] for row in chart.table.rows}
    assert len(rows) == len(chart.table.rows) == len(ROWS) * (len(DENSE) + 3 * len(SPARSE))
    assert rows["NumPy", 0.0, 64] == pytest.approx((1.0, 0.9, 1.5))
    assert rows["kkspdnn", 96.0, 1] == pytest.approx((8.0, 7.2, 12.0))
    assert "1024-1024-1024-10" in chart.table.caption
    assert chart.printed is not None
    assert chart.printed.columns[3:] == ("1", "2", "4", "8", "16", "64", "256", "4,096")


def test_the_committed_record_is_drawn() -> None:
    chart = chart_of(*(each.record for each in read_records([RECORD]).pruning_studies))
    for width in ("1col", "2col"):
        figure = draw_chart(chart, width)
        assert "kkspdnn" in texts(figure.axes[-1])


def test_speed_ups_are_those_at_90_percent() -> None:
    panels = speed_panels(machine_timings(sourced(batch_study())))
    assert [panel.pattern for panel in panels] == ["balanced", "unstructured"]
    for panel in panels:
        assert [curve.label for curve in panel.curves] == list(SPARSE)
        assert list(panel.curves[3].values) == list(ROWS)
    only_80 = tuple(t for t in batch_study().timings if t.nominal_sparsity in (0.0, 0.8))
    found = machine_timings(sourced(replace(batch_study(), timings=only_80)))
    assert speed_panels(found) == []
