"""The roofline figure (Williams, Waterman and Patterson, CACM 2009): computed edges/s against the
measured machine ceilings.

The x-axis is computed edges per byte that the innermost loop loads, from cache or memory: a point
below the L1 ceiling and above the memory ceiling has its data in cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from kkspdnn.figures.points import Point, Records
from kkspdnn.figures.style import (
    COLOURS,
    GREY,
    LINES,
    MARKERS,
    Chart,
    grid,
    legend,
    log_ticks,
    spread,
)
from kkspdnn.figures.table import Table
from kkspdnn.records.comparison import Ceilings, Comparison
from kkspdnn.records.published import Published


@dataclass(frozen=True)
class _RooflinePoint:
    label: str
    intensity: float  # computed edges per byte
    rates: tuple[float, float, float]  # computed edges/s


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of ceilings and points of one machine and number of threads, or None."""
    for measured in records.comparisons:
        points = _roofline_points(records.points, measured) if measured.ceilings is not None else []
        if points:
            return _chart(points, measured)
    return None


def _chart(points: list[_RooflinePoint], measured: Comparison) -> Chart:
    ceilings = measured.ceilings
    assert ceilings is not None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, points, ceilings)

    return Chart("roofline", _table(points, ceilings), (4.8, 3.2), paint)


def _roofline_points(points: tuple[Point, ...], measured: Comparison) -> list[_RooflinePoint]:
    """Return one point for each implementation, the one with the most work."""
    best: dict[str, Point] = {}
    for p in points:
        here = p.architecture == measured.machine and p.threads == measured.threads
        if not here or p.bytes_per_edge is None or p.computed_edges is None:
            continue
        if p.name not in best or p.inputs * p.edges > best[p.name].inputs * best[p.name].edges:
            best[p.name] = p
    chosen = []
    for p in best.values():
        assert p.computed_edges is not None
        assert p.bytes_per_edge is not None
        low, middle, high = (rate / (p.inputs * p.edges) * p.computed_edges for rate in p.rates)
        chosen.append(_RooflinePoint(p.label, 1 / p.bytes_per_edge, (low, middle, high)))
    return chosen


def _bandwidths(ceilings: Ceilings) -> dict[str, float]:
    return {
        "L1": ceilings.l1_bytes_per_second,
        "L2": ceilings.l2_bytes_per_second,
        "memory": ceilings.memory_bytes_per_second,
    }


def _paint(figure: Figure, wide: bool, points: list[_RooflinePoint], ceilings: Ceilings) -> None:
    axes = figure.subplots()
    lowest, highest = min(p.intensity for p in points) / 2, 2.0
    for number, (name, rate) in enumerate(_bandwidths(ceilings).items()):
        knee = min(highest, ceilings.edges_per_second / rate)
        axes.plot(
            [lowest, knee],
            [lowest * rate, knee * rate],
            color=GREY,
            linestyle=LINES[number],
            label=f"{name}: {rate / 1e9:.3g} GB/s",
        )
    axes.axhline(
        ceilings.edges_per_second,
        color="black",
        label=f"multiply-add: {ceilings.edges_per_second:.3g} edges/s",
    )
    for number, point in enumerate(points):
        # points of equal intensity are drawn side by side
        same = [p for p in points if p.intensity == point.intensity]
        shift = 1.06 ** (same.index(point) - (len(same) - 1) / 2)
        axes.errorbar(
            point.intensity * shift,
            point.rates[1],
            yerr=spread(point.rates),
            marker=MARKERS[number % len(MARKERS)],
            color=COLOURS[number % len(COLOURS)],
            markerfacecolor=COLOURS[number % len(COLOURS)] if number < len(MARKERS) else "white",
            linestyle="none",
            elinewidth=0.8,
            label=point.label,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(lowest, highest)
    log_ticks(axes.xaxis)
    axes.set_xlabel("computed edges per byte loaded (edges/B)")
    axes.set_ylabel("computed edges (edges/s)")
    grid(axes, "both")
    legend(figure, 1, "outside right center" if wide else "outside lower center")


def _table(points: list[_RooflinePoint], ceilings: Ceilings) -> Table:
    rows = []
    for p in points:
        low, middle, high = p.rates
        ceiling = min(ceilings.edges_per_second, p.intensity * ceilings.l1_bytes_per_second)
        rows.append((p.label, p.intensity, middle, low, high, middle / ceiling))
    return Table(
        f"Computed edges against the measured ceilings of {ceilings.threads} threads: "
        f"{ceilings.edges_per_second:.3g} multiply-adds/s; reads of "
        + ", ".join(f"{rate:.3g} bytes/s ({name})" for name, rate in _bandwidths(ceilings).items())
        + ".",
        (
            "implementation",
            "edges/B",
            "computed edges/s",
            "lowest",
            "highest",
            "fraction of ceiling",
        ),
        tuple(rows),
    )
