"""The figure of nonzero, saturated and active rows after each layer."""

from __future__ import annotations

from dataclasses import astuple

from matplotlib.figure import Figure

from kkspdnn.figures.appearance import BLUE, GREEN, ORANGE, Style
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.points import describe_problem
from kkspdnn.figures.read import Records, Sourced
from kkspdnn.figures.style import draw_grid, tick_numbers, write_title
from kkspdnn.figures.table import Table
from kkspdnn.records.comparison import Comparison, LayerCounts, NetworkSize
from kkspdnn.records.published import Published

_MARKED_LAYERS = 20
"""The last layer with a marker: later markers would hide the lines."""

_PRINTED_LAYERS = (*range(1, 21), 30, 60, 120, 480, 1920)

_HEIGHT = 2.7

_STYLES = {
    "nonzero: any value above 0": Style(BLUE, "o"),
    "saturated: every value at the upper limit": Style(ORANGE, "s", is_hollow=True, line="--"),
    "active: final output not proven": Style(GREEN, "^"),
}


def chart(records: Records, published: Published) -> Chart | None:
    """Return the figure of one network; None without a record that has its counts.

    It is the network with the most implementations measured in the same record, so that the figure
    explains the times of these; of equal ones, the one of most input rows and edges.
    """
    chosen = _chosen(records)
    if chosen is None:
        return None
    network, layers = chosen.record.network, chosen.record.layers
    assert network is not None
    assert layers is not None
    statement = (
        describe_problem(network.neurons, network.layers, f"{network.inputs:,}", network.dtype),
        "the network that most implementations were compared on",
        "counted by the serial reference; no error bars: the same on every machine",
    )

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, network, layers)
        write_title(figure, wide, *statement)

    table = _table(network, layers)
    kept = tuple(row for row in table.rows if row[0] in (*_PRINTED_LAYERS, network.layers))
    printed = Table(f"{table.caption} Selected layers.", table.columns, kept)
    heights = _HEIGHT, _HEIGHT
    return Chart("active", frozenset({chosen.path}), table, heights, paint, printed)


def _chosen(records: Records) -> Sourced[Comparison] | None:
    counted = [each for each in records.comparisons if each.record.layers is not None]
    return max(counted, key=_size, default=None)


def _size(each: Sourced[Comparison]) -> tuple[int, ...]:
    """Return a sort key: implementations, then input rows, then edges."""
    network = each.record.network
    assert network is not None
    return len(each.record.measured), network.inputs, network.edges


def _paint(figure: Figure, network: NetworkSize, layers: LayerCounts) -> None:
    axes = figure.subplots()
    ends = {}
    counts = layers.alive, layers.saturated, layers.undecided
    for (label, style), curve in zip(_STYLES.items(), counts, strict=True):
        drawn = {depth: count for depth, count in enumerate(curve, start=1) if count}
        if not drawn:
            continue
        marked = [index for index, depth in enumerate(drawn) if depth <= _MARKED_LAYERS]
        keywords = style.keywords(3)
        axes.plot(list(drawn), list(drawn.values()), linewidth=1.1, markevery=marked, **keywords)
        ends[label] = float(max(drawn)), float(drawn[max(drawn)])
    axes.axhline(network.inputs, color="black", linewidth=0.7, linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.annotate(
        f"all {network.inputs:,} input rows",
        (1, network.inputs),
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=6,
    )
    axes.set_xlim(0.9, network.layers * 1.1)
    ticks = [t for t in (1, 2, 5, 10, 20, 50, 120, 480, 1920) if t <= network.layers]
    tick_numbers(axes.xaxis, ticks)
    axes.set_xlabel("layer")
    axes.set_ylabel("input rows")
    draw_grid(axes, "both")
    label_ends(axes, _HEIGHT - 0.8, ends, _STYLES, 22)


def _table(network: NetworkSize, layers: LayerCounts) -> Table:
    counts = zip(*astuple(layers), strict=True)
    return Table(
        f"Of {network.inputs:,} input rows of {network.name} ({network.dtype}): nonzero, saturated "
        "and active rows after each layer, their nonzero values, and the layer's products of "
        "nonzeros.",
        ("layer", "nonzero", "saturated", "active", "nonzeros", "products"),
        tuple((depth, *each) for depth, each in enumerate(counts, start=1)),
    )
