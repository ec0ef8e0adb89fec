"""Roofline (Williams, Waterman and Patterson, CACM 2009): really multiplied edges/s against what
the machine was measured to do.

The abscissa is edges for each byte that the innermost loop loads, from wherever it lies: a point
under the L1 roof and above the memory roof works from cache.
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
class _Placed:
    label: str
    intensity: float  # edges for each byte
    rates: tuple[float, float, float]  # multiplied edges/s


def chart(records: Records, published: Published) -> Chart | None:
    """From measured ceilings and the comparison of the same machine and threads, else None."""
    for measured in records.comparisons:
        points = _placed(records.points, measured) if measured.ceilings is not None else []
        if points:
            return _chart(points, measured)
    return None


def _chart(points: list[_Placed], measured: Comparison) -> Chart:
    roofs = measured.ceilings
    assert roofs is not None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, points, roofs)

    return Chart("roofline", _table(points, roofs), (4.8, 3.2), paint)


def _placed(points: tuple[Point, ...], measured: Comparison) -> list[_Placed]:
    """One point for each implementation: the one over the most work."""
    best: dict[str, Point] = {}
    for p in points:
        here = p.architecture == measured.machine and p.threads == measured.threads
        if not here or p.bytes_per_edge is None or p.multiplied is None:
            continue
        if p.name not in best or p.inputs * p.edges > best[p.name].inputs * best[p.name].edges:
            best[p.name] = p
    found = []
    for p in best.values():
        assert p.multiplied is not None
        assert p.bytes_per_edge is not None
        low, middle, high = (rate / (p.inputs * p.edges) * p.multiplied for rate in p.rates)
        found.append(_Placed(p.label, 1 / p.bytes_per_edge, (low, middle, high)))
    return found


def _roofs(roofs: Ceilings) -> dict[str, float]:
    return {
        "L1": roofs.l1_bytes_per_second,
        "L2": roofs.l2_bytes_per_second,
        "memory": roofs.memory_bytes_per_second,
    }


def _paint(figure: Figure, wide: bool, points: list[_Placed], roofs: Ceilings) -> None:
    axes = figure.subplots()
    least, most = min(p.intensity for p in points) / 2, 2.0
    for number, (name, rate) in enumerate(_roofs(roofs).items()):
        knee = min(most, roofs.edges_per_second / rate)
        axes.plot(
            [least, knee],
            [least * rate, knee * rate],
            color=GREY,
            linestyle=LINES[number],
            label=f"{name}: {rate / 1e9:.3g} GB/s",
        )
    axes.axhline(
        roofs.edges_per_second,
        color="black",
        label=f"multiply-add: {roofs.edges_per_second:.3g} edges/s",
    )
    for number, point in enumerate(points):
        # those of one intensity stand side by side
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
    axes.set_xlim(least, most)
    log_ticks(axes.xaxis)
    axes.set_xlabel("multiplied edges for each byte loaded (edges/B)")
    axes.set_ylabel("multiplied edges (edges/s)")
    grid(axes, "both")
    legend(figure, 1, "outside right center" if wide else "outside lower center")


def _table(points: list[_Placed], roofs: Ceilings) -> Table:
    rows = []
    for p in points:
        low, middle, high = p.rates
        ceiling = min(roofs.edges_per_second, p.intensity * roofs.l1_bytes_per_second)
        rows.append((p.label, p.intensity, middle, low, high, middle / ceiling))
    return Table(
        f"Multiplied edges against the measured ceilings of {roofs.threads} threads: "
        f"{roofs.edges_per_second:.3g} multiply-adds/s; reads of "
        + ", ".join(f"{rate:.3g} bytes/s ({name})" for name, rate in _roofs(roofs).items())
        + ".",
        ("implementation", "edges/B", "multiplied edges/s", "lowest", "highest", "of the ceiling"),
        tuple(rows),
    )
