"""The figure of the time of a row against the rows at a time, for dense and pruned networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kkspdnn.choices import Method
from kkspdnn.figures.appearance import Look, looks
from kkspdnn.figures.chart import Chart, PanelGrid
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.hardware import Hardware
from kkspdnn.figures.pruning_curves import (
    DTYPE,
    Curve,
    MachineTimings,
    curve_end,
    machine_timings,
    row_times,
    sources_of_machines,
)
from kkspdnn.figures.read import Records
from kkspdnn.figures.style import (
    draw_curve,
    grid,
    log_ticks,
    state,
    tick_numbers,
)
from kkspdnn.figures.table import Cell, Table, pivot
from kkspdnn.records.published import Published

PATTERN: Method = "unstructured"
"""The pattern of the pruned networks that are drawn."""

_PANEL = 1.75, 2.3


@dataclass(frozen=True)
class BatchPanel:
    """The times with one pruned network on one machine.

    sparsity: as requested; percent: of all its weights that are pruned
    dense, pruned: microseconds of a row by the rows at a time, for each implementation
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
    found = batch_panels(machine_timings(records.studies))
    if not found:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, found)

    sources = sources_of_machines([panel.machine for panel in found])
    table = _table(found)
    printed = pivot(table.without("lowest", "highest"), "rows at a time", "time of a row (µs)")
    return Chart("batch", sources, table, _grid_of(found).heights, paint, printed)


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


def panel_looks(found: Sequence[BatchPanel]) -> dict[str, Look]:
    """Return the appearance of each implementation: those of dense networks are dashed."""
    by_label = looks(curve.label for panel in found for curve in panel.curves)
    for curve in (curve for panel in found for curve in panel.dense):
        by_label[curve.label] = replace(by_label[curve.label], is_hollow=True, line="--")
    return by_label


def _limits(found: Sequence[BatchPanel]) -> tuple[float, float]:
    curves = [curve for panel in found for curve in panel.curves]
    values = [value for curve in curves for each in curve.values.values() for value in each]
    return min(values) / 1.3, max(values) * 1.3


def _machines(found: Sequence[BatchPanel]) -> list[Hardware]:
    return list(dict.fromkeys(panel.machine.hardware for panel in found))


def _sparsities(found: Sequence[BatchPanel]) -> list[float]:
    return sorted({panel.sparsity for panel in found})


def _grid_of(found: Sequence[BatchPanel]) -> PanelGrid:
    return PanelGrid(len(_machines(found)), len(_sparsities(found)), _PANEL)


def _paint(figure: Figure, wide: bool, found: Sequence[BatchPanel]) -> None:
    by_place = {(panel.machine.hardware, panel.sparsity): panel for panel in found}
    contents = [by_place.get(place) for place in product(_machines(found), _sparsities(found))]
    by_label, limits = panel_looks(found), _limits(found)
    for panel in _grid_of(found).make(figure, wide, contents):
        axes, content = panel.axes, panel.content
        _draw(axes, content, by_label, limits)
        name = content.machine.hardware.title
        title = f"{panel.letter} {name}\n{content.percent:.0f} % of the weights pruned"
        axes.set_title(title, fontsize=6.5)
        if panel.is_first:
            axes.set_ylabel("time of a row (µs)")
        else:
            axes.tick_params(axis="y", labelleft=False)
        named = {curve.label for later in panel.later for curve in later.curves}
        ends = {c.label: curve_end(c) for c in content.curves if c.label not in named}
        label_ends(axes, panel.height, ends, by_label, 16)
    state(
        figure,
        wide,
        f"perceptron {found[0].machine.network}, {DTYPE}, {PATTERN} pruning; dashed, hollow: the "
        "dense network",
        "median; error bars: lowest to highest of the rounds",
    )


def _draw(
    axes: Axes, panel: BatchPanel, by_label: dict[str, Look], limits: tuple[float, float]
) -> None:
    for curve in panel.curves:
        width = 1.7 if curve.label == "kkspdnn" else 1.0
        draw_curve(axes, curve.values, by_label[curve.label], width=width)
    axes.set_ylim(*limits)
    axes.set_xscale("log")
    axes.set_yscale("log")
    tick_numbers(axes.xaxis, (rows for curve in panel.curves for rows in curve.values))
    axes.tick_params(axis="x", labelsize=6)
    log_ticks(axes.yaxis, span=1000)
    axes.set_xlabel("rows at a time")
    grid(axes, "both")


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
        f"Time of a row in microseconds, perceptron of {found[0].machine.network} neurons in "
        f"{DTYPE}, {PATTERN} pruning (0 %: dense): median of the rounds, by rows at a time.",
        (
            *("machine", "implementation", "sparsity (%)", "rows at a time"),
            *("time of a row (µs)", "lowest", "highest"),
        ),
        tuple(rows),
    )
