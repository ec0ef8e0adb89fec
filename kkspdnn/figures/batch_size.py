"""The figure of the time of a row against the rows at a time, for dense and pruned networks."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from kkspdnn.figures.batch_curves import PATTERN, BatchTimes, SparsityPanel, batch_times
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.points import Records
from kkspdnn.figures.pruning_curves import Curve
from kkspdnn.figures.style import (
    COLOURS,
    LINES,
    MARKERS,
    Chart,
    grid,
    letter,
    log_ticks,
    panels,
    shifted,
    spread,
)
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.published import Published

_NAMES = (
    *("kkspdnn", "DeepSparse", "MKL CSR", "SciPy CSR"),
    *("OpenVINO", "ONNX Runtime", "PyTorch", "NumPy"),
    *("cuSPARSE CSR", "cuSPARSE CSR, with copies", "cuBLAS", "cuBLAS, with copies"),
)
"""The implementations in the order of their styles. An implementation has the same style whichever
others are in the records."""

_PANEL_HEIGHTS = 1.75, 2.2
"""Inches, for one column and two columns."""

_LABEL_HEIGHT = 0.115
"""Inches from one label to the next."""


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of records of python -m bench.balanced time; None without such records."""
    times = batch_times(records.studies)
    if times is None:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, times)

    count = len(times.panels)
    heights = _PANEL_HEIGHTS[0] * count + 0.6, _PANEL_HEIGHTS[1] * -(-count // 3) + 0.5
    return Chart("batch", _table(times), heights, paint)


def _paint(figure: Figure, wide: bool, times: BatchTimes) -> None:
    drawn = panels(figure, len(times.panels), wide)
    limits = _limits(times)
    styles = _styles(times)
    for index, (axes, panel) in enumerate(zip(drawn, times.panels, strict=True)):
        curves = (*times.dense, *panel.curves)
        for curve in curves:
            _draw(axes, curve, styles[curve.label])
        axes.set_ylim(*limits)
        _set_axes(axes, curves, panel, letter(index))
        last_column = not wide or index % 3 == 2 or index == len(drawn) - 1
        if last_column:
            height = _PANEL_HEIGHTS[wide] - 0.5
            ends = {curve.label: _end(curve) for curve in curves}
            label_ends(axes, ends, styles, _LABEL_HEIGHT / height)
        if not wide or index % 3 == 0:
            axes.set_ylabel("time of a row (µs)")
        else:
            axes.tick_params(axis="y", labelleft=False)
    figure.suptitle(_title(times, wide), fontsize=7)


def _title(times: BatchTimes, wide: bool) -> str:
    # bench.balanced trains and times in float32 only.
    network = f"{_sizes(times)}, float32, {PATTERN} pruning"
    key = "dashed: the dense network"
    lines = (f"{network}; {key}", times.hardware) if wide else (network, key, times.hardware)
    return "\n".join(fill(line, 115 if wide else 56) for line in lines)


def _sizes(times: BatchTimes) -> str:
    return "-".join(map(str, times.layers))


def _limits(times: BatchTimes) -> tuple[float, float]:
    curves = [*times.dense, *(curve for panel in times.panels for curve in panel.curves)]
    values = [value for curve in curves for each in curve.values.values() for value in each]
    return min(values) / 1.3, max(values) * 1.3


def _set_axes(axes: Axes, curves: tuple[Curve, ...], panel: SparsityPanel, name: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    rows = sorted({int(count) for curve in curves for count in curve.values})
    axes.set_xticks(rows, [f"{count:,}" for count in rows])
    axes.tick_params(axis="x", labelsize=6)
    axes.xaxis.set_minor_locator(NullLocator())
    log_ticks(axes.yaxis, span=1000)
    axes.set_xlabel(f"{name} rows at a time, {panel.percent:.0f} % pruned")
    grid(axes, "both")


def _styles(times: BatchTimes) -> Mapping[str, dict[str, Any]]:
    dense = [curve.label for curve in times.dense]
    sparse = [curve.label for panel in times.panels for curve in panel.curves]
    labels = list(dict.fromkeys([*dense, *sparse]))
    names = [*_NAMES, *(label for label in labels if label not in _NAMES)]
    styles = {}
    for label in labels:
        number = names.index(label)
        colour, own = COLOURS[number % len(COLOURS)], number == 0
        styles[label] = {
            "color": colour,
            "marker": MARKERS[shifted(number) % len(MARKERS)],
            "markerfacecolor": "white" if label in dense else colour,
            "markersize": 3.5,
            "linestyle": LINES[1 if label in dense else 0],
            "linewidth": 1.8 if own else 1.0,
            "zorder": 3 if own else 2,
        }
    return styles


def _draw(axes: Axes, curve: Curve, style: Mapping[str, Any]) -> None:
    errors = [spread(each) for each in curve.values.values()]
    axes.errorbar(
        list(curve.values),
        [each[1] for each in curve.values.values()],
        yerr=[[below[0] for below, _ in errors], [above[0] for _, above in errors]],
        elinewidth=0.6,
        capsize=1.5,
        **style,
    )


def _end(curve: Curve) -> tuple[float, float]:
    rows = max(curve.values)
    return rows, curve.values[rows][1]


def _table(times: BatchTimes) -> Table:
    rows: list[tuple[Cell, ...]] = []
    pruned = [(PATTERN, round(panel.percent, 1), panel.curves) for panel in times.panels]
    for pattern, percent, curves in (("dense", 0.0, times.dense), *pruned):
        for curve in curves:
            for count, (low, middle, high) in curve.values.items():
                rows.append((curve.label, pattern, percent, int(count), middle, low, high))
    return Table(
        f"Time of a row in a network of {_sizes(times)} neurons in float32, "
        f"{times.hardware}: median, lowest and highest of the rounds. All rows of a batch pass "
        "through the network at a time.",
        (
            *("implementation", "pattern", "sparsity (%)", "rows at a time"),
            *("time of a row (µs)", "lowest", "highest"),
        ),
        tuple(rows),
    )
