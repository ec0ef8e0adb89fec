"""The figure of speed-up of pruned networks over dense ones, on all machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.choices import METHODS
from kkspdnn.figures.appearance import Look, looks
from kkspdnn.figures.chart import Chart, PanelGrid
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.hardware import Hardware
from kkspdnn.figures.pruning_curves import (
    DTYPE,
    SPARSITY,
    Curve,
    MachineTimings,
    curve_end,
    machine_timings,
    sources_of_machines,
    speedups,
)
from kkspdnn.figures.read import Records
from kkspdnn.figures.style import (
    draw_curve,
    grid,
    log_ticks,
    state,
    tick_numbers,
)
from kkspdnn.figures.table import Table, pivot
from kkspdnn.records.published import Published

_PANEL = 1.7, 2.2
_PERCENT = round(100 * SPARSITY)


@dataclass(frozen=True)
class SpeedPanel:
    """The speed-ups of one pattern on one machine, by rows at a time."""

    machine: MachineTimings
    pattern: str
    curves: tuple[Curve, ...]


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of records of python -m bench.balanced time; None without them."""
    found = speed_panels(machine_timings(records.studies))
    if not found:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, found)

    table = _table(found)
    sources = sources_of_machines([panel.machine for panel in found])
    medians = table.without("lower quartile", "upper quartile")
    printed = pivot(medians, "rows at a time", "speed-up")
    return Chart("pruning-speed", sources, table, _grid_of(found).heights, paint, printed)


def speed_panels(machines: Sequence[MachineTimings]) -> list[SpeedPanel]:
    """Return a panel for each machine and pattern that was timed with SPARSITY."""
    found = []
    for machine in machines:
        for pattern in METHODS:
            curves = speedups(machine, pattern)
            if curves:
                found.append(SpeedPanel(machine, pattern, tuple(curves)))
    return found


def _machines(found: Sequence[SpeedPanel]) -> list[Hardware]:
    return list(dict.fromkeys(panel.machine.hardware for panel in found))


def _patterns(found: Sequence[SpeedPanel]) -> list[str]:
    return [method for method in METHODS if any(panel.pattern == method for panel in found)]


def _grid_of(found: Sequence[SpeedPanel]) -> PanelGrid:
    return PanelGrid(len(_machines(found)), len(_patterns(found)), _PANEL)


def _paint(figure: Figure, wide: bool, found: Sequence[SpeedPanel]) -> None:
    by_place = {(panel.machine.hardware, panel.pattern): panel for panel in found}
    contents = [by_place.get(place) for place in product(_machines(found), _patterns(found))]
    by_label = looks(curve.label for panel in found for curve in panel.curves)
    values = [
        v for each in found for c in each.curves for three in c.values.values() for v in three
    ]
    limits = min(values) / 1.2, max(values) * 1.2
    for panel in _grid_of(found).make(figure, wide, contents):
        axes, content = panel.axes, panel.content
        _draw(axes, content, by_label)
        axes.set_ylim(*limits)
        title = f"{panel.letter} {content.machine.hardware.title}\n{content.pattern}"
        axes.set_title(title, fontsize=6.5)
        if panel.is_first:
            axes.set_ylabel("speed-up over dense")
        ends = {curve.label: curve_end(curve) for curve in content.curves}
        label_ends(axes, panel.height, ends, by_label, 14)
    state(
        figure,
        wide,
        f"perceptron {found[0].machine.network}, {DTYPE}, pruned layers {_PERCENT} % sparse; "
        "over the fastest dense implementation on the same machine",
        "median; error bars: quartiles of the runs",
    )


def _draw(axes: Axes, panel: SpeedPanel, by_label: dict[str, Look]) -> None:
    for curve in panel.curves:
        width = 1.7 if curve.label == "kkspdnn" else 1.0
        draw_curve(axes, curve.values, by_label[curve.label], width=width)
    axes.set_xscale("log")
    axes.set_yscale("log")
    tick_numbers(axes.xaxis, (rows for curve in panel.curves for rows in curve.values))
    axes.tick_params(axis="x", labelsize=6)
    axes.axhline(1, color="black", linewidth=0.8)
    log_ticks(axes.yaxis)
    axes.set_xlabel("rows at a time")
    grid(axes, "both")


def _table(found: Sequence[SpeedPanel]) -> Table:
    rows = []
    for panel in found:
        for curve in panel.curves:
            for count, (low, middle, high) in curve.values.items():
                name = panel.machine.hardware.title
                rows.append((name, panel.pattern, curve.label, int(count), middle, low, high))
    return Table(
        f"Speed-up over the fastest dense implementation on the same machine, of a perceptron of "
        f"{found[0].machine.network} neurons whose pruned layers are {_PERCENT} % sparse, "
        f"{DTYPE}: median of the runs, by rows at a time.",
        (
            *("machine", "pattern", "implementation", "rows at a time", "speed-up"),
            *("lower quartile", "upper quartile"),
        ),
        tuple(rows),
    )
