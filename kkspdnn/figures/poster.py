"""The figure of rates beside those of the TVM poster, for the same number of neurons."""

from __future__ import annotations

from matplotlib.figure import Figure

from kkspdnn.figures.points import Point, Records
from kkspdnn.figures.style import COLOURS, GREY, HATCHES, MARKERS, Chart, grid, legend, spread
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.published import Poster, Published

_NAMES = ("scipy", "mkl", "graphblas", "tvm", "tvm-drop", "spgemm", "none", "all")


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of one point for each implementation and network; None without points."""
    poster = published.poster
    best: dict[tuple[str, str], Point] = {}
    for point in records.points:
        if point.name not in _NAMES or point.neurons != poster.neurons:
            continue
        key = (point.label, point.network)
        size = (point.threads, point.problem_inputs)
        if key not in best or size > (best[key].threads, best[key].problem_inputs):
            best[key] = point
    if not best:
        return None
    points = sorted(best.values(), key=lambda p: (_NAMES.index(p.name), p.layers))

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, points, poster)

    labels = len({p.label for p in points}) + len(poster.rows)
    height = 0.19 * labels + 0.9
    return Chart("poster", _table(points, poster), (height, height), paint)


def _paint(figure: Figure, wide: bool, points: list[Point], poster: Poster) -> None:
    axes = figure.subplots()
    names = [f"{row.name}, {poster.machine} (published)" for row in poster.rows]
    for position, row in enumerate(poster.rows):
        axes.barh(
            position,
            row.high - row.low,
            left=row.low,
            height=0.5,
            color="#cccccc",
            edgecolor="black",
            linewidth=0.5,
            hatch=HATCHES[1],
            label="published range over the numbers of layers",
        )
    labels = list(dict.fromkeys(p.label for p in points))
    networks = list(dict.fromkeys(p.network for p in sorted(points, key=lambda p: p.layers)))
    for number, network in enumerate(networks):
        for each in (p for p in points if p.network == network):
            position = len(names) + labels.index(each.label)
            axes.errorbar(
                each.rate,
                position,
                xerr=spread(each.rates) if len(each.seconds) > 1 else None,
                marker=MARKERS[number],
                color=COLOURS[number],
                linestyle="none",
                elinewidth=0.8,
                label=f"{network}, measured",
            )
    axes.axhline(len(names) - 0.5, color=GREY, linewidth=0.5)
    axes.set_xscale("log")
    axes.set_xlim(left=1e9)
    axes.tick_params(axis="y", labelsize=6.5)
    axes.set_yticks(range(len(names) + len(labels)), names + labels)
    axes.invert_yaxis()
    axes.set_xlabel("inference rate (edges/s)")
    grid(axes, "x")
    legend(figure, 3 if wide else 1)


def _table(points: list[Point], poster: Poster) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (f"published: {row.name}", poster.machine, None, None, row.low, row.high)
        for row in poster.rows
    ]
    for p in points:
        low, middle, high = p.rates
        rows.append((p.label, p.architecture, p.layers, middle, low, high))
    return Table(
        f"Rates for {poster.neurons} neurons, and published rates: {poster.source} (other machine; "
        "lowest and highest over the numbers of layers).",
        ("implementation", "machine", "layers", "edges/s", "lowest", "highest"),
        tuple(rows),
    )
