"""The data behind each figure, with records of two CPUs and a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kkspdnn.figures import (
    active_rows,
    implementations,
    poster,
    problem_size,
    pruning_accuracy,
    pruning_speed,
    rank_scaling,
    rates,
    roofline,
    speedup,
    thread_scaling,
)
from kkspdnn.figures.appearance import machine_styles
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.hardware import Hardware, make_hardware
from kkspdnn.figures.points import Point
from kkspdnn.figures.pruning_curves import accuracies, machine_timings
from kkspdnn.figures.read import Records
from kkspdnn.records.published import published
from tests.figures.conftest import (
    FIRST,
    GPU,
    SECOND,
    comparison,
    draw_chart,
    rank_study,
    row,
    sourced,
    study,
)

ONE, TWO, CARD = make_hardware(FIRST, 2), make_hardware(SECOND, 16), make_hardware("", 0, GPU)
WORK = 60_000 * 32 * 1024 * 120
EARLY = "kkspdnn, fused, early exit"


def colours(figure: Any) -> set[str]:
    return {line.get_color() for axes in figure.axes for line in axes.lines}


def texts(axes: Any) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in axes.texts if text.get_text()]


def test_rates_has_a_curve_for_each_machine_and_a_panel_for_each_depth(
    records: Records, by_name: dict[str, Chart]
) -> None:
    panels = rates.rate_panels(rates.rate_points(records), published().systems)
    assert [panel.layers for panel in panels] == [120, 1920]
    assert set(panels[0].measured) == {ONE, TWO, CARD}
    assert set(panels[1].measured) == {ONE, TWO}
    assert panels[0].measured[CARD] == {
        1024: pytest.approx((WORK / 0.015, WORK / 0.01, WORK / 0.009))
    }
    assert list(panels[0].measured[ONE]) == [1024, 4096]
    assert panels[1].published["SNICIT 2023, A6000 (lossy)"] == {
        1024: 5.21e13,
        4096: 1.69e14,
        16384: 3.37e14,
        65536: 3.51e14,
    }
    figure = draw_chart(by_name["rates"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "(a) 120 layers",
        "(b) 1,920 layers",
    ]
    named = texts(figure.axes[0]) + texts(figure.axes[1])
    for title in (ONE.title, TWO.title, CARD.title):
        assert named.count(f"kkspdnn: {title}") == 1
    printed = by_name["rates"].printed
    assert printed is not None
    assert printed.columns == ("implementation", "layers", "1,024 neurons", "4,096 neurons")
    rows = {row[:2]: row[2:] for row in printed.rows}
    assert rows[f"kkspdnn: {CARD.title}", 120] == (pytest.approx(WORK / 0.01 / 1e12), None)
    assert rows["XY 2021, A6000", 1920] == pytest.approx((26.4, 48.3))


def test_speedup_has_a_marker_for_each_machine(by_name: dict[str, Chart]) -> None:
    rows = {(row[0], row[1]): row[5:] for row in by_name["speedup"].table.rows}
    first, second, card = (each.machine.short_name for each in (ONE, TWO, CARD))
    assert rows[EARLY, first] == pytest.approx((14 / 0.25, 14 / 0.375, 14 / 0.225))
    assert rows[EARLY, second] == rows[EARLY, first]
    # The reference of a GPU's record is that of its host.
    assert rows[EARLY, card] == pytest.approx((1000, 10 / 0.015, 10 / 0.009))
    assert rows["TVM & co", first][0] == pytest.approx(14 / 2 / 2)
    assert not any(label == "Serial reference" for label, _ in rows)
    assert rows["published: KK-SpDNN 2019, highest", None] == (500, None, None)
    figure = draw_chart(by_name["speedup"], "1col")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [f"{each.title}, measured 2020-01-01" for each in (ONE, TWO, CARD)]
    assert "12 networks" in " ".join(figure.get_suptitle().split())


def test_speedup_is_of_one_network(records: Records) -> None:
    other = comparison(neurons=16384, machine="c, 4 cores")
    more = replace(records, comparisons=(*records.comparisons, *sourced(other)))
    chart = speedup.chart(more, published())
    assert chart is not None
    assert {row[1] for row in chart.table.rows if row[1]} == {
        each.machine.short_name for each in (ONE, TWO, CARD)
    }


def test_implementations_lists_every_machine(by_name: dict[str, Chart]) -> None:
    chart = by_name["implementations"]
    assert chart.paint is None
    machines = [row[0] for row in chart.table.rows]
    assert set(machines) == {each.machine.short_name for each in (ONE, TWO, CARD)}
    notes = [row[-1] for row in chart.table.rows if "PyTorch" in row]
    assert notes == ["missing: PyTorch is not installed"] * 2
    assert chart.printed is not None
    assert not any("PyTorch" in row for row in chart.printed.rows)


def test_size_has_a_row_of_panels_for_each_machine(records: Records) -> None:
    points = [p for p in records.points if p.threads in (2, 16) and p.name in ("all", "none")]
    found = problem_size.size_panels(points)
    assert [(panel.hardware, panel.size) for panel in found] == [
        (ONE, "layers"),
        (ONE, "neurons"),
        (TWO, "layers"),
        (TWO, "neurons"),
    ]
    assert found[0].fixed == "1,024 neurons, 60,000 rows"
    line = found[2].curves[EARLY]
    assert [(p.layers, p.times) for p in line] == [
        (120, (0.225, 0.25, 0.375)),
        (1920, (0.225, 0.25, 0.375)),
    ]
    assert set(found[0].curves) == {EARLY, "kkspdnn, fused, no early exit"}


def test_scaling_over_threads_is_that_of_each_machine(
    records: Records, by_name: dict[str, Chart]
) -> None:
    rows = {(row[0], row[2], row[3]): row[6] for row in by_name["threads"].table.rows}
    first, second = ONE.machine.short_name, TWO.machine.short_name
    weak = (60_000 / 0.25) / (30_000 / 0.3) / 2
    assert rows == pytest.approx(
        {
            (first, "strong", 1): 1.0,
            (first, "strong", 2): 2.0,
            (first, "weak", 1): 1.0,
            (first, "weak", 2): weak,
            (second, "strong", 1): 1.0,
            (second, "strong", 16): 2.0,
            (second, "weak", 1): 1.0,
            (second, "weak", 16): (60_000 / 0.25) / (3_750 / 0.3) / 16,
        }
    )
    titles = [axes.get_title(loc="left") for axes in draw_chart(by_name["threads"]).axes]
    assert titles == [
        f"(a) {first}: strong scaling",
        f"(b) {first}: weak scaling",
        f"(c) {second}: strong scaling",
        f"(d) {second}: weak scaling",
    ]


def test_scaling_over_threads_is_a_table_until_eight_cores(records: Records) -> None:
    few = replace(records, points=tuple(p for p in records.points if p.threads <= 2))
    chart = thread_scaling.chart(few, published())
    assert chart is not None
    assert chart.paint is None
    assert {row[3] for row in chart.table.rows} == {1, 2}


def test_ranks_are_compared_with_one_process_of_the_same_threads(records: Records) -> None:
    point = next(p for p in records.points if p.name == "all" and p.threads == 1)
    one = replace(point, problem_inputs=60_000, inputs=60_000, seconds=(0.5,))
    several = tuple(
        replace(one, ranks=n, hardware=make_hardware(FIRST, n), seconds=(1 / (1 + n),))
        for n in (2, 4)
    )
    chart = thread_scaling.chart(Records(points=(one,), of_ranks=several), published())
    assert chart is not None
    found = [(row[1], row[2], row[3], row[6]) for row in chart.table.rows]
    label = f"{EARLY}, ranks of 1 thread"
    assert found == [
        (label, "strong", 1, 1.0),
        (label, "strong", 2, pytest.approx(1.5)),
        (label, "strong", 4, pytest.approx(2.5)),
    ]


def test_measured_and_modelled_speedups_over_ranks_differ_in_appearance() -> None:
    studies = sourced(rank_study(FIRST), rank_study(SECOND))
    chart = rank_scaling.chart(Records(rank_studies=studies), published())
    figure = draw_chart(chart)
    first, second = ONE.machine.short_name, TWO.machine.short_name
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        f"(a) {first}, 1 thread per rank",
        f"(b) {second}, 1 thread per rank",
    ]
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [entry.partition(":")[0].partition(",")[0] for entry in entries] == [
        "measured",
        "measured",
        "modelled",
        "modelled",
        "published",
    ]
    handles = figure.legends[0].get_lines()
    assert len({(h.get_color(), h.get_marker(), h.get_linestyle()) for h in handles}) == 5
    assert rank_scaling.run_speedups(rank_study()) == {
        1: pytest.approx((2.5 / 4, 1.0, 2.5 / 2)),
        2: pytest.approx((2.5 / 2, 2.0, 2.5)),
    }
    assert chart is not None
    rows = {(row[0], row[2]): row[4:] for row in chart.table.rows}
    assert rows[second, 2] == pytest.approx((0.5, 1.25, 0.55, 2.0))
    assert rows[first, 20][1] is None


def test_the_latest_study_of_a_machine_is_drawn() -> None:
    old = replace(rank_study(), created="2019-01-01T00:00:00+00:00", inputs=7)
    again = replace(rank_study(), created="2021-01-01T00:00:00+00:00")
    found = rank_scaling.latest_studies(sourced(again, old, rank_study(), rank_study(SECOND)))
    assert [each.path for each in found] == [Path("0.json"), Path("3.json")]


def test_roofline_has_one_network_and_a_panel_for_each_machine(
    records: Records, by_name: dict[str, Chart]
) -> None:
    points, panels = roofline.roofline_panels(records)
    assert {(p.network, p.problem_inputs) for p in points} == {("1024-1920", 60_000)}
    assert [panel.hardware for panel in panels] == [ONE, TWO]
    point = next(p for p in panels[1].points if p.label == EARLY)
    assert point.intensity == pytest.approx(1 / 4.5)
    assert point.rates == pytest.approx((7e9 / 0.375, 7e9 / 0.25, 7e9 / 0.225))
    assert panels[1].fraction(point) == pytest.approx(7e9 / 0.25 / min(1e11, 4e11 / 4.5))
    figure = draw_chart(by_name["roofline"])
    assert len(figure.axes) == 2
    for axes in figure.axes:
        # All points have the same intensity, and none is moved.
        markers = {
            float(line.get_xdata()[0])
            for line in axes.lines
            if line.get_linestyle() == "None" and line.get_transform() == axes.transData
        }
        assert markers == {1 / 4.5}
    assert "1,024 neurons, 1,920 layers" in figure.get_suptitle()


def test_active_rows_are_those_of_the_network_with_the_most_implementations(
    records: Records,
) -> None:
    large = replace(comparison(neurons=4096, inputs=70_000), rows=())
    chart = active_rows.chart(
        replace(records, comparisons=(*records.comparisons, *sourced(large))), published()
    )
    assert chart is not None
    assert [row[:4] for row in chart.table.rows[:2]] == [
        (1, 60_000, 5, 5),
        (2, 30_000, 5, 5),
    ]
    assert len(chart.table.rows) == 120
    assert "1,024 neurons, 120 layers" in draw_chart(chart).get_suptitle()
    assert chart.printed is not None
    assert len(chart.printed.rows) < 30


def test_accuracy_joins_the_seeds_of_all_records() -> None:
    studies = sourced(study(FIRST), study(SECOND))
    found = accuracies(studies)
    assert found is not None
    assert found.dense == pytest.approx((98.0, 98.0, 98.0))
    (curve,) = found.curves
    assert curve.label == "balanced, 32 blocks"
    assert curve.values[90.0] == pytest.approx((96.5, 97.0, 97.5))
    # The two records have the same seeds, which count once.
    assert found.seeds == 2
    assert found.sources == {each.path for each in studies}
    figure = draw_chart(pruning_accuracy.chart(Records(pruning_studies=studies), published()))
    assert set(texts(figure.axes[0])) == {"dense", "balanced, 32 blocks"}


def test_pruned_networks_are_compared_with_the_fastest_dense_one_of_their_machine() -> None:
    first, second = study(FIRST), study(SECOND)
    slow = tuple(
        replace(t, seconds=tuple(2 * s for s in t.seconds)) if t.pattern == "dense" else t
        for t in second.timings
    )
    gpu = tuple(replace(t, space="cuda") for t in first.timings)
    studies = sourced(first, replace(second, timings=slow), replace(first, gpu=GPU, timings=gpu))
    machines = machine_timings(studies)
    assert [each.hardware for each in machines] == [
        make_hardware(FIRST, 1),
        make_hardware(SECOND, 1),
        CARD,
    ]
    panels = pruning_speed.speed_panels(machines)
    assert [(panel.machine.hardware, panel.pattern) for panel in panels] == [
        (each.hardware, "balanced") for each in machines
    ]
    # 2 ms over 1, 0.8 and 0.5 ms
    (curve,) = panels[0].curves
    assert curve.values[64] == pytest.approx((2.0, 2.5, 4.0))
    assert panels[1].curves[0].values[64][1] == pytest.approx(5.0)
    chart = pruning_speed.chart(Records(pruning_studies=studies), published())
    titles = [axes.get_title(loc="left") for axes in draw_chart(chart).axes]
    assert titles == [
        f"({letter}) {each.hardware.title}\nbalanced"
        for letter, each in zip("abc", machines, strict=True)
    ]


def test_the_poster_names_machines_and_layers(records: Records, by_name: dict[str, Chart]) -> None:
    points = poster.poster_points(records, published().poster)
    found = {(p.label, p.hardware, p.layers) for p in points}
    assert {(EARLY, each, 120) for each in (ONE, TWO, CARD)} <= found
    assert {p.neurons for p in points} == {1024}
    figure = draw_chart(by_name["poster"])
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    for each in (ONE, TWO, CARD):
        assert f"{each.title}, 2020-01-01" in entries
    assert {"120 layers", "1,920 layers"} <= set(entries)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert "a sparse library (not named): published" in names
    assert "NVIDIA A40" in figure.get_suptitle()


def test_a_machine_has_one_colour_in_all_figures(by_name: dict[str, Chart]) -> None:
    in_rates = {
        line.get_color()
        for line in draw_chart(by_name["rates"]).axes[0].lines
        if line.get_linewidth() > 1.5
    }
    speedups, posters = (draw_chart(by_name[name]) for name in ("speedup", "poster"))
    in_speedup = {handle.get_color() for handle in speedups.legends[0].get_lines()}
    in_poster = {handle.get_color() for handle in posters.legends[0].get_lines()[:3]}
    assert len(in_rates) == 3
    assert in_rates == in_speedup == in_poster


def test_a_machine_keeps_its_colour_if_another_is_missing(records: Records) -> None:
    points = tuple(p for p in records.points if p.name != "all" or p.machine != ONE.machine)
    chart = rates.chart(replace(records, points=points), published())
    lines = [line for line in draw_chart(chart).axes[0].lines if line.get_linewidth() > 1.5]
    expected = machine_styles(records.machines)
    assert {line.get_color() for line in lines} == {
        expected[TWO.machine].colour,
        expected[CARD.machine].colour,
    }


def test_one_dtype_is_drawn(records: Records) -> None:
    double = tuple(replace(p, dtype="float64", problem_inputs=70_000) for p in records.points[:2])
    more = replace(records, points=(*records.points, *double))
    assert {p.dtype for p in rates.rate_points(more)} == {"float32"}
    assert {p.dtype for p in poster.poster_points(more, published().poster)} == {"float32"}


def test_the_most_threads_of_a_machine_are_drawn(records: Records) -> None:
    found: set[Hardware] = {point.hardware for point in rates.rate_points(records)}
    assert found == {ONE, TWO, CARD}


def test_points_know_their_file(records: Records) -> None:
    names: dict[str, set[str]] = {}
    for point in records.points:
        names.setdefault(point.source.stem, set()).add(point.machine.name)
    assert names["gpu"] == {"NVIDIA X100"}
    assert names["base-0"] == {FIRST}


def test_rows_on_the_cpu_of_a_gpu_record_are_of_the_cpu() -> None:
    from kkspdnn.figures.read import row_hardware

    record = replace(comparison(), gpu=GPU)
    assert row_hardware(record, row("all", "a", 1.0)) == ONE
    assert row_hardware(record, replace(row("all", "a", 1.0), gpu=True)) == CARD


def test_no_figure_without_records() -> None:
    for module in (
        *(
            rates,
            speedup,
            implementations,
            problem_size,
            thread_scaling,
            rank_scaling,
            roofline,
            active_rows,
        ),
        *(pruning_accuracy, pruning_speed, poster),
    ):
        assert module.chart(Records(), published()) is None


def test_a_point_has_its_spread() -> None:
    point = Point(
        *("all", "a", ONE, 1024, 120, 32 * 1024 * 120, "float32", 10, 10, (0.5, 2.0, 1.0)),
        *(None, None, Path("a")),
    )
    assert point.times == (0.5, 1.0, 2.0)
    assert point.rates == pytest.approx((point.rate / 2, 10 * point.edges, 2 * point.rate))
