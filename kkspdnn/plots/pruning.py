"""Pruned networks: accuracy against sparsity, and speed-up over the dense network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean, median

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from kkspdnn.plots.points import Records
from kkspdnn.plots.style import (
    COLOURS,
    GREY,
    LINES,
    MARKERS,
    Chart,
    grid,
    legend,
    letter,
    log_ticks,
    panels,
    spread,
    turned,
)
from kkspdnn.plots.table import Cell, Table
from kkspdnn.pruning.study import Study, Timing
from kkspdnn.published import Pruning, Published

Values = tuple[float, float, float]
"""The lowest, the middle and the highest."""


@dataclass(frozen=True)
class Curve:
    """One pattern or implementation: by sparsity, or by input rows, a value and its spread."""

    label: str
    values: dict[float, Values]


def chart(records: Records, published: Published) -> Chart | None:
    """From the records of python -m bench.balanced; None where there are none."""
    accuracies, dense = _accuracies(records.studies)
    speedups = _speedups([each for study in records.studies for each in study.timings])
    if not accuracies and not speedups:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        drawn = iter(enumerate(panels(figure, bool(accuracies) + bool(speedups), wide)))
        if accuracies:
            _paint_accuracies(*next(drawn), accuracies, dense)
        if speedups:
            _paint_speedups(*next(drawn), speedups, published.pruning, len(accuracies))
        legend(figure, 3 if wide else 1)

    height = 1.9 * (bool(accuracies) + bool(speedups)) + 0.14 * (
        len(accuracies) + len(speedups) + 2
    )
    table = _table(accuracies, dense, speedups, published.pruning)
    return Chart("pruning", table, (height, 3.2), paint)


def _accuracies(studies: Iterable[Study]) -> tuple[list[Curve], Values | None]:
    """Percent by percent, the mean over the seeds between the lowest and the highest; and of the
    dense network."""
    found: dict[str, dict[float, list[float]]] = {}
    for one in (each for study in studies for each in study.accuracies):
        part = round(100 * one.sparsity, 1)
        label = f"balanced, {one.blocks} blocks" if one.pattern == "balanced" else one.pattern
        values = found.setdefault(label, {}).setdefault(part, [])
        values.append(100 * one.accuracy)
    dense = found.pop("dense", {}).get(0.0)
    curves = [
        Curve(pattern, {part: _about(by[part]) for part in sorted(by)})
        for pattern, by in found.items()
    ]
    return curves, None if dense is None else _about(dense)


def _about(values: list[float]) -> Values:
    return min(values), mean(values), max(values)


def _speedups(timings: list[Timing]) -> list[Curve]:
    """Over the faster of the dense implementations, for the same rows."""
    dense: dict[int, float] = {}
    for each in timings:
        if each.pattern == "dense":
            dense[each.rows] = min(dense.get(each.rows, float("inf")), median(each.seconds))
    found: dict[str, dict[float, Values]] = {}
    for each in timings:
        if each.pattern != "dense" and each.rows in dense:
            best = dense[each.rows]
            # Quartiles: a run that the machine had no time for would hide all others.
            high, middle, low = np.quantile(each.seconds, (0.25, 0.5, 0.75)).tolist()
            label = f"{each.implementation}, {each.pattern}"
            found.setdefault(label, {})[each.rows] = best / low, best / middle, best / high
    return [Curve(label, values) for label, values in found.items()]


def _paint_accuracies(number: int, axes: Axes, curves: list[Curve], dense: Values | None) -> None:
    for style, curve in enumerate(curves):
        _draw(axes, curve, style, curve.label)
    if dense is not None:
        axes.axhline(dense[1], color=GREY, linewidth=0.8, linestyle="--", label="dense")
    axes.set_xlabel(f"{letter(number)} sparsity (%)")
    axes.set_ylabel("accuracy (%)")
    grid(axes, "both")


def _paint_speedups(
    number: int, axes: Axes, curves: list[Curve], known: Pruning, styles: int
) -> None:
    """styles: so many are taken by the other panel."""
    drawn = [each for each in curves if _shown(each.label)]
    for style, curve in enumerate(drawn, start=styles):
        _draw(axes, curve, style, curve.label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    rows = sorted({int(each) for curve in drawn for each in curve.values})
    axes.set_xticks(rows, [f"{each:,}" for each in rows])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axhline(1, color="black", linewidth=0.8)
    label = f"published: {known.name}, most ({known.most:g}x)"
    axes.axhline(known.most, color=COLOURS[5], linewidth=1, linestyle="--", label=label)
    log_ticks(axes.yaxis)
    axes.set_xlabel(f"{letter(number)} input rows at a time")
    axes.set_ylabel("speed-up over dense")
    grid(axes, "both")


def _shown(label: str) -> bool:
    """All of ours, and of CSR, to which patterns are the same, one; all are in the table."""
    return "CSR" not in label or label.endswith("unstructured")


def _draw(axes: Axes, curve: Curve, style: int, label: str) -> None:
    errors = [spread(each) for each in curve.values.values()]
    axes.errorbar(
        list(curve.values),
        [each[1] for each in curve.values.values()],
        yerr=[[below[0] for below, _ in errors], [above[0] for _, above in errors]],
        color=COLOURS[style % len(COLOURS)],
        marker=MARKERS[turned(style) % len(MARKERS)],
        linestyle=LINES[turned(style) % len(LINES)],
        elinewidth=0.8,
        label=label,
    )


def _table(
    accuracies: list[Curve], dense: Values | None, speedups: list[Curve], known: Pruning
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    if dense is not None:
        rows.append(("accuracy (%)", "dense", 0.0, None, dense[1], dense[0], dense[2]))
    for curve in accuracies:
        for part, (low, middle, high) in curve.values.items():
            rows.append(("accuracy (%)", curve.label, part, None, middle, low, high))
    for curve in speedups:
        for count, (low, middle, high) in curve.values.items():
            rows.append(("speed-up", curve.label, None, int(count), middle, low, high))
    rows.append(("speed-up", f"published: {known.name}, most", None, None, known.most, None, None))
    return Table(
        "Pruned networks: accuracy, mean, lowest and highest of the seeds; speed-up over the "
        "faster dense implementation, median and quartiles of the runs. Published, on "
        f"another machine: {known.source}.",
        ("value", "pattern", "sparsity (%)", "input rows", "middle", "lowest", "highest"),
        tuple(rows),
    )
