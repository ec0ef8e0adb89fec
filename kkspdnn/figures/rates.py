"""The figure of edges/s by network and architecture, with published rates as lines."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.figures.points import Point, Records
from kkspdnn.figures.style import COLOURS, HATCHES, LINES, Chart, grid, legend, shifted, spread
from kkspdnn.figures.table import Table
from kkspdnn.records.published import Published, PublishedSystem

_NAME = "all"
_MAX_WIDTH = 0.3
"""Of a bar; two architectures have a distance of 1."""


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of the fused kernel with early exit; None without such points."""
    best: dict[tuple[str, str], Point] = {}
    for point in records.points:
        key = (point.architecture, point.network)
        if point.name == _NAME and (key not in best or _size(point) > _size(best[key])):
            best[key] = point
    if not best:
        return None
    points = sorted(best.values(), key=lambda p: (p.architecture, p.neurons, p.layers))
    networks = {(p.neurons, p.layers) for p in points}
    systems = [s for s in published.systems if any(s.rate(*n) for n in networks)]

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure.subplots(), points, systems)
        legend(figure, 3 if wide else 1)

    return Chart(
        "rates", _table(points, systems), (2.4 + 0.14 * (len(systems) + len(networks)), 3.0), paint
    )


def _size(point: Point) -> tuple[int, int]:
    return point.threads, point.problem_inputs


def _paint(axes: Axes, points: list[Point], systems: list[PublishedSystem]) -> None:
    drawn = [p.rates[0] for p in points]
    networks = list(dict.fromkeys(p.network for p in points))
    architectures = list(dict.fromkeys(p.architecture for p in points))
    width = min(0.8 / len(networks), _MAX_WIDTH)
    left = -width * len(networks) / 2
    for point in points:
        index = networks.index(point.network)
        x = architectures.index(point.architecture) + left + (index + 0.5) * width
        axes.bar(
            x,
            point.rate,
            width=0.8 * width,
            color=COLOURS[index % len(COLOURS)],
            hatch=HATCHES[shifted(index) % len(HATCHES)],
            edgecolor="black",
            linewidth=0.5,
            label=f"kkspdnn, {point.network}",
            yerr=spread(point.rates) if len(point.seconds) > 1 else None,
        )
        for number, system in enumerate(systems):
            rate = system.rate(point.neurons, point.layers)
            if rate is None:
                continue
            lossy = "" if system.exact else " (lossy)"
            label = f"published: {system.name}{lossy}"
            drawn.append(rate)
            ends = [x - 0.48 * width, x + 0.48 * width]
            axes.plot(ends, [rate, rate], color="white", linewidth=2.4, zorder=3)
            axes.plot(
                ends,
                [rate, rate],
                color=COLOURS[-1 - number % len(COLOURS)],
                linestyle=LINES[number % len(LINES)],
                zorder=4,
                label=label,
            )
    axes.set_yscale("log")
    axes.set_ylim(bottom=_decade_below(drawn))
    axes.set_ylabel("inference rate (edges/s)")
    axes.set_xticks(range(len(architectures)), architectures)
    axes.set_xlim(-0.55, len(architectures) - 0.45)
    grid(axes, "y")


def _decade_below(rates: list[float]) -> float:
    """Return the start of the bars: a logarithmic axis has no zero."""
    return float(10 ** math.floor(math.log10(min(rates))))


def _table(points: list[Point], systems: list[PublishedSystem]) -> Table:
    columns = ("architecture", "network", "threads", "inputs", "edges/s", "lowest", "highest")
    rows = []
    for p in points:
        low, middle, high = p.rates
        others = [s.rate(p.neurons, p.layers) for s in systems]
        rows.append((p.architecture, p.network, p.threads, p.inputs, middle, low, high, *others))
    return Table(
        "Inference rates, fused kernel with early exit. Median, lowest and highest of the runs; "
        "published rates are of other machines: "
        + "; ".join(f"{s.name}: {s.source}" for s in systems)
        + ".",
        columns + tuple(f"published: {s.name}" for s in systems),
        tuple(rows),
    )
