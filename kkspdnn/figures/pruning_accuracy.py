"""The figure of the accuracy of pruned networks against sparsity."""

from __future__ import annotations

from matplotlib.figure import Figure

from kkspdnn.figures.appearance import GREY, Style, implementation_styles
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.pruning_curves import (
    DTYPE,
    Accuracies,
    accuracies,
    pattern_of,
)
from kkspdnn.figures.read import Records
from kkspdnn.figures.style import curve_end, draw_curve, draw_grid, write_title
from kkspdnn.figures.table import Cell, Table
from kkspdnn.records.published import Published

_HEIGHT = 2.5


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of records of python -m bench.balanced train; None without them."""
    found = accuracies(records.pruning_studies)
    if found is None:
        return None

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, found)
        network = "-".join(map(str, found.layers))
        write_title(
            figure,
            wide,
            f"perceptron {network} on handwritten digits, {DTYPE}",
            f"mean of up to {found.seeds} seeds; error bars: lowest to highest; not a measurement "
            "of speed",
        )

    return Chart("pruning-accuracy", found.sources, _table(found), (_HEIGHT, _HEIGHT), paint)


def curve_styles(found: Accuracies) -> dict[str, Style]:
    """Return the appearance of each curve: further curves of a pattern have hollow markers."""
    by_pattern = implementation_styles(pattern_of(curve) for curve in found.curves)
    seen: list[str] = []
    result = {}
    for curve in found.curves:
        style = by_pattern[pattern_of(curve)]
        earlier = seen.count(pattern_of(curve))
        marker = (style.marker, "D", "v", "P", "X")[min(earlier, 4)]
        result[curve.label] = Style(style.colour, marker, earlier > 0, "-" if not earlier else "--")
        seen.append(pattern_of(curve))
    return result


def _paint(figure: Figure, found: Accuracies) -> None:
    axes = figure.subplots()
    curves = curve_styles(found)
    for curve in found.curves:
        draw_curve(axes, curve.values, curves[curve.label])
    ends = {curve.label: curve_end(curve.values) for curve in found.curves}
    if found.dense is not None:
        axes.axhline(found.dense[1], color=GREY, linewidth=0.8, linestyle=":")
        curves["dense"] = Style(GREY, "", line=":")
        ends["dense"] = max(x for x, _ in ends.values()), found.dense[1]
    axes.set_xlabel("sparsity (% of all weights)")
    axes.set_ylabel("accuracy (%)")
    draw_grid(axes, "both")
    label_ends(axes, _HEIGHT - 0.8, ends, curves, 20)


def _table(found: Accuracies) -> Table:
    rows: list[tuple[Cell, ...]] = []
    if found.dense is not None:
        rows.append(("dense", 0.0, found.dense[1], found.dense[0], found.dense[2]))
    for curve in found.curves:
        for percent, (low, middle, high) in curve.values.items():
            rows.append((curve.label, percent, middle, low, high))
    network = "-".join(map(str, found.layers))
    return Table(
        f"Accuracy in percent of a perceptron of {network} neurons, {DTYPE}, on handwritten "
        f"digits: mean, lowest and highest of up to {found.seeds} seeds.",
        ("pattern", "sparsity (%)", "mean", "lowest", "highest"),
        tuple(rows),
    )
