"""The figure of the time per row against the batch size, for dense and pruned networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.choices import Method
from kkspdnn.figures.appearance import Style, implementation_styles
from kkspdnn.figures.chart import Chart, PanelGrid, machine_panels
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.pruning_curves import (
    DTYPE,
    Curve,
    MachineTimings,
    machine_timings,
    row_times,
    sources_of_machines,
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
from kkspdnn.figures.table import Cell, Table, pivot
from kkspdnn.records.published import Published

PATTERN: Method = "unstructured"
"""The pattern of the pruned networks that are drawn."""

_PANEL_HEIGHTS = 1.75, 2.3


@dataclass(frozen=True)
class BatchPanel:
    """The times with one pruned network on one machine.

    sparsity: as requested; percent: of all its weights that are pruned
    dense, pruned: microseconds per row by batch size, for each implementation
    """

    machine: MachineTimings
    sparsity: float
    percent: float
    dense: tuple[Curve, ...]
    pruned: tuple[Curve, ...]

    @property
    def curves(self) -> tuple[Curve, ...]:
        """All curves."""
        return *self.dense, *self.pruned


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of records of python -m bench.balanced time; None without such records."""
    found = batch_panels(machine_timings(records.pruning_studies))
    if not found:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, found)

    sources = sources_of_machines([panel.machine for panel in found])
    table = _table(found)
    printed = pivot(table.without("lowest", "highest"), "batch size", "time per row (µs)")
    return Chart("batch", sources, table, _arranged(found)[0].heights, paint, printed)


def batch_panels(machines: Sequence[MachineTimings]) -> list[BatchPanel]:
    """Return a panel for each machine and sparsity of networks with PATTERN."""
    found = []
    for machine in machines:
        dense = tuple(row_times(machine.select("dense")))
        for sparsity in machine.sparsities(PATTERN):
            timings = machine.select(PATTERN, sparsity)
            percent = 100 * timings[-1].sparsity
            pruned = tuple(row_times(timings))
            found.append(BatchPanel(machine, sparsity, percent, dense, pruned))
    return found


def panel_styles(found: Sequence[BatchPanel]) -> dict[str, Style]:
    """Return the appearance of each implementation: those of dense networks are dashed."""
    by_label = implementation_styles(curve.label for panel in found for curve in panel.curves)
    for curve in (curve for panel in found for curve in panel.dense):
        by_label[curve.label] = replace(by_label[curve.label], is_hollow=True, line="--")
    return by_label


def _limits(found: Sequence[BatchPanel]) -> tuple[float, float]:
    curves = [curve for panel in found for curve in panel.curves]
    values = [value for curve in curves for each in curve.values.values() for value in each]
    return min(values) / 1.3, max(values) * 1.3


def _arranged(found: Sequence[BatchPanel]) -> tuple[PanelGrid, list[BatchPanel | None]]:
    sparsities = sorted({panel.sparsity for panel in found})
    return machine_panels(
        found, lambda p: p.machine.hardware, lambda p: p.sparsity, sparsities, _PANEL_HEIGHTS
    )


def _paint(figure: Figure, wide: bool, found: Sequence[BatchPanel]) -> None:
    panel_grid, contents = _arranged(found)
    by_label, limits = panel_styles(found), _limits(found)
    for panel in panel_grid.make(figure, wide, contents):
        axes, content = panel.axes, panel.content
        _draw(axes, content, by_label, limits)
        name = content.machine.hardware.title
        title = panel.title(f"{name}\n{content.percent:.0f} % of the weights pruned")
        axes.set_title(title, fontsize=6.5)
        if panel.is_first:
            axes.set_ylabel("time per row (µs)")
        else:
            axes.tick_params(axis="y", labelleft=False)
        all_ends = {curve.label: curve_end(curve.values) for curve in content.curves}
        ends = panel.own_ends(all_ends, lambda other: (curve.label for curve in other.curves))
        label_ends(axes, panel.height, ends, by_label, 16)
    write_title(
        figure,
        wide,
        f"perceptron {found[0].machine.network}, {DTYPE}, {PATTERN} pruning; dashed, hollow: the "
        "dense network",
        "median; error bars: lowest to highest of the rounds",
    )


def _draw(
    axes: Axes, panel: BatchPanel, by_label: dict[str, Style], limits: tuple[float, float]
) -> None:
    for curve in panel.curves:
        width = 1.7 if curve.label == "kkspdnn" else 1.0
        draw_curve(axes, curve.values, by_label[curve.label], width=width)
    axes.set_ylim(*limits)
    axes.set_xscale("log")
    axes.set_yscale("log")
    tick_numbers(axes.xaxis, (rows for curve in panel.curves for rows in curve.values), 3.9)
    axes.tick_params(axis="x", labelsize=6)
    log_ticks(axes.yaxis, span=1000)
    axes.set_xlabel("batch size (rows)")
    draw_grid(axes, "both")


def _table(found: Sequence[BatchPanel]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for machine in dict.fromkeys(panel.machine for panel in found):
        own = [panel for panel in found if panel.machine == machine]
        parts = [(0.0, own[0].dense), *((round(p.percent, 1), p.pruned) for p in own)]
        for percent, curves in parts:
            for curve in curves:
                for count, (low, middle, high) in curve.values.items():
                    name = machine.hardware.title
                    rows.append((name, curve.label, percent, int(count), middle, low, high))
    return Table(
        f"Time per row in microseconds, perceptron of {found[0].machine.network} neurons in "
        f"{DTYPE}, {PATTERN} pruning (0 %: dense): median of the rounds, by batch size.",
        (
            *("machine", "implementation", "sparsity (%)", "batch size"),
            *("time per row (µs)", "lowest", "highest"),
        ),
        tuple(rows),
    )
