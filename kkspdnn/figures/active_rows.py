"""The figure of nonzero, saturated and active rows after each layer."""

from __future__ import annotations

from dataclasses import astuple

from matplotlib.figure import Figure

from kkspdnn.figures.points import Records
from kkspdnn.figures.style import COLOURS, LINES, MARKERS, Chart, grid, legend
from kkspdnn.figures.table import Table
from kkspdnn.records.comparison import LayerCounts, NetworkSize
from kkspdnn.records.published import Published

_MARKED_LAYERS = 20
"""The last layer with a marker: later markers would hide the lines."""


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of the record with the most input rows, then edges; None without one."""
    counted = [
        (each.network, each.layers)
        for each in records.comparisons
        if each.layers is not None and each.network is not None
    ]
    if not counted:
        return None
    network, layers = max(counted, key=lambda c: (c[0].inputs, c[0].edges))

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, wide, network, layers)

    return Chart("active", _table(network, layers), (2.6, 2.6), paint)


def _paint(figure: Figure, wide: bool, network: NetworkSize, layers: LayerCounts) -> None:
    axes = figure.subplots()
    curves = {
        "nonzero: any value above 0": layers.alive,
        "saturated: every value at the upper limit": layers.saturated,
        "active: final output not proven": layers.undecided,
    }
    for number, (label, counts) in enumerate(curves.items()):
        drawn = [(depth, count) for depth, count in enumerate(counts, start=1) if count]
        axes.plot(
            [depth for depth, _ in drawn],
            [count for _, count in drawn],
            color=COLOURS[number],
            marker=MARKERS[number],
            markersize=3,
            markevery=[i for i, (depth, _) in enumerate(drawn) if depth <= _MARKED_LAYERS],
            linestyle=LINES[number],
            label=label,
        )
    axes.axhline(
        network.inputs, color="black", linewidth=0.8, linestyle=":", label="all input rows"
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 120, 480, 1920) if tick <= network.layers]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(f"layer ({network.neurons} neurons, {network.layers} layers)")
    axes.set_ylabel(f"input rows (of {network.inputs:,})")
    grid(axes, "both")
    legend(figure, 3 if wide else 1)


def _table(network: NetworkSize, layers: LayerCounts) -> Table:
    counts = zip(*astuple(layers), strict=True)
    return Table(
        f"Of {network.inputs:,} input rows of {network.name}: nonzero, saturated and active rows "
        "after each layer, their nonzero values, and the layer's products of nonzeros.",
        ("layer", "nonzero", "saturated", "active", "nonzeros", "products"),
        tuple((depth, *each) for depth, each in enumerate(counts, start=1)),
    )
