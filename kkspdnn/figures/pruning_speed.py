"""The figure of speed-up of pruned networks over dense ones, on all machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.choices import METHODS
from kkspdnn.figures.appearance import Style, implementation_styles
from kkspdnn.figures.chart import Chart, PanelGrid, machine_panels
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.pruning_curves import (
    DTYPE,
    SPARSITY,
    Curve,
    MachineTimings,
    machine_timings,
    sources_of_machines,
    speedups,
)
from kkspdnn.figures.read import Records
from kkspdnn.figures.style import (
    curve_end,
    draw_curve,
    draw_grid,
    log_ticks,
    tick_numbers,
    write_title,
)
from kkspdnn.figures.table import Table, pivot
from kkspdnn.records.published import Published

_PANEL_HEIGHTS = 1.7, 2.2
_PERCENT = round(100 * SPARSITY)


@dataclass(frozen=True)
class SpeedPanel:
    """The speed-ups of one pattern on one machine, by batch size."""

    machine: MachineTimings
    pattern: str
    curves: tuple[Curve, ...]


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of records of python -m bench.balanced time; None without them."""
    found = speed_panels(machine_timings(records.pruning_studies))
    if not found:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, found)

    table = _table(found)
    sources = sources_of_machines([panel.machine for panel in found])
    medians = table.without("lowest", "highest")
    printed = pivot(medians, "batch size", "speed-up")
    return Chart("pruning-speed", sources, table, _arranged(found)[0].heights, paint, printed)


def speed_panels(machines: Sequence[MachineTimings]) -> list[SpeedPanel]:
    """Return a panel for each machine and pattern that was timed with SPARSITY."""
    found = []
    for machine in machines:
        for pattern in METHODS:
            curves = speedups(machine, pattern)
            if curves:
                found.append(SpeedPanel(machine, pattern, tuple(curves)))
    return found


def _arranged(found: Sequence[SpeedPanel]) -> tuple[PanelGrid, list[SpeedPanel | None]]:
    return machine_panels(
        found, lambda p: p.machine.hardware, lambda p: p.pattern, METHODS, _PANEL_HEIGHTS
    )


def _paint(figure: Figure, wide: bool, found: Sequence[SpeedPanel]) -> None:
    panel_grid, contents = _arranged(found)
    by_label = implementation_styles(curve.label for panel in found for curve in panel.curves)
    values = [
        v for each in found for c in each.curves for three in c.values.values() for v in three
    ]
    limits = min(values) / 1.2, max(values) * 1.2
    for panel in panel_grid.make(figure, wide, contents):
        axes, content = panel.axes, panel.content
        _draw(axes, content, by_label)
        axes.set_ylim(*limits)
        title = panel.title(f"{content.machine.hardware.title}\n{content.pattern}")
        axes.set_title(title, fontsize=6.5)
        if panel.is_first:
            axes.set_ylabel("speed-up over dense")
        ends = {curve.label: curve_end(curve.values) for curve in content.curves}
        label_ends(axes, panel.height, ends, by_label, 14)
    write_title(
        figure,
        wide,
        f"perceptron {found[0].machine.network}, {DTYPE}, {_PERCENT} % of the weights pruned; "
        "over the fastest dense implementation on the same machine",
        "median; error bars: lowest to highest of the rounds",
    )


def _draw(axes: Axes, panel: SpeedPanel, by_label: dict[str, Style]) -> None:
    for curve in panel.curves:
        width = 1.7 if curve.label == "kkspdnn" else 1.0
        draw_curve(axes, curve.values, by_label[curve.label], width=width)
    axes.set_xscale("log")
    axes.set_yscale("log")
    tick_numbers(axes.xaxis, (rows for curve in panel.curves for rows in curve.values), 3.9)
    axes.tick_params(axis="x", labelsize=6)
    axes.axhline(1, color="black", linewidth=0.8)
    log_ticks(axes.yaxis)
    axes.set_xlabel("batch size (rows)")
    draw_grid(axes, "both")


def _table(found: Sequence[SpeedPanel]) -> Table:
    rows = []
    for panel in found:
        for curve in panel.curves:
            for count, (low, middle, high) in curve.values.items():
                name = panel.machine.hardware.title
                rows.append((name, panel.pattern, curve.label, int(count), middle, low, high))
    return Table(
        f"Speed-up over the fastest dense implementation on the same machine, of a perceptron of "
        f"{found[0].machine.network} neurons of whose weights {_PERCENT} % are pruned, "
        f"{DTYPE}: median of the rounds, by batch size.",
        (
            *("machine", "pattern", "implementation", "batch size", "speed-up"),
            *("lowest", "highest"),
        ),
        tuple(rows),
    )
