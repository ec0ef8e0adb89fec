"""Pruned networks: accuracy against sparsity, and speed-up over dense, published ones in grey."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, NullLocator

from kkspdnn.choices import METHODS
from kkspdnn.figures.points import Records
from kkspdnn.figures.pruned_values import (
    Curve,
    Speeds,
    Values,
    accuracies_of,
    speeds_of,
    styles,
)
from kkspdnn.figures.style import (
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
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.published import Pruning, Published

_PERPLEXITIES = ("blocks of 8 x 8", "blocks of 50")
"""Those drawn, which are nearest to what is measured here: 8 x 8, and 30 blocks of a neuron's 1500
inputs. All are in the table."""


def chart(records: Records, published: Published) -> Chart | None:
    """From the records of python -m bench.balanced; None where there are none."""
    known = published.pruning
    accuracies, dense = accuracies_of(records.studies)
    speeds = speeds_of(records.studies)
    painters: list[Callable[[Axes, str], None]] = []
    drawn = styles([each.label for each in accuracies], 0)
    if accuracies:
        painters.append(partial(_paint_accuracies, accuracies, dense, drawn))
        painters.append(partial(_paint_perplexities, known))
    if speeds:
        labels = [each.label for at in speeds for each in at.curves if _shown(each.label)]
        drawn = styles(labels, len(accuracies))
        painters += [partial(_paint_speeds, each, drawn) for each in speeds]
        painters.append(partial(_paint_published, known))
    if not painters:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        axes = panels(figure, len(painters), wide)
        for place, (each, painter) in enumerate(zip(axes, painters, strict=True)):
            painter(each, letter(place))
        legend(figure, 3 if wide else 2)

    high = 1.55 * len(painters) + 1.3, 1.7 * -(-len(painters) // 3) + 1.0
    return Chart("pruning", _table(accuracies, dense, speeds, known), high, paint)


def _paint_accuracies(
    curves: list[Curve], dense: Values | None, drawn: Mapping[str, int], axes: Axes, name: str
) -> None:
    for curve in curves:
        _draw(axes, curve, drawn[curve.label])
    if dense is not None:
        axes.axhline(dense[1], color=GREY, linewidth=0.8, linestyle="--", label="dense")
    axes.set_xlabel(f"{name} sparsity (%)")
    axes.set_ylabel("accuracy (%)")
    grid(axes, "both")


def _paint_perplexities(known: Pruning, axes: Axes, name: str) -> None:
    for each in known.perplexities:
        if each.parts in _PERPLEXITIES:
            axes.plot(
                [float(part) for part in each.values],
                list(each.values.values()),
                label=f"published: {each.pattern}, {each.parts}",
                **_grey(METHODS.index(each.pattern)),
            )
    axes.set_xlabel(f"{name} sparsity (%), published")
    axes.set_ylabel("perplexity (low: good)")
    axes.xaxis.set_major_locator(MultipleLocator(10))
    grid(axes, "both")


def _paint_speeds(speeds: Speeds, drawn: Mapping[str, int], axes: Axes, name: str) -> None:
    curves = [each for each in speeds.curves if _shown(each.label)]
    for curve in curves:
        _draw(axes, curve, drawn[curve.label])
    axes.set_xscale("log")
    axes.set_yscale("log")
    rows = sorted({int(each) for curve in curves for each in curve.values})
    axes.set_xticks(rows, [f"{each:,}" for each in rows])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axhline(1, color="black", linewidth=0.8)
    log_ticks(axes.yaxis)
    axes.set_xlabel(f"{name} input rows, {speeds.short}")
    axes.set_ylabel("speed-up over dense")
    grid(axes, "both")


def _paint_published(known: Pruning, axes: Axes, name: str) -> None:
    for place, pattern in enumerate(METHODS):
        found = [each.speedups()[pattern] for each in known.workloads]
        style = _grey(place) | {"linestyle": "none"}
        axes.plot(range(len(found)), found, label=f"published: {pattern}", **style)
    axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(known.workloads)), [each.name for each in known.workloads])
    axes.tick_params(axis="x", labelsize=6)
    log_ticks(axes.yaxis)
    axes.set_xlabel(f"{name} published, on a GPU")
    axes.set_ylabel("speed-up over dense")
    grid(axes, "y")


def _grey(place: int) -> dict[str, Any]:
    """As of our pattern number `place`, but grey and hollow."""
    line: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": LINES[place]}
    return line | {"marker": MARKERS[place], "markerfacecolor": "white"}


def _shown(label: str) -> bool:
    """All of ours, and of CSR, to which patterns are the same, one; all are in the table."""
    return "CSR" not in label or label.endswith("unstructured")


def _draw(axes: Axes, curve: Curve, style: int) -> None:
    errors = [spread(each) for each in curve.values.values()]
    axes.errorbar(
        list(curve.values),
        [each[1] for each in curve.values.values()],
        yerr=[[below[0] for below, _ in errors], [above[0] for _, above in errors]],
        color=COLOURS[style % len(COLOURS)],
        marker=MARKERS[turned(style) % len(MARKERS)],
        linestyle=LINES[turned(style) % len(LINES)],
        elinewidth=0.8,
        label=curve.label,
    )


def _table(
    accuracies: list[Curve], dense: Values | None, speeds: Iterable[Speeds], known: Pruning
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    if dense is not None:
        rows.append(("accuracy (%)", "dense", "here", 0.0, None, dense[1], dense[0], dense[2]))
    for curve in accuracies:
        for part, (low, middle, high) in curve.values.items():
            rows.append(("accuracy (%)", curve.label, "here", part, None, middle, low, high))
    for each in known.perplexities:
        for percent, value in each.values.items():
            label = f"{each.pattern}, {each.parts}"
            rows.append(("perplexity", label, "published", float(percent), *_alone(value)))
    for at in speeds:
        for curve in at.curves:
            for count, (low, middle, high) in curve.values.items():
                found = (int(count), middle, low, high)
                rows.append(("speed-up", curve.label, at.where, None, *found))
    for workload in known.workloads:
        speedups = workload.speedups()
        for time in workload.times[1:]:
            where, part = f"published, {workload.name}", round(100 * time.sparsity, 1)
            rows.append(("speed-up", time.pattern, where, part, *_alone(speedups[time.pattern])))
    return Table(
        "Pruned networks: accuracy, mean, lowest and highest of the seeds; speed-up over the "
        "faster dense implementation, median and quartiles of the runs. Published, on "
        f"{known.machine}: {known.source}. VGG-16 is a network for images, fc6 to fc8 are its "
        "last layers, LSTM one for language, CTC one for speech; perplexity is the LSTM's.",
        ("value", "pattern", "where", "sparsity (%)", "input rows", "middle", "lowest", "highest"),
        tuple(rows),
    )


def _alone(value: float) -> tuple[None, float, None, None]:
    return None, value, None, None
