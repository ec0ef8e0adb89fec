"""The figure of nonzero, saturated and active rows after each layer."""

from __future__ import annotations

from dataclasses import astuple

from matplotlib.figure import Figure

from kkspdnn.figures.appearance import BLUE, GREEN, ORANGE, Look
from kkspdnn.figures.chart import Chart
from kkspdnn.figures.direct_labels import label_ends
from kkspdnn.figures.read import Records, Sourced
from kkspdnn.figures.style import grid, state, tick_numbers
from kkspdnn.figures.table import Table
from kkspdnn.records.comparison import Comparison, LayerCounts, NetworkSize
from kkspdnn.records.published import Published

_MARKED_LAYERS = 20
"""The last layer with a marker: later markers would hide the lines."""

_PRINTED_LAYERS = (*range(1, 21), 30, 60, 120, 480, 1920)

_HEIGHT = 2.7

_LOOKS = {
    "nonzero: any value above 0": Look(BLUE, "o"),
    "saturated: every value at the upper limit": Look(ORANGE, "s"),
    "active: final output not proven": Look(GREEN, "^"),
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
        f"{network.neurons:,} neurons, {network.layers:,} layers, {network.inputs:,} input rows, "
        f"{network.dtype}",
        "the network that most implementations were compared on",
        "counted by the serial reference; no error bars: the same on every machine",
    )

    def paint(figure: Figure, wide: bool) -> None:
        _paint(figure, network, layers)
        state(figure, wide, *statement)

    table = _table(network, layers)
    kept = tuple(row for row in table.rows if row[0] in (*_PRINTED_LAYERS, network.layers))
    printed = Table(f"{table.caption} Selected layers.", table.columns, kept)
    heights = _HEIGHT, _HEIGHT
    return Chart("active", frozenset({chosen.path}), table, heights, paint, printed)


def _chosen(records: Records) -> Sourced[Comparison] | None:
    counted = [each for each in records.comparisons if each.record.layers is not None]
    return max(counted, key=_rank, default=None)


def _rank(each: Sourced[Comparison]) -> tuple[int, ...]:
    network = each.record.network
    assert network is not None
    return len(each.record.measured), network.inputs, network.edges


def _paint(figure: Figure, network: NetworkSize, layers: LayerCounts) -> None:
    axes = figure.subplots()
    ends = {}
    counts = layers.alive, layers.saturated, layers.undecided
    for (label, look), curve in zip(_LOOKS.items(), counts, strict=True):
        drawn = {depth: count for depth, count in enumerate(curve, start=1) if count}
        if not drawn:
            continue
        marked = [index for index, depth in enumerate(drawn) if depth <= _MARKED_LAYERS]
        style = look.style(3)
        axes.plot(list(drawn), list(drawn.values()), linewidth=1.1, markevery=marked, **style)
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
    grid(axes, "both")
    label_ends(axes, _HEIGHT - 0.8, ends, _LOOKS, 22)


def _table(network: NetworkSize, layers: LayerCounts) -> Table:
    counts = zip(*astuple(layers), strict=True)
    return Table(
        f"Of {network.inputs:,} input rows of {network.name} ({network.dtype}): nonzero, saturated "
        "and active rows after each layer, their nonzero values, and the layer's products of "
        "nonzeros.",
        ("layer", "nonzero", "saturated", "active", "nonzeros", "products"),
        tuple((depth, *each) for depth, each in enumerate(counts, start=1)),
    )
