"""The figure of edges/s against neurons, for each number of layers, on all machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.figures.appearance import Style, machine_styles, published_style
from kkspdnn.figures.chart import Chart, PanelGrid
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.hardware import Hardware, Machine
from kkspdnn.figures.points import (
    Point,
    Values,
    of_common_dtype,
    sources_of,
    with_most_rows,
    with_most_threads,
)
from kkspdnn.figures.read import Records
from kkspdnn.figures.style import draw_curve, draw_grid, tick_numbers, write_title
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.published import Published, PublishedSystem

_NAME = "all"
_PANEL = 1.75, 2.5
"""Inches, for one column and two columns."""


@dataclass(frozen=True)
class RatePanel:
    """The rates of the networks with one number of layers.

    measured: edges/s by neurons, for each hardware
    published: edges/s by neurons, for each system that has any, by its label
    """

    layers: int
    measured: dict[Hardware, dict[int, Values]]
    published: dict[str, dict[int, float]]


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of the fused kernel with early exit; None without such points."""
    points = rate_points(records)
    if not points:
        return None
    found = rate_panels(points, published.systems)

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, found, points, machine_styles(records.machines))

    return Chart(
        "rates",
        sources_of(points),
        _table(points, published.systems),
        _grid_of(found).heights,
        paint,
        _printed(points, found, published.systems),
    )


def _grid_of(found: Sequence[RatePanel]) -> PanelGrid:
    return PanelGrid(1, len(found), _PANEL)


def rate_points(records: Records) -> list[Point]:
    """Return the points with early exit, one for each machine and network: the one of most rows."""
    chosen = of_common_dtype(p for p in records.points if p.name == _NAME)
    best = with_most_rows(with_most_threads(chosen))
    return sorted(best, key=lambda p: (p.hardware, p.neurons, p.layers))


def rate_panels(points: Sequence[Point], systems: Sequence[PublishedSystem]) -> list[RatePanel]:
    """Return a panel for each number of layers, with the published rates for as many layers."""
    found = []
    for layers in sorted({point.layers for point in points}):
        measured: dict[Hardware, dict[int, Values]] = {}
        for point in points:
            if point.layers == layers:
                measured.setdefault(point.hardware, {})[point.neurons] = point.rates
        found.append(RatePanel(layers, measured, _published_for(systems, layers)))
    return found


def _published_for(systems: Sequence[PublishedSystem], layers: int) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for system in systems:
        rates = {
            int(neurons): rate
            for name, rate in system.rates.items()
            for neurons, _, depth in [name.partition("-")]
            if int(depth) == layers
        }
        if rates:
            found[_label(system)] = dict(sorted(rates.items()))
    return found


def _paint(
    figure: Figure,
    wide: bool,
    found: list[RatePanel],
    points: list[Point],
    by_machine: Mapping[Machine, Style],
) -> None:
    styles = _system_styles(found)
    for each in found:
        styles |= {_own_label(hardware): by_machine[hardware.machine] for hardware in each.measured}
    neurons = sorted({n for each in found for n in _neurons(each)})
    rates = [rate for each in found for rate in _rates(each)]
    for panel in _grid_of(found).make(figure, wide, found):
        axes = panel.axes
        ends = _draw(axes, panel.content, styles)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(min(rates) / 2, max(rates) * 2)
        axes.set_xlim(min(neurons) / 1.4, max(neurons) * 1.4)
        tick_numbers(axes.xaxis, neurons)
        axes.set_title(panel.title(f"{panel.content.layers:,} layers"))
        axes.set_xlabel("neurons per layer")
        draw_grid(axes, "both")
        if panel.is_first:
            axes.set_ylabel("inference rate (edges/s)")
        else:
            axes.tick_params(axis="y", labelleft=False)
        label_ends(axes, panel.height, panel.own_ends(ends, _labels), styles, 24)
    write_title(figure, wide, *_statement(points))


def _labels(panel: RatePanel) -> list[str]:
    return [*panel.published, *map(_own_label, panel.measured)]


def _statement(points: list[Point]) -> tuple[str, ...]:
    rows = sorted({point.problem_inputs for point in points})
    one = any(len(point.seconds) == 1 for point in points)
    return (
        f"RadiX-Net networks of the challenge, {', '.join(f'{n:,}' for n in rows)} input rows, "
        f"{points[0].dtype}; kkspdnn: fused kernel with early exit",
        "median; error bars: lowest to highest of the runs" + (", if several" if one else ""),
        "the rate counts the edges of all rows, also of retired ones; grey: published",
    )


def _draw(axes: Axes, panel: RatePanel, styles: dict[str, Style]) -> dict[str, tuple[float, float]]:
    """Draw all curves and return the last point of each by its label."""
    ends = {}
    for label, rates in panel.published.items():
        style = styles[label].keywords(3.5)
        axes.plot(list(rates), list(rates.values()), linewidth=0.7, **style)
        ends[label] = list(rates.items())[-1]
    for hardware, values in panel.measured.items():
        label = _own_label(hardware)
        draw_curve(axes, values, styles[label], width=1.6)
        last = max(values)
        ends[label] = (last, values[last][1])
    return {label: (float(x), y) for label, (x, y) in ends.items()}


def _system_styles(found: list[RatePanel]) -> dict[str, Style]:
    labels = dict.fromkeys(label for panel in found for label in panel.published)
    return {label: published_style(index) for index, label in enumerate(labels)}


def _neurons(panel: RatePanel) -> set[int]:
    measured = {neurons for curve in panel.measured.values() for neurons in curve}
    return measured.union(*panel.published.values())


def _rates(panel: RatePanel) -> list[float]:
    found = [rate for rates in panel.published.values() for rate in rates.values()]
    for curve in panel.measured.values():
        for values in curve.values():
            found += values
    return found


def _label(system: PublishedSystem) -> str:
    """Return the name of a system with its machine, such as "XY 2021, A6000"."""
    machine = system.machine.removeprefix("one ").removeprefix("NVIDIA ")
    name = system.name.removeprefix("SuiteSparse:")
    named = name if machine in name else f"{name}, {machine}"
    return named if system.exact else f"{named} (lossy)"


def _own_label(hardware: Hardware) -> str:
    return f"kkspdnn: {hardware.title}"


_COLUMNS = ("machine", "network", "threads", "inputs", "edges/s", "lowest", "highest")


def _table(points: list[Point], systems: Sequence[PublishedSystem]) -> Table:
    rows = []
    for p in points:
        low, middle, high = p.rates
        others = [s.rate(p.neurons, p.layers) for s in systems]
        rows.append((p.machine.name, p.network, p.threads, p.inputs, middle, low, high, *others))
    return Table(
        _caption(points, systems),
        _COLUMNS + tuple(f"published: {_label(s)}" for s in systems),
        tuple(rows),
    )


def _caption(points: list[Point], systems: Sequence[PublishedSystem]) -> str:
    return (
        f"Inference rates in edges/s, fused kernel with early exit, {points[0].dtype}: median of "
        "the runs, with the lowest and highest where they are given. Published rates are of other "
        "machines: " + "; ".join(f"{s.name}: {s.source}" for s in systems) + "."
    )


def _printed(
    points: list[Point], panels: Sequence[RatePanel], systems: Sequence[PublishedSystem]
) -> Table:
    """Return a table in units of 1e12 edges/s with a column for each number of neurons."""
    neurons = sorted({p.neurons for p in points})
    depths = sorted({p.layers for p in points})
    rates = {(_own_label(p.hardware), p.layers, p.neurons): p.rate for p in points}
    for panel in panels:
        for label, published in panel.published.items():
            rates |= {(label, panel.layers, n): rate for n, rate in published.items()}
    rows: list[tuple[Cell, ...]] = []
    for label in dict.fromkeys(label for label, _, _ in rates):
        for layers in depths:
            found = [rates.get((label, layers, n)) for n in neurons]
            scaled = [None if rate is None else rate / 1e12 for rate in found]
            if any(rate is not None for rate in scaled):
                rows.append((label, layers, *scaled))
    heads = (f"{n:,} neurons" for n in neurons)
    caption = _caption(points, systems).replace("in edges/s", "in units of 1e12 edges/s")
    return Table(caption, ("implementation", "layers", *heads), tuple(rows))
