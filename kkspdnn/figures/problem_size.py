"""The figure of inference time against layers, neurons and input rows, on all machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.figures.appearance import Style, implementation_styles
from kkspdnn.figures.chart import Chart, PanelGrid, machine_panels
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.hardware import Hardware
from kkspdnn.figures.points import Point, of_common_dtype, sources_of, with_most_threads
from kkspdnn.figures.read import Records
from kkspdnn.figures.style import (
    curve_end,
    draw_curve,
    draw_grid,
    log_ticks,
    tick_numbers,
    write_title,
)
from kkspdnn.figures.table import Table
from kkspdnn.records.published import Published

_NAMES = ("spgemm", "none", "dead", "all", "fold")
_SIZES = ("layers", "neurons", "problem_inputs")
_AXIS_LABELS = {"layers": "layers", "neurons": "neurons per layer", "problem_inputs": "input rows"}
_FIXED_LABELS = {"layers": "layers", "neurons": "neurons", "problem_inputs": "rows"}
_PANEL_HEIGHTS = 1.6, 2.0


@dataclass(frozen=True)
class SizePanel:
    """Times on one machine that differ in one size only.

    size: layers, neurons or problem_inputs
    others: the other two sizes
    curves: points of one implementation, by ascending size, by label
    """

    hardware: Hardware
    size: str
    others: dict[str, int]
    curves: dict[str, list[Point]]

    @property
    def fixed(self) -> str:
        """The sizes that are the same for all points."""
        return ", ".join(f"{n:,} {_FIXED_LABELS[size]}" for size, n in self.others.items())


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of the sizes that vary; None if no size does.

    Only points with all input rows of their problem are used, because only their times are
    comparable.
    """
    complete = [p for p in records.points if p.name in _NAMES and p.inputs == p.problem_inputs]
    found = size_panels(with_most_threads(of_common_dtype(complete)))
    if not found:
        return None
    points = [p for panel in found for line in panel.curves.values() for p in line]

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, found)

    return Chart("size", sources_of(points), _table(points), _arranged(found)[0].heights, paint)


def size_panels(points: Sequence[Point]) -> list[SizePanel]:
    """Return the panels, by machine; all machines have the same other sizes in a panel."""
    found = []
    for size in _SIZES:
        others = [each for each in _SIZES if each != size]
        sets: dict[tuple[int, ...], list[SizePanel]] = {}
        for values in {tuple(getattr(p, each) for each in others) for p in points}:
            sets[values] = _panels_of(points, size, dict(zip(others, values, strict=True)))
        # The other sizes for which there are the most points.
        largest = max(sets, key=lambda values: (_count(sets[values]), values), default=None)
        if largest is not None:
            found += sets[largest]
    return sorted(found, key=lambda panel: (panel.hardware, _SIZES.index(panel.size)))


def _panels_of(points: Sequence[Point], size: str, others: dict[str, int]) -> list[SizePanel]:
    """Return a panel for each machine with points that differ in this size only."""
    lines: dict[Hardware, dict[str, list[Point]]] = {}
    for point in sorted(points, key=lambda p: int(getattr(p, size))):
        if all(getattr(point, name) == value for name, value in others.items()):
            lines.setdefault(point.hardware, {}).setdefault(point.label, []).append(point)
    found = []
    for hardware, by_label in lines.items():
        curves = {
            label: line
            for label, line in by_label.items()
            if len({getattr(p, size) for p in line}) > 1
        }
        if curves:
            found.append(SizePanel(hardware, size, others, curves))
    return found


def _count(found: Sequence[SizePanel]) -> int:
    return sum(len(line) for panel in found for line in panel.curves.values())


def _arranged(found: Sequence[SizePanel]) -> tuple[PanelGrid, list[SizePanel | None]]:
    return machine_panels(found, lambda p: p.hardware, lambda p: p.size, _SIZES, _PANEL_HEIGHTS)


def _paint(figure: Figure, wide: bool, found: Sequence[SizePanel]) -> None:
    panel_grid, contents = _arranged(found)
    lines = [line for each in found for line in each.curves.values()]
    by_name = implementation_styles(line[0].name for line in lines)
    by_label = {_short(line[0].label): by_name[line[0].name] for line in lines}
    for panel in panel_grid.make(figure, wide, contents):
        ends = _draw(panel.axes, panel.content, by_label, _limits(found, panel.content.size))
        title = panel.title(f"{panel.content.hardware.title}\n{panel.content.fixed}")
        panel.axes.set_title(title, fontsize=6.5)
        if panel.is_first:
            panel.axes.set_ylabel("inference time (s)")
        ends = panel.own_ends(ends, lambda content: map(_short, content.curves))
        label_ends(panel.axes, panel.height, ends, by_label, 20)
    write_title(
        figure,
        wide,
        f"kkspdnn; RadiX-Net networks of the challenge, {lines[0][0].dtype}",
        "median; error bars: shortest to longest of the runs, if several",
    )


def _short(label: str) -> str:
    """Return a label without the words that all have: only kkspdnn is drawn."""
    return label.removeprefix("kkspdnn, ").removeprefix("fused, ")


def _limits(found: Sequence[SizePanel], size: str) -> tuple[float, float]:
    """Return the limits of the times, which are the same for all machines."""
    lines = [line for panel in found if panel.size == size for line in panel.curves.values()]
    times = [time for line in lines for point in line for time in point.times]
    return min(times) / 1.4, max(times) * 1.4


def _draw(
    axes: Axes, panel: SizePanel, by_label: dict[str, Style], limits: tuple[float, float]
) -> dict[str, tuple[float, float]]:
    """Draw all curves and return the last point of each by its label."""
    ends = {}
    for label, line in panel.curves.items():
        values = {float(getattr(p, panel.size)): p.times for p in line}
        draw_curve(axes, values, by_label[_short(label)])
        ends[_short(label)] = curve_end(values)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(*limits)
    tick_numbers(
        axes.xaxis, (getattr(p, panel.size) for line in panel.curves.values() for p in line)
    )
    log_ticks(axes.yaxis)
    axes.set_xlabel(_AXIS_LABELS[panel.size])
    draw_grid(axes, "both")
    return ends


def _table(points: Sequence[Point]) -> Table:
    rows = []
    for p in sorted(
        set(points), key=lambda p: (p.hardware, p.label, p.neurons, p.layers, p.inputs)
    ):
        low, middle, high = p.times
        size = p.neurons, p.layers, p.inputs
        rows.append((p.machine.short_name, p.label, *size, middle, low, high))
    return Table(
        f"Inference time in seconds, {points[0].dtype}: median, shortest and longest of the runs.",
        (
            *("machine", "implementation", "neurons", "layers", "inputs"),
            *("time (s)", "shortest", "longest"),
        ),
        tuple(rows),
    )
