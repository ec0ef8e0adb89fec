"""The figure of SpGEMM on random networks."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from kkspdnn.figures import spgemm
from kkspdnn.figures.appearance import GREEN, implementation_styles
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.hardware import make_hardware
from kkspdnn.figures.read import Records, read_records
from kkspdnn.records.published import published
from kkspdnn.records.spgemm_study import SpgemmStudy
from tests.figures.conftest import FIRST, SECOND, draw_chart, sourced, spgemm_study


def chart_of(*studies: SpgemmStudy) -> Chart | None:
    return spgemm.chart(Records(spgemm_studies=sourced(*studies)), published())


def test_each_panel_has_one_number_of_neurons_and_edges() -> None:
    axes = draw_chart(chart_of(spgemm_study())).axes
    assert len(axes) == 9
    assert [each.get_title(loc="center") for each in axes[:3]] == [
        "1,024 neurons",
        "8,192 neurons",
        "65,536 neurons",
    ]
    texts = [text.get_text() for each in axes for text in each.texts]
    assert texts == ["2 edges", "32 edges", "512 edges"]
    # 2 ms * 32 for a million multiplications
    (line,) = [line for line in axes[3].lines if line.get_color() == GREEN][:1]
    assert line.get_xdata().tolist() == [0.1, 100.0]
    assert line.get_ydata().tolist() == pytest.approx([64.0, 64.0])


def test_the_axes_are_logarithmic_and_have_units() -> None:
    figure = draw_chart(chart_of(spgemm_study()))
    assert (figure.axes[0].get_xscale(), figure.axes[0].get_yscale()) == ("log", "log")
    (part,) = figure.subfigs
    assert part.get_supxlabel() == "nonzero inputs (%)"
    assert part.get_supylabel() == "time per multiplication (ns)"
    assert part.get_suptitle() == "Alpha 1, 2 cores, 2 threads"


def test_machines_are_side_by_side_in_two_columns_and_below_each_other_in_one() -> None:
    studies = spgemm_study(SECOND), spgemm_study(FIRST)
    grids = spgemm.spgemm_grids(sourced(*studies))
    assert [each.hardware for each in grids] == [make_hardware(FIRST, 2), make_hardware(SECOND, 2)]
    assert grids[0].neurons == [1024, 8192, 65536]
    assert grids[0].curves(8192, 32)["mkl"][100.0] == pytest.approx((320.0, 640.0, 960.0))
    wide, narrow = (draw_chart(chart_of(*studies), width) for width in ("2col", "1col"))
    for figure in (wide, narrow):
        assert len(figure.axes) == 18
        assert [part.get_suptitle() for part in figure.subfigs] == [
            "(a) Alpha 1, 2 cores, 2 threads",
            "(b) Beta 2, 16 cores, 2 threads",
        ]
    boxes = [[part.bbox.bounds for part in figure.subfigs] for figure in (wide, narrow)]
    assert boxes[0][0][0] < boxes[0][1][0]
    assert boxes[1][0][0] == boxes[1][1][0]
    assert boxes[1][0][1] > boxes[1][1][1]


def test_an_implementation_on_a_gpu_has_the_panels_of_the_gpu() -> None:
    study = spgemm_study()
    cases = [
        replace(case, rows=(case.rows[0], replace(case.rows[2], gpu=True))) for case in study.cases
    ]
    grids = spgemm.spgemm_grids(sourced(replace(study, gpu="X100, 1.0", cases=tuple(cases))))
    assert [each.hardware for each in grids] == [
        make_hardware(FIRST, 2),
        make_hardware("", 0, "X100"),
    ]
    assert [list(each.curves(1024, 2)) for each in grids] == [["mkl"], ["spgemm"]]


def test_the_most_threads_of_a_machine_are_drawn() -> None:
    study = spgemm_study()
    found = spgemm.spgemm_grids(sourced(replace(study, threads=1), study))
    assert [each.hardware.threads for each in found] == [2]
    assert found[0].sources == {Path("1.json")}


def test_labels_and_legend_do_not_overlap() -> None:
    for width in ("1col", "2col"):
        figure = draw_chart(chart_of(spgemm_study()), width)
        legend = figure.legends[0].get_window_extent()
        for axes in figure.axes[-3:]:
            assert not legend.overlaps(axes.xaxis.label.get_window_extent())


@pytest.mark.parametrize(
    ("densities", "labels"),
    [
        ((0.1, 0.3, 1.0, 3.0, 10.0, 100.0), ["0.1", "1", "10", "100"]),
        ((10.0, 20.0), ["10", "20"]),
        ((3.0,), ["3"]),
    ],
)
def test_tick_labels_of_densities(densities: tuple[float, ...], labels: list[str]) -> None:
    study = spgemm_study()
    cases = tuple(replace(study.cases[0], density=density) for density in densities)
    (axes,) = draw_chart(chart_of(replace(study, cases=cases)), "1col").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == labels


def test_a_style_does_not_depend_on_the_other_implementations() -> None:
    study = spgemm_study()
    cases = [replace(case, rows=case.rows[:1]) for case in study.cases]
    alone = draw_chart(chart_of(replace(study, cases=tuple(cases))))
    both = draw_chart(chart_of(study))
    marker = alone.axes[0].lines[0].get_marker()
    assert marker == implementation_styles(["mkl"])["mkl"].marker
    assert marker in [line.get_marker() for line in both.axes[0].lines]
    assert [text.get_text() for text in alone.legends[0].get_texts()] == ["MKL, CSR x CSR"]


def test_the_table_has_the_median_and_the_spread() -> None:
    chart = chart_of(spgemm_study())
    assert chart is not None
    rows = {(*row[1:4], row[5]): row[8:] for row in chart.table.rows}
    assert rows[1024, 2, 0.1, "kkspdnn, SpGEMM"] == pytest.approx((4.0, 2.0, 6.0))
    assert rows[65536, 512, 100.0, "MKL, CSR x CSR"] == pytest.approx((10240.0, 5120.0, 15360.0))
    assert not any("cuSPARSE" in row for row in chart.table.rows)
    assert {row[0] for row in chart.table.rows} == {"Alpha 1, 2 cores, 2 threads"}
    assert chart.printed is not None
    assert chart.printed.columns[4:] == ("MKL", "SpGEMM")
    assert len(chart.printed.rows) == len(list(product(range(3), range(3), range(2))))


def test_several_records_make_one_figure() -> None:
    study = spgemm_study()
    first = replace(study, cases=study.cases[:10])
    second = replace(study, cases=study.cases[8:], created="2021-01-01T00:00:00+00:00")
    whole, joined = chart_of(study), chart_of(second, first)
    assert whole is not None
    assert joined is not None
    assert joined.table == whole.table


def test_the_latest_record_of_a_case_is_drawn() -> None:
    study = spgemm_study()
    (case, *_) = study.cases
    slow = replace(case, rows=(replace(case.rows[0], seconds=(7.0,)),))
    later = replace(study, cases=(slow,), created="2021-01-01T00:00:00+00:00")
    chart = chart_of(later, replace(study, cases=(case,)))
    assert chart is not None
    assert [row[8] for row in chart.table.rows] == pytest.approx([7.0 / 1e5 * 1e9])


def test_there_is_no_figure_without_records() -> None:
    assert chart_of() is None


def test_a_record_is_read_with_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(spgemm_study().to_json())
    assert [each.record for each in read_records([path]).spgemm_studies] == [spgemm_study()]
