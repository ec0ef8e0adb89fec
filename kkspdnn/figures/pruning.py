"""The figure of pruned networks: accuracy by sparsity, and speed-up over dense."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, NullLocator

from kkspdnn.choices import METHODS
from kkspdnn.figures.points import Records
from kkspdnn.figures.pruning_curves import (
    SPARSITY,
    Curve,
    SpeedupPanel,
    Values,
    accuracy_curves,
    speedup_panels,
    style_numbers,
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
    shifted,
    spread,
)
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.published import Pruning, Published

_DRAWN_PERPLEXITIES = ("blocks of 8 x 8", "blocks of 50")
"""The blocks whose perplexities are drawn, which are closest to the measured ones: 8 x 8, and 30
blocks of the 1500 inputs of a neuron. The table has all of them."""


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of records of python -m bench.balanced; None without such records."""
    results = published.pruning
    accuracies, dense = accuracy_curves(records.studies)
    measured = speedup_panels(records.studies)
    painters: list[Callable[[Axes, str], None]] = []
    styles = style_numbers([each.label for each in accuracies], 0)
    if accuracies:
        painters.append(partial(_paint_accuracies, accuracies, dense, styles))
        painters.append(partial(_paint_perplexities, results))
    if measured:
        labels = [each.label for panel in measured for each in panel.curves if _is_drawn(each)]
        styles = style_numbers(labels, len(accuracies))
        painters += [partial(_paint_speedups, panel, styles) for panel in measured]
        painters.append(partial(_paint_published, results))
    if not painters:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        axes = panels(figure, len(painters), wide)
        for index, (panel, painter) in enumerate(zip(axes, painters, strict=True)):
            painter(panel, letter(index))
        legend(figure, 3 if wide else 2)

    heights = 1.55 * len(painters) + 1.3, 1.7 * -(-len(painters) // 3) + 1.0
    return Chart("pruning", _table(accuracies, dense, measured, results), heights, paint)


def _paint_accuracies(
    curves: list[Curve], dense: Values | None, styles: Mapping[str, int], axes: Axes, name: str
) -> None:
    for curve in curves:
        _draw(axes, curve, styles[curve.label])
    if dense is not None:
        axes.axhline(dense[1], color=GREY, linewidth=0.8, linestyle="--", label="dense")
    axes.set_xlabel(f"{name} sparsity (%)")
    axes.set_ylabel("accuracy (%)")
    grid(axes, "both")


def _paint_perplexities(results: Pruning, axes: Axes, name: str) -> None:
    for each in results.perplexities:
        if each.parts in _DRAWN_PERPLEXITIES:
            axes.plot(
                [float(percent) for percent in each.values],
                list(each.values.values()),
                label=f"published: {each.pattern}, {each.parts}",
                **_grey(METHODS.index(each.pattern)),
            )
    axes.set_xlabel(f"{name} sparsity (%), published")
    axes.set_ylabel("perplexity (lower: better)")
    axes.xaxis.set_major_locator(MultipleLocator(10))
    grid(axes, "both")


def _paint_speedups(panel: SpeedupPanel, styles: Mapping[str, int], axes: Axes, name: str) -> None:
    curves = [each for each in panel.curves if _is_drawn(each)]
    for curve in curves:
        _draw(axes, curve, styles[curve.label])
    axes.set_xscale("log")
    axes.set_yscale("log")
    rows = sorted({int(count) for curve in curves for count in curve.values})
    axes.set_xticks(rows, [f"{count:,}" for count in rows])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axhline(1, color="black", linewidth=0.8)
    log_ticks(axes.yaxis)
    axes.set_xlabel(f"{name} input rows, {panel.short_name}")
    axes.set_ylabel("speed-up over dense")
    grid(axes, "both")


def _paint_published(results: Pruning, axes: Axes, name: str) -> None:
    for index, pattern in enumerate(METHODS):
        speedups = [each.speedups()[pattern] for each in results.workloads]
        style = _grey(index) | {"linestyle": "none"}
        axes.plot(range(len(speedups)), speedups, label=f"published: {pattern}", **style)
    axes.set_yscale("log")
    axes.margins(y=0.15)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(results.workloads)), [each.name for each in results.workloads])
    axes.tick_params(axis="x", labelsize=6)
    log_ticks(axes.yaxis)
    axes.set_xlabel(f"{name} published, on a GPU")
    axes.set_ylabel("speed-up over dense")
    grid(axes, "y")


def _grey(index: int) -> dict[str, Any]:
    """Return the style of published results of pattern number `index`: grey, hollow markers."""
    line: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": LINES[index]}
    return line | {"marker": MARKERS[index], "markerfacecolor": "white"}


def _is_drawn(curve: Curve) -> bool:
    """Return whether a curve is drawn: CSR does not depend on the pattern, so one is enough.

    The table has all curves.
    """
    return "CSR" not in curve.label or curve.label.endswith("unstructured")


def _draw(axes: Axes, curve: Curve, style: int) -> None:
    errors = [spread(each) for each in curve.values.values()]
    axes.errorbar(
        list(curve.values),
        [each[1] for each in curve.values.values()],
        yerr=[[below[0] for below, _ in errors], [above[0] for _, above in errors]],
        color=COLOURS[style % len(COLOURS)],
        marker=MARKERS[shifted(style) % len(MARKERS)],
        linestyle=LINES[shifted(style) % len(LINES)],
        elinewidth=0.8,
        label=curve.label,
    )


def _table(
    accuracies: list[Curve],
    dense: Values | None,
    measured: Iterable[SpeedupPanel],
    results: Pruning,
) -> Table:
    rows: list[tuple[Cell, ...]] = []
    if dense is not None:
        rows.append(("accuracy (%)", "dense", "measured", 0.0, None, dense[1], dense[0], dense[2]))
    for curve in accuracies:
        for percent, (low, middle, high) in curve.values.items():
            rows.append(("accuracy (%)", curve.label, "measured", percent, None, middle, low, high))
    for each in results.perplexities:
        for text, value in each.values.items():
            label = f"{each.pattern}, {each.parts}"
            rows.append(("perplexity", label, "published", float(text), *_single(value)))
    for panel in measured:
        for curve in panel.curves:
            for count, (low, middle, high) in curve.values.items():
                speedup = (int(count), middle, low, high)
                rows.append(("speed-up", curve.label, panel.hardware, None, *speedup))
    for workload in results.workloads:
        speedups = workload.speedups()
        for time in workload.times[1:]:
            source, percent = f"published, {workload.name}", round(100 * time.sparsity, 1)
            value = speedups[time.pattern]
            rows.append(("speed-up", time.pattern, source, percent, *_single(value)))
    return Table(
        "Pruned networks: accuracy, mean, lowest and highest of the seeds; speed-up over the "
        f"fastest dense implementation, of networks pruned to {SPARSITY:.0%}, median and quartiles "
        "of the runs. Published, on "
        f"{results.machine}: {results.source}. VGG-16 classifies images, fc6 to fc8 are its last "
        "layers, LSTM models language, CTC recognises speech; perplexity is that of the LSTM.",
        ("value", "pattern", "source", "sparsity (%)", "input rows", "middle", "lowest", "highest"),
        tuple(rows),
    )


def _single(value: float) -> tuple[None, float, None, None]:
    return None, value, None, None
