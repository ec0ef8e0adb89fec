"""The figure of rates beside those of the TVM poster, for the same number of neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from kkspdnn.figures.appearance import GREY, Style, machine_styles
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.hardware import Machine, single_threaded
from kkspdnn.figures.points import (
    Point,
    dates_of,
    machines_of,
    of_common_dtype,
    sources_of,
    with_most_rows,
    with_most_threads,
)
from kkspdnn.figures.read import Records
from kkspdnn.figures.style import draw_grid, error_bar, legend, write_title
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.published import Poster, Published
from kkspdnn.units import plural

_NAMES = ("scipy", "mkl", "graphblas", "tvm", "tvm-drop", "spgemm", "none", "all")
_MARKERS = "os^D"
"""Of the numbers of layers."""


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of one point for each implementation, machine and network.

    None without points of kkspdnn, SciPy, MKL, GraphBLAS or TVM with as many neurons.
    """
    poster = published.poster
    points = poster_points(records, poster)
    if not points:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, points, poster, machine_styles(records.machines))
        write_title(figure, wide, *_statement(points, poster))

    labels = len({p.label for p in points}) + len(poster.rows)
    entries = len({p.hardware for p in points}) + len({p.layers for p in points}) + 1
    heights = 0.19 * labels + 0.85 + 0.13 * entries, 0.19 * labels + 1.1
    return Chart("poster", sources_of(points), _table(points, poster), heights, paint)


def poster_points(records: Records, poster: Poster) -> list[Point]:
    """Return the points with the poster's number of neurons, those of most input rows."""
    fitting = of_common_dtype(
        p for p in records.points if p.name in _NAMES and p.neurons == poster.neurons
    )
    best = with_most_rows(with_most_threads(fitting))
    # Some implementations have one thread only.
    found = {(p.label, p.machine, p.network) for p in best}
    others = [p for p in fitting if (p.label, p.machine, p.network) not in found]
    best += with_most_rows(others)
    return sorted(best, key=lambda p: (_NAMES.index(p.name), p.layers, p.hardware))


def _paint(
    figure: Figure,
    wide: bool,
    points: Sequence[Point],
    poster: Poster,
    by_machine: Mapping[Machine, Style],
) -> None:
    axes = figure.subplots()
    names = [f"{row.name}: published" for row in poster.rows]
    for position, row in enumerate(poster.rows):
        axes.barh(
            position,
            row.high - row.low,
            left=row.low,
            height=0.5,
            color="#cccccc",
            edgecolor=GREY,
            linewidth=0.6,
        )
    labels = list(dict.fromkeys(p.label for p in points))
    machines = machines_of(points)
    depths = sorted({p.layers for p in points})
    for each in points:
        shift = (machines.index(each.machine) - (len(machines) - 1) / 2) * 0.5 / len(machines)
        style = Style(
            by_machine[each.machine].colour, _MARKERS[depths.index(each.layers) % len(_MARKERS)]
        )
        axes.errorbar(
            each.rate,
            len(names) + labels.index(each.label) + shift,
            xerr=error_bar(each.rates) if len(each.seconds) > 1 else None,
            elinewidth=0.8,
            **(style.keywords(3.5) | {"linestyle": "none"}),
        )
    axes.axhline(len(names) - 0.5, color=GREY, linewidth=0.5)
    axes.set_xscale("log")
    axes.set_xlim(left=1e9)
    axes.set_yticks(range(len(names) + len(labels)), names + labels)
    axes.tick_params(axis="y", labelsize=6.5, length=0)
    axes.invert_yaxis()
    axes.set_xlabel("inference rate (edges/s)")
    draw_grid(axes, "x")
    titles = {
        each.machine: f"{each.title}, {dates_of(p for p in points if p.machine == each.machine)}"
        for each in sorted({p.hardware for p in points})
    }
    entries = {titles[each]: Style(by_machine[each].colour, "o") for each in machines}
    entries |= {
        f"{depth:,} layers": Style(GREY, _MARKERS[i % len(_MARKERS)])
        for i, depth in enumerate(depths)
    }
    legend(figure, entries, 2 if wide else 1, lines=False)


def _statement(points: Sequence[Point], poster: Poster) -> tuple[str, ...]:
    rows = ", ".join(f"{n:,}" for n in sorted({p.problem_inputs for p in points}))
    used = single_threaded((p.label, p.threads) for p in points)
    return (
        f"{plural(poster.neurons, 'neuron')}, up to {rows} input rows, {points[0].dtype}{used}",
        "measured: median; error bars: lowest to highest of the runs, if several",
        f"published on {poster.machine}: range over the numbers of layers",
    )


def _table(points: Sequence[Point], poster: Poster) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (f"published: {row.name}", poster.machine, None, None, None, row.low, row.high)
        for row in poster.rows
    ]
    for p in points:
        low, middle, high = p.rates
        rows.append((p.label, p.machine.short_name, p.threads, p.layers, middle, low, high))
    return Table(
        f"Rates in edges/s for {poster.neurons} neurons, {points[0].dtype}, and published rates: "
        f"{poster.source}.",
        ("implementation", "machine", "threads", "layers", "edges/s", "lowest", "highest"),
        tuple(rows),
    )
