"""The roofline figure (Williams, Waterman and Patterson, CACM 2009): computed edges/s against the
measured machine ceilings.

The x-axis is computed edges per byte that the innermost loop loads, from cache or memory: a point
below the L1 ceiling and above the memory ceiling has its data in cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, degrees
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.figures.appearance import GREY, implementation_styles
from kkspdnn.figures.chart import Chart, PanelGrid
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.hardware import Hardware, Machine
from kkspdnn.figures.points import Point, Values, dates_of, describe_problem, of_common_dtype
from kkspdnn.figures.read import Records
from kkspdnn.figures.style import draw_grid, error_bar, log_ticks, write_title
from kkspdnn.figures.table import Table
from kkspdnn.records.comparison import Ceilings
from kkspdnn.records.published import Published

_PANEL = 2.4, 2.9


@dataclass(frozen=True)
class RooflinePoint:
    """One implementation.

    intensity: computed edges per byte
    rates: computed edges/s
    """

    name: str
    label: str
    intensity: float
    rates: Values


@dataclass(frozen=True)
class RooflinePanel:
    """The ceilings and points of one machine.

    dates: of the points; sources: the files of ceilings and points
    """

    hardware: Hardware
    ceilings: Ceilings
    points: tuple[RooflinePoint, ...]
    dates: str
    sources: frozenset[Path]

    def fraction(self, point: RooflinePoint) -> float:
        """Return the rate of a point over the lower of the L1 and the multiply-add ceiling."""
        l1 = point.intensity * self.ceilings.l1_bytes_per_second
        return point.rates[1] / min(self.ceilings.edges_per_second, l1)


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of one network on all machines with ceilings, or None."""
    points, panels_found = roofline_panels(records)
    if not panels_found:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        write_title(figure, wide, *_statement(points[0]))
        _paint(figure, wide, panels_found)

    table = _table(points[0], panels_found)
    return Chart(
        "roofline",
        frozenset(path for panel in panels_found for path in panel.sources),
        table,
        _grid_of(panels_found).heights,
        paint,
        table.without("lowest", "highest"),
    )


def roofline_panels(records: Records) -> tuple[list[Point], list[RooflinePanel]]:
    """Return the points of one network, and a panel for each machine that has its ceilings.

    The network is the one that most implementations have been measured on; of equal ones, the one
    of most input rows and edges.
    """
    ceilings: dict[Hardware, tuple[Ceilings, Path]] = {}
    for each in sorted(records.comparisons, key=lambda each: each.record.created):
        record = each.record
        if record.ceilings is not None:
            hardware = Hardware(Machine(False, record.machine), record.ceilings.threads)
            ceilings[hardware] = record.ceilings, each.path
    points = of_common_dtype(
        p
        for p in records.points
        if p.hardware in ceilings and p.bytes_per_edge is not None and p.computed_edges
    )
    if not points:
        return [], []
    networks = Counter(map(_problem, points))
    network = max(networks, key=lambda each: (networks[each], each))
    points = [p for p in points if _problem(p) == network]
    found = []
    for hardware in sorted({p.hardware for p in points}):
        own = [p for p in points if p.hardware == hardware]
        own.sort(key=lambda p: -p.rate)
        measured, path = ceilings[hardware]
        sources = frozenset({path, *(p.source for p in own)})
        drawn = tuple(map(_roofline_point, own))
        found.append(RooflinePanel(hardware, measured, drawn, dates_of(own), sources))
    return points, found


def _problem(p: Point) -> tuple[int, int, str]:
    return p.problem_inputs, p.edges, p.network


def _roofline_point(p: Point) -> RooflinePoint:
    assert p.computed_edges is not None
    assert p.bytes_per_edge is not None
    low, middle, high = (rate / (p.inputs * p.edges) * p.computed_edges for rate in p.rates)
    return RooflinePoint(p.name, p.label, 1 / p.bytes_per_edge, (low, middle, high))


def _statement(point: Point) -> tuple[str, ...]:
    rows = f"up to {point.problem_inputs:,}"
    return (
        describe_problem(point.neurons, point.layers, rows, point.dtype),
        "ceilings measured with as many threads; median; error bars: lowest to highest of the runs",
    )


def _bandwidths(ceilings: Ceilings) -> dict[str, float]:
    return {
        "L1": ceilings.l1_bytes_per_second,
        "L2": ceilings.l2_bytes_per_second,
        "memory": ceilings.memory_bytes_per_second,
    }


def _grid_of(found: Sequence[RooflinePanel]) -> PanelGrid:
    return PanelGrid(len(found), 1, _PANEL)


def _paint(figure: Figure, wide: bool, found: Sequence[RooflinePanel]) -> None:
    points = [point for each in found for point in each.points]
    lowest, highest = min(p.intensity for p in points) / 1.5, max(p.intensity for p in points) * 4
    bottom = min(p.rates[0] for p in points) / 2
    top = max(each.ceilings.edges_per_second for each in found) * 2
    by_name = implementation_styles(point.name for point in points)
    panels = _grid_of(found).make(figure, wide, found)
    for panel in panels:
        axes, content = panel.axes, panel.content
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(lowest, highest)
        axes.set_ylim(bottom, top)
        _draw_ceilings(axes, content.ceilings, lowest, highest)
        for point in content.points:
            style = by_name[point.name].keywords() | {"linestyle": "none"}
            bar = error_bar(point.rates)
            axes.errorbar(point.intensity, point.rates[1], yerr=bar, elinewidth=0.7, **style)
        log_ticks(axes.xaxis)
        title = panel.title(f"{content.hardware.title}\nmeasured {content.dates}")
        axes.set_title(title, fontsize=6.5)
        axes.set_xlabel("computed edges per byte loaded (edges/B)")
        if panel.is_first:
            axes.set_ylabel("computed edges (edges/s)")
        draw_grid(axes, "both")
        ends = {p.label: (p.intensity, p.rates[1]) for p in content.points}
        by_label = {p.label: by_name[p.name] for p in content.points}
        label_ends(axes, panel.height, ends, by_label, 22)
    figure.draw_without_rendering()
    for panel in panels:
        _label_ceilings(panel.axes, panel.content.ceilings, lowest)


def _draw_ceilings(axes: Axes, ceilings: Ceilings, lowest: float, highest: float) -> None:
    for rate in _bandwidths(ceilings).values():
        knee = min(highest, ceilings.edges_per_second / rate)
        axes.plot([lowest, knee], [lowest * rate, knee * rate], color=GREY, linewidth=0.9)
    axes.axhline(ceilings.edges_per_second, color="black", linewidth=0.9)


def _label_ceilings(axes: Axes, ceilings: Ceilings, lowest: float) -> None:
    """Write the names of the ceilings above their lines; the figure must be laid out."""
    labels = {
        f"{name}: {rate / 1e9:.3g} GB/s": (lowest * rate, 10 * lowest * rate)
        for name, rate in _bandwidths(ceilings).items()
    }
    flat = ceilings.edges_per_second
    labels[f"multiply-add: {flat:.3g} edges/s"] = (flat, flat)
    for label, ends in labels.items():
        points = axes.transData.transform([(lowest, ends[0]), (10 * lowest, ends[1])])
        (x0, y0), (x1, y1) = points.tolist()
        axes.annotate(
            label,
            (lowest, ends[0]),
            xytext=(3, 2.5),
            textcoords="offset points",
            fontsize=5.5,
            color=GREY,
            rotation=degrees(atan2(y1 - y0, x1 - x0)),
            rotation_mode="anchor",
        )


def _table(network: Point, found: Sequence[RooflinePanel]) -> Table:
    rows = []
    for panel in found:
        for p in panel.points:
            low, middle, high = p.rates
            name = panel.hardware.title
            rows.append((name, p.label, p.intensity, middle, low, high, panel.fraction(p)))
    ceilings = "; ".join(
        f"{panel.hardware.title}: {panel.ceilings.edges_per_second:.3g} multiply-adds/s; reads of "
        + ", ".join(f"{r:.3g} bytes/s ({n})" for n, r in _bandwidths(panel.ceilings).items())
        for panel in found
    )
    return Table(
        f"Computed edges against the measured ceilings, {network.network} with "
        f"{network.problem_inputs:,} input rows, {network.dtype}. The ceiling of an implementation "
        f"is the lower one of multiply-adds and L1. {ceilings}.",
        (
            *("machine", "implementation", "edges/B", "computed edges/s", "lowest", "highest"),
            "of its ceiling",
        ),
        tuple(rows),
    )
